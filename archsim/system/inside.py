"""What runs inside memories: which ops, what then need not pass ports, and the least time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from archsim.components._pim import PimEngine
from archsim.core.units import PS_PER_S
from archsim.ir.graph import OpGraph
from archsim.ir.pim import PimMapping

if TYPE_CHECKING:
    from archsim.system.place import Plan, Stage


def ops_inside(plan: Plan) -> frozenset[tuple[str, str]]:
    """Block and name of every product whose matrices are read where they lie."""
    return frozenset(
        (block.block.name, op.name)
        for block in plan.blocks
        for stage in block.stages
        if isinstance(stage.mapping, PimMapping)
        for op in stage.ops
        if op.is_mac
    )


def outside(plan: Plan) -> OpGraph:
    """The graph of a plan without what its products inside memories read."""
    inside = ops_inside(plan)
    if not inside:
        return plan.graph
    blocks = tuple(
        replace(
            block,
            ops=tuple(
                replace(op, reads=()) if (block.name, op.name) in inside else op for op in block.ops
            ),
        )
        for block in plan.graph.blocks
    )
    return replace(plan.graph, blocks=blocks)


@dataclass(frozen=True, slots=True)
class Least:
    """Least picoseconds of products inside a memory.

    Attributes:
        ps: each at its units' peak rate of reading, or of arithmetic where that takes longer.
        read_ps: all at the rate of reading.
        mac_ps: of `ps`, those that arithmetic takes longer for.
    """

    ps: int = 0
    read_ps: int = 0
    mac_ps: int = 0

    def __add__(self, other: Least) -> Least:
        return Least(self.ps + other.ps, self.read_ps + other.read_ps, self.mac_ps + other.mac_ps)

    def times(self, n: int) -> Least:
        """Of n alike."""
        return Least(n * self.ps, n * self.read_ps, n * self.mac_ps)

    @property
    def memory_ps(self) -> int:
        """What reading asks: all, where it is what takes longer for most of it."""
        return self.read_ps if self.compute_ps else self.ps

    @property
    def compute_ps(self) -> int:
        """All, where arithmetic takes longer for most of it."""
        return self.ps if 2 * self.mac_ps > self.ps else 0


def stage_least(stage: Stage) -> Least:
    """Least time of a stage inside a memory; nothing for others."""
    mapping, engine, least = stage.mapping, stage.engine, Least()
    if not isinstance(mapping, PimMapping) or not isinstance(engine, PimEngine):
        return least
    for work in (step.work for step in mapping.steps):
        read_ps = min(work.bound_ps, int(work.matrix_bytes * PS_PER_S / engine.bytes_per_s))
        least += Least(work.bound_ps, read_ps, work.bound_ps if work.bound_ps > read_ps else 0)
    return least


def inside_least(plan: Plan, runs: Mapping[str, int]) -> tuple[Least, ...]:
    """Least time of each engine inside a memory; blocks run so often, once by default."""
    busy: dict[str, Least] = {}
    for block in plan.blocks:
        times = block.block.count * runs.get(block.block.name, 1)
        for stage in block.stages:
            name = stage.engine.name
            busy[name] = busy.get(name, Least()) + stage_least(stage).times(times)
    return tuple(busy.values())
