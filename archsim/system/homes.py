"""Homes: which memory behind the chip holds which bytes, and what follows from it in bytes.

Plain data and closed forms: what a stage sends along each lane between memories, what any schedule
must move through each port, and the least time that takes. Who lies where is decided in
`system.tiers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from archsim.core.units import PS_PER_S
from archsim.ir.graph import OpGraph
from archsim.ir.op import Access, Op
from archsim.ir.tensor import Role
from archsim.system.build import Machine
from archsim.system.expert_cache import ExpertCache, missed_share
from archsim.system.inside import ops_inside

if TYPE_CHECKING:
    from archsim.system.place import Plan, Stage

STAGE, RETURN, BACK = "stage", "return", "back"  # ahead of use; once the run comes to it; outwards
Lane = tuple[str, str, str]  # what kind of move, from which memory, to which


@dataclass(frozen=True)
class Homes:
    """Where tensors lie behind the chip.

    Attributes:
        far: by tensor: (memory, bytes of one repeat) outside the nearest memory; absent if none.
        held: bytes by memory and class.
        late: tensors of which nothing can be fetched ahead: written whole during the run, or
            experts that a router picks.
        areas: bytes reserved for each lane that carries anything, in the memory nearer to the chip.
        experts: which experts are there when the run comes to them.
        appended: tensors of the cache whose new tokens stay in the nearest memory.
    """

    far: Mapping[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)
    held: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    late: frozenset[str] = frozenset()
    areas: Mapping[Lane, int] = field(default_factory=dict)
    experts: ExpertCache = field(default_factory=ExpertCache)
    appended: frozenset[str] = frozenset()

    def written_to(self, tensor: str) -> tuple[tuple[str, int], ...]:
        """(memory, bytes) outside the nearest memory over which what is written is spread."""
        return () if tensor in self.appended else self.far.get(tensor, ())

    def need(self) -> dict[str, int]:
        """Bytes by class, all memories together."""
        return {
            name: sum(classes.get(name, 0) for classes in self.held.values())
            for name in sorted({n for classes in self.held.values() for n in classes})
        }

    def reserved(self, memory: str) -> int:
        """Bytes of all staging areas in a memory."""
        return sum(size for lane, size in self.areas.items() if area_of(lane) == memory)


def area_of(lane: Lane) -> str:
    """The memory in which data of a lane wait: the one nearer to the chip."""
    kind, source, target = lane
    return source if kind == BACK else target


def staged_bytes(
    graph: OpGraph,
    machine: Machine,
    stage: Stage,
    homes: Homes,
) -> dict[Lane, int]:
    """Bytes that one run of a stage sends along each lane."""
    found: dict[Lane, int] = {}

    def add(lane: Lane, size: int) -> None:
        if size:
            found[lane] = found.get(lane, 0) + size

    reads: dict[str, int] = {}
    for op in stage.ops:
        for access in op.reads:
            size = fetched_bytes(graph, homes.experts, stage.block, op, access)
            reads[access.tensor] = max(reads.get(access.tensor, 0), size)
    for name, touched in reads.items():
        for memory, size in homes.far.get(name, ()):
            share = -(-touched * size // graph.tensors[name].bytes)
            for source, target in pairwise(machine.route(memory)):
                add((RETURN if name in homes.late else STAGE, source, target), share)
    for access in stage.results:
        for memory, size in homes.written_to(access.tensor):
            share = -(-graph.touched_bytes(access) * size // graph.tensors[access.tensor].bytes)
            for source, target in pairwise(machine.way_back(memory)):
                add((BACK, target, source), share)
    return found


def fetched_bytes(graph: OpGraph, experts: ExpertCache, block: str, op: Op, access: Access) -> int:
    """Bytes that an op reaches through an access, without those of experts that are there."""
    size = graph.touched_bytes(access)
    absent = experts.absent.get(f"{block}/{op.name}")
    if absent is None or access is not op.reads[1]:
        return size
    missed, all_of_them = missed_share(op, absent)
    return size * missed // all_of_them


def tier_bytes(plan: Plan, runs: Mapping[str, int] | None = None) -> dict[str, int]:
    """Bytes that any schedule moves through each memory's port: compulsory ones, by where they lie.

    What is staged passes its own port once, and the port of each memory on its way twice. `runs`
    says how often blocks run, each time with a cache of its own; weights could stay on chip.
    """
    graph, machine, homes = plan.graph, plan.machine, plan.homes
    total = {m.name: 0 for m in machine.tiers}
    inside = ops_inside(plan)
    network: dict[str, str] = {}  # that a tensor is counted for
    for block in graph.blocks:
        for side, roles in (
            ("reads", (Role.WEIGHT, Role.KV_CACHE)),
            ("writes", (Role.KV_CACHE,)),
        ):
            most: dict[tuple[str, str], tuple[int, int]] = {}  # touched, and of that fetched
            for op in block.ops:
                if side == "reads" and (block.name, op.name) in inside:
                    continue  # its matrices do not move
                for access in getattr(op, side):
                    if graph.tensors[access.tensor].role in roles:
                        some = fetched_bytes(graph, homes.experts, block.name, op, access)
                        size = graph.touched_bytes(access), some
                        key = access.tensor, op.split_for
                        most[key] = max(most.get(key, (0, 0)), size)
            for (name, part_of), (touched, some) in most.items():
                if network.setdefault(name, block.network) != block.network:
                    continue  # networks that share a tensor may read it together
                if part_of and (name, "") in most:
                    continue  # of a whole op that reaches the same
                near = touched
                away = homes.far.get(name, ()) if side == "reads" else homes.written_to(name)
                times = block.count
                if runs and graph.tensors[name].role is Role.KV_CACHE:
                    times *= runs.get(block.name, 1)
                for memory, part in away:
                    far = some * part // graph.tensors[name].bytes
                    way = machine.route(memory) if side == "reads" else machine.way_back(memory)
                    total[memory] += times * far
                    for through in way[1:]:
                        total[through] += 2 * times * far
                    near -= far
                total[machine.dram.name] += times * near
    return total


def tier_bound_ps(plan: Plan, runs: Mapping[str, int] | None = None) -> int:
    """Least time of the busiest memory port at its peak bandwidth, rounded down."""
    peaks = {m.name: m.peak_bytes_per_s for m in plan.machine.tiers}
    return max(int(size * PS_PER_S / peaks[name]) for name, size in tier_bytes(plan, runs).items())
