"""The backward pass of attention under proof: mappings to draw, and the mistakes put into them."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from archsim.ir.flash_backward import BackwardStep, FlashBackwardMapping
from archsim.ir.mapping import Moves
from archsim.testing.attentions import attentions, problem_of
from archsim.testing.families import Family, Range
from archsim.testing.functional import UnsoundMappingError
from archsim.testing.functional_attention_backward import execute_attention_backward
from archsim.testing.mutations import try_all
from archsim.testing.proofs import Proof, attention_kinds


@st.composite
def backward_mappings(draw: st.DrawFn) -> FlashBackwardMapping:
    """Tiles of any size; keys that are values too are two tensors in training."""
    problem = replace(problem_of(draw(attentions())), one_cache=False)
    e = problem.largest
    tile = {r: draw(st.integers(1, n)) for r, n in (("b", e.b), ("q", e.m), ("kv", e.keys))}
    return FlashBackwardMapping(problem, "array", tile)


def _verify(mapping: FlashBackwardMapping, charged: FlashBackwardMapping, seed: int) -> None:
    moved, want = execute_attention_backward(mapping, seed), charged.traffic()
    if moved != want:
        raise UnsoundMappingError(f"{moved} bytes moved, {want} are charged")


def _with_range(step: BackwardStep, rank: str, to: Range) -> BackwardStep:
    return replace(step, **{"keys" if rank == "kv" else rank: to})  # type: ignore[arg-type]


FLASH_BACKWARD = Family(
    name="flash attention, backward",
    operands=("kv",),
    verify=_verify,
    ranges=lambda step: {"b": step.b, "q": step.q, "kv": step.keys},
    with_range=_with_range,
    tile=lambda mapping, step, operand: (step.b, step.keys),
    moves=lambda mapping, step, operand: Moves(step.opens, step.closes),
    with_moves=lambda mapping, step, operand, m: replace(step, opens=m.enter, closes=m.leave),
    sums=lambda step: {"opens": step.first, "closes": step.last},
    with_sum=lambda step, which, value: replace(
        step, **{"first" if which == "opens" else "last": value}
    ),
)
GRADIENTS = Proof(
    FLASH_BACKWARD.name,
    backward_mappings(),
    attention_kinds,
    verify=lambda mapping: _verify(mapping, mapping, 0),
    mistakes=lambda mapping: try_all(FLASH_BACKWARD, mapping),
)
