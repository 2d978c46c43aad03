"""Block-sparse attention under proof: masks and mappings to draw, and mistakes put into them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st

from archsim.ir.attention_problem import AttentionProblem, attention_problem
from archsim.ir.flash import FlashMapping
from archsim.lowering.block_sparse import BlockSparse
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.testing.families import FLASH
from archsim.testing.functional import UnsoundMappingError
from archsim.testing.functional_attention import execute_attention
from archsim.testing.functional_attention_blocks import BlockValues
from archsim.testing.mutations import try_all
from archsim.testing.proofs import Proof, attention_kinds

HEADS = 2  # key heads of every model here


@dataclass(frozen=True)
class Masked:
    """A prompt, or an encoder's text, under a mask: alike sequences of whole blocks.

    Attributes:
        blocks: the mask.
        batch: sequences.
        total, before: blocks of a sequence, and those of them that are cached.
        rows: query heads to a key head.
        encoder: a query sees later keys too.
    """

    blocks: BlockSparse
    batch: int
    total: int
    before: int
    rows: int
    encoder: bool

    def problem(self) -> AttentionProblem:
        """What the attention of one small layer is lowered to."""
        size = self.blocks.block
        model = {
            "architecture": "transformer", "layers": 1, "hidden": 8, "heads": HEADS * self.rows,
            "kv_heads": HEADS, "head_dim": 4, "ffn": 8, "ffn_matrices": 2, "activation": "relu",
            "norm": "rms", "position": "none", "vocab": 8, "encoder": self.encoder,
        }  # fmt: skip
        phase: dict[str, Any] = {"kind": "encode" if self.encoder else "prefill"}
        phase |= {"batch": self.batch, "tokens": (self.total - self.before) * size}
        if self.before:
            phase["context_before"] = self.before * size
        data = {
            "schema": "archsim.workload/1", "name": "tiny", "model": {"config": model},
            "phase": phase, "attention": {"block_sparse": self.blocks.to_data()},
        }  # fmt: skip
        graph = lower(load_workload(data)[0])
        ops = next(b.ops for b in graph.blocks if b.name == "layer")
        at = next(i for i, op in enumerate(ops) if op.op_class == "attention_score")
        return attention_problem(ops[at : at + 3], graph.tensors, 32)

    def values(self, problem: AttentionProblem, seed: int = 0) -> BlockValues:
        """Random sequences, cut into the rows of the problem."""
        size, causal = self.blocks.block, not self.encoder
        lengths = [(self.total * size, (self.total - self.before) * size)] * self.batch
        return BlockValues(problem, self.blocks, lengths, HEADS, causal=causal, seed=seed)


@dataclass(frozen=True)
class BlockFlash(FlashMapping):
    """A mapping that knows the mask that its problem came from."""

    masked: Masked | None = field(default=None)


masks = st.builds(
    lambda block, local, first, stride: BlockSparse.model_validate(
        {"block": block, "local": local, "global": first, "stride": stride}
    ),
    st.integers(1, 5), st.integers(1, 4), st.integers(0, 3), st.integers(0, 4),
)  # fmt: skip


@st.composite
def block_mappings(draw: st.DrawFn) -> BlockFlash:
    """Any mapping of a small attention under any mask."""
    blocks, encoder = draw(masks), draw(st.booleans())
    total = draw(st.integers(2, 9))
    # one token has no block of queries
    most = total - 1 - (blocks.block == 1)
    before = 0 if encoder else draw(st.integers(0, most))
    masked = Masked(
        blocks, draw(st.integers(1, 2)), total, before, draw(st.integers(1, 2)), encoder
    )
    problem = masked.problem()
    e = problem.largest
    tile = {r: draw(st.integers(1, n)) for r, n in (("b", e.b), ("q", e.m), ("kv", e.keys))}
    return BlockFlash(problem, "array", tile, held=draw(st.booleans()), masked=masked)


def verify_blocks(mapping: BlockFlash, charged: BlockFlash, seed: int) -> None:
    """Raises where the result is not masked attention, or other bytes move than are charged."""
    assert charged.masked is not None
    values = charged.masked.values(charged.problem, seed)
    moved, want = execute_attention(mapping, values=values), charged.traffic()
    if moved != want:
        raise UnsoundMappingError(f"{moved} bytes moved, {want} are charged")


FLASH_BLOCKS = replace(FLASH, name="flash attention, blocks", verify=verify_blocks)
BLOCKS = Proof(
    FLASH_BLOCKS.name,
    block_mappings(),
    lambda mapping: ("block-sparse", *attention_kinds(mapping)),
    verify=lambda mapping: verify_blocks(mapping, mapping, 0),
    mistakes=lambda mapping: try_all(FLASH_BLOCKS, mapping),
)
