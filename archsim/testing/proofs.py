"""Every kind of mapping that is executed against numpy: cases to draw, their op kinds, mistakes.

A `Proof` draws mappings of one family, says what kind of op each maps, verifies it and puts
mistakes into it. `prove` counts; who prints the table is `benchmarks.proof`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from archsim.components.systolic_array import SystolicArray
from archsim.core.errors import Unmappable
from archsim.dataflows._nest_cost import FitTarget
from archsim.dataflows.base import dataflows
from archsim.ir.flash import FlashMapping
from archsim.ir.graph import OpGraph
from archsim.ir.line import line_of
from archsim.ir.mapping import Mapping
from archsim.ir.nest import NestMapping
from archsim.ir.nest_fused import FusedNest
from archsim.ir.op import Kind, Op
from archsim.ir.problem import Problem, problem
from archsim.ir.target import LineTiles, Target
from archsim.testing.attentions import attention_graph, attentions, problem_of
from archsim.testing.families import FLASH, MATRIX, NEST, Family
from archsim.testing.functional_fused import FUSED, fused_nests
from archsim.testing.mutations import Tried, try_all
from archsim.testing.nests import nests_of, ragged_gemms, small_convs, small_gemms
from archsim.testing.problems import Case, convs, gemms, lines


@dataclass(frozen=True)
class Proof:
    """One family of mappings under proof.

    Attributes:
        name: of the family.
        draw: mappings.
        kinds: what kinds of op a mapping covers.
        verify: raises where a mapping is unsound.
        mistakes: every mistake that is tried in a mapping.
    """

    name: str
    draw: st.SearchStrategy[Any]
    kinds: Callable[[Any], tuple[str, ...]]
    verify: Callable[[Any], None]
    mistakes: Callable[[Any], Iterator[Tried]]


@dataclass
class Proved:
    """What a proof has counted.

    Attributes:
        cases: mappings executed and equal to their op's definition, by kind of op.
        drawn: mappings, each once.
        tried, caught: mistakes, by kind of mistake.
        passed: mistakes that the verifier did not notice, as text.
    """

    name: str
    cases: Counter[str] = field(default_factory=Counter)
    drawn: int = 0
    tried: Counter[str] = field(default_factory=Counter)
    caught: Counter[str] = field(default_factory=Counter)
    passed: list[str] = field(default_factory=list)


def prove(proof: Proof, cases: int, every: int) -> Proved:
    """Verify so many drawn mappings, and put mistakes into every n-th of them.

    The first one that has anything to get wrong gets mistakes too, so that few cases are enough to
    try some. The draws are the same each time. An unsound mapping raises.
    """
    found = Proved(proof.name)
    quiet = list(HealthCheck)

    @settings(
        max_examples=cases, deadline=None, derandomize=True, database=None,
        suppress_health_check=quiet, phases=(Phase.generate,),
    )  # fmt: skip
    @given(mapping=proof.draw)
    def run(mapping: Any) -> None:
        proof.verify(mapping)
        found.cases.update(proof.kinds(mapping))
        found.drawn += 1
        if found.drawn % every and found.tried:
            return
        for tried in proof.mistakes(mapping):
            found.tried[tried.mistake] += 1
            found.caught[tried.mistake] += tried.caught
            if not tried.caught:
                found.passed.append(f"{proof.name}: {tried.mistake}\n{mapping}")

    run()
    return found


def _of(family: Family) -> dict[str, Any]:
    """How a family verifies, and its mistakes."""
    return {
        "verify": lambda mapping: family.verify(mapping, mapping, 0),
        "mistakes": lambda mapping: try_all(family, mapping),
    }


def op_kinds(op: Op) -> tuple[str, ...]:
    """What people call an op: its kind, and what is special about it."""
    r, w = op.ranks, op.window
    if op.kind is not Kind.CONV:
        kind = "ragged GEMM" if op.groups else "batched GEMM" if r["B"] > 1 else "GEMM"
        return (kind,)
    assert w is not None
    alone = r["IC"] == r["OC"] == 1
    kind = "depthwise conv" if alone and r["G"] > 1 else "grouped conv" if r["G"] > 1 else "conv"
    found = [kind]
    special = {
        "pointwise conv": r["FH"] == r["FW"] == 1,
        "strided conv": max(w.stride) > 1,
        "dilated conv": max(w.dilation) > 1 and max(r["FH"], r["FW"]) > 1,
        "padded conv": max(w.pad) > 0,
    }
    return (*found, *(name for name, there in special.items() if there))


SIDES = st.sampled_from([2, 4, 8])


@st.composite
def matrix_mappings(draw: st.DrawFn, flow: str, cases: st.SearchStrategy[Case]) -> Mapping:
    """What a template for systolic arrays chooses for drawn ops, arrays and room on chip."""
    op, tensors = draw(cases)
    line = line_of(op) if flow == "row_broadcast" else None
    spec = SystolicArray.Spec(
        rows=draw(SIDES), cols=draw(SIDES), count=draw(st.sampled_from([1, 2, 4])),
        row_broadcast=line is not None,
    )  # fmt: skip
    engine = SystolicArray("array", spec, 10**9)

    def cost(tiles: Any) -> Any:
        return engine.cost(LineTiles.of(tiles, line) if line else tiles, "int8")

    objective = draw(st.sampled_from(["latency", "compute"]))
    rooms = (draw(st.sampled_from([150, 300, 600, 2000])), 10**6)
    for room in rooms:
        target = Target("array", spec.rows, spec.cols, spec.count, 1e9, room, 1e9, cost=cost,
                        objective=objective)  # fmt: skip
        try:
            return dataflows.get(flow)().map(problem(op, tensors, 32), target)
        except Unmappable:
            continue
    raise AssertionError(f"{flow} finds no room for {op.name} in a megabyte")


@st.composite
def sliding(draw: st.DrawFn) -> OpGraph:
    """Attentions in which a query sees only the keys next before it."""
    queries, rows = draw(st.integers(4, 24)), draw(st.integers(1, 3))
    keys, dims = ((queries, draw(st.integers(1, 3))),), (draw(st.integers(2, 6)), 2)
    reach = draw(st.integers(1, 9))
    return attention_graph(keys[0][1], rows, queries, keys, dims, causal=True, reach=reach)


@st.composite
def flash_mappings(draw: st.DrawFn) -> FlashMapping:
    """Attention in tiles of any size, held or not, its contexts in parts or not."""
    of = problem_of(draw(st.one_of(attentions(), attentions(), sliding())))
    tile = {"b": draw(st.integers(1, 3)), "q": draw(st.integers(1, 8)),
            "kv": draw(st.integers(1, 9))}  # fmt: skip
    held, split = draw(st.booleans()), draw(st.sampled_from([1, 1, 2, 3]))
    least = min(-(-case.keys // tile["kv"]) for case in of.cases)
    if of.masked or (split - 1) * -(-least // split) >= least:
        split = 1
    mapping = FlashMapping(of, "array", tile, split=split, held=held)
    try:
        mapping.check(_Endless())  # type: ignore[arg-type]
    except Unmappable:
        return FlashMapping(of, "array", tile, held=held)
    return mapping


class _Endless:
    """A machine with room for any tile."""

    buffer_bytes = 1 << 60


def attention_kinds(mapping: Any) -> tuple[str, ...]:
    """What is special about an attention."""
    p, case = mapping.problem, mapping.problem.cases[0]
    special = {
        "causal": p.causal,
        "sliding": p.reach is not None,
        "grouped queries": case.m > p.queries,
        "latent (one cache)": p.one_cache,
        "ragged contexts": len(p.cases) > 1,
        "split contexts": getattr(mapping, "split", 1) > 1,
    }
    return ("attention", *(name for name, there in special.items() if there))


@st.composite
def template_nests(draw: st.DrawFn, flow: str, cases: st.SearchStrategy[Case]) -> NestMapping:
    """What a template for spatial arrays chooses; a depthwise layer where it is for those only."""
    view: Problem
    both: tuple[int | dict[str, int], ...] = (64, {"in": 8, "weight": 12, "out": 32})
    registers = draw(st.sampled_from(both))
    axes = {"rows": draw(SIDES), "cols": draw(SIDES), "count": draw(st.sampled_from([1, 2]))}
    room = draw(st.sampled_from([400, 4000]))
    template = dataflows.get(flow)()
    for one in (room, 10**6):
        target = FitTarget("array", axes, one, registers)
        for _ in range(8):
            op, tensors = draw(cases)
            view = problem(op, tensors, 32)
            try:
                return template.search_nest(view, target).mapping
            except Unmappable:
                continue
    raise AssertionError(f"{flow} takes none of the ops that were drawn")


def _nest_proof(name: str, draw: st.SearchStrategy[NestMapping]) -> Proof:
    return Proof(name, draw, lambda nest: op_kinds(nest.problem.op), **_of(NEST))


def _fused_kinds(nest: FusedNest) -> tuple[str, ...]:
    kind = "gated feed-forward" if nest.problem.firsts > 1 else "plain feed-forward"
    return (kind, "ragged experts") if len(nest.problem.cases) > 1 else (kind,)


def proofs() -> Iterator[Proof]:
    """Every family that there is."""
    from archsim.testing.proofs_of_blocks import BLOCKS
    from archsim.testing.proofs_of_gradients import GRADIENTS
    from archsim.testing.proofs_of_graphs import CASCADES, STREAMS

    products = st.one_of(gemms(), ragged_gemms(), convs())
    small = st.one_of(small_gemms(), ragged_gemms(), small_convs())
    for name, flow in dataflows.items():
        if flow.stages in ("product", "line"):
            cases = lines() if flow.stages == "line" else products
            maps = matrix_mappings(name, cases)
            yield Proof(name, maps, lambda m: op_kinds(m.problem.op), **_of(MATRIX))
    yield Proof("flash attention", flash_mappings(), attention_kinds, **_of(FLASH))
    yield BLOCKS
    yield GRADIENTS
    drawn = small.flatmap(lambda case: nests_of(problem(*case, 32)))
    yield _nest_proof("any loop nest", drawn)
    for name, flow in dataflows.items():
        if flow.stages == "nest":
            yield _nest_proof(f"{name}, spatial", template_nests(name, small))
    yield Proof("fused feed-forward", fused_nests(), _fused_kinds, **_of(FUSED))
    yield CASCADES
    yield STREAMS
