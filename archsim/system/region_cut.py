"""Which ops of a block run as one region: greedily, as many as fit the fabric and its memory.

An op that would leave the pipeline half empty begins the next region: where what ops multiply with
does not fit beside each other, tiles would have to wait for it. A region also ends where routing
decides what the next ops multiply with, and where a convolution begins or ends: its windows reach
over the borders of tiles. What stays on chip is settled after the cut, by its stages: the cut
counts on none of it, and on the least room that it may leave, so that what it joins fits.
"""

from __future__ import annotations

from collections.abc import Sequence

from archsim.components.base import Engine
from archsim.components.spatial_pipeline import SpatialPipeline
from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Kind, Op
from archsim.ir.tensor import Role
from archsim.system.build import Machine
from archsim.system.region import Planner

KINDS = frozenset({Kind.GEMM, Kind.CONV, Kind.VECTOR, Kind.GATHER, Kind.MOVE})
HALF_EMPTY = 2.0  # times as long as its parts by themselves: a region that takes longer is cut


def takes(engine: Engine, op: Op) -> bool:
    """True where an op on an engine may be in a region: on a fabric, and no graph of its own."""
    return isinstance(engine, SpatialPipeline) and op.kind in KINDS


def cautious(
    graph: OpGraph, machine: Machine, engine: Engine, room_bytes: int, accumulator_bits: int
) -> Planner:
    """Who plans regions before it is known what stays on chip: with nothing that does.

    Args:
        graph: of the ops.
        machine: with the engine.
        engine: that runs them.
        room_bytes: on chip that a region has at least.
        accumulator_bits: width of partial sums.
    """
    assert isinstance(engine, SpatialPipeline)
    return Planner(graph, machine, engine, frozenset(), room_bytes, accumulator_bits)


def regions(
    planner: Planner, block: Block, ops: Sequence[Op]
) -> list[tuple[tuple[Op, ...], tuple[str, ...]]]:
    """Regions of ops that follow each other in a block, each with the tensors that leave it.

    Args:
        planner: a `cautious` one.
        block: that the ops are in.
        ops: of them.
    """
    cuts = _Cut(planner, block).cut(ops)
    return [(some, leaving(planner.graph, block, some)) for some in cuts]


def leaving(graph: OpGraph, block: Block, ops: Sequence[Op]) -> tuple[str, ...]:
    """Tensors that ops write and others read, or that are kept: in the order they are written."""
    own = {op.name for op in ops}
    inside = {a.tensor for op in ops for a in op.reads}
    others = {
        a.tensor
        for b in graph.blocks
        for op in b.ops
        if b is not block or op.name not in own
        for a in op.reads
    }
    others |= {carried for _, carried in block.carry}
    return tuple(
        a.tensor
        for op in ops
        for a in op.writes
        if a.tensor in others
        or a.tensor not in inside
        or graph.tensors[a.tensor].role is Role.KV_CACHE
    )


class _Cut:
    """The greedy cut of a run of ops."""

    def __init__(self, planner: Planner, block: Block) -> None:
        self.planner, self.block = planner, block

    def cut(self, run: Sequence[Op]) -> list[tuple[Op, ...]]:
        """Ops of each region, in order."""
        found: list[tuple[Op, ...]] = []
        current: tuple[Op, ...] = ()
        taken = float("inf")
        for op in run:
            alone = self._estimate_s((op,))
            joined = self._estimate_s((*current, op)) if self._may(current, op) else None
            if current and (
                joined is None or alone is None or joined > HALF_EMPTY * (taken + alone)
            ):
                found.append(current)
                current, taken = (), float("inf")
            if not current:
                current, taken = (op,), alone if alone is not None else float("inf")
            else:
                assert joined is not None
                current, taken = (*current, op), joined
        return [*found, current]

    def _may(self, current: Sequence[Op], op: Op) -> bool:
        if not current or Kind.CONV in (op.kind, current[-1].kind):
            return False
        written = {a.tensor for before in current for a in before.writes}
        return op.picks is None or op.picks.by not in written

    def _estimate_s(self, ops: tuple[Op, ...]) -> float | None:
        """Time of a region with its launch; None where it does not fit."""
        leaves = frozenset(leaving(self.planner.graph, self.block, ops))
        mapping = self.planner.plan(f"{self.block.name}/{ops[0].name}", ops, leaves)
        return None if mapping is None else mapping.estimate_s + self.planner.engine.launch_s
