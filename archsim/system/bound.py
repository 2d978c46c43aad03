"""The least time physics allows: compulsory bytes and arithmetic at peak rates, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from archsim.components.base import KernelEngine, VectorEngine
from archsim.core.units import PS_PER_S
from archsim.ir.cascade_mapping import CascadeMapping
from archsim.ir.collective_mapping import CollectiveMapping
from archsim.ir.flash import FlashMapping
from archsim.ir.graph import OpGraph
from archsim.ir.op import Op
from archsim.ir.record import BoundRecord
from archsim.ir.stream_mapping import StreamMapping
from archsim.ir.tensor import Role
from archsim.system.build import Machine
from archsim.system.flash import softmax_of
from archsim.system.homes import tier_bound_ps
from archsim.system.inside import inside_least, outside, stage_least
from archsim.system.place import Plan, Stage
from archsim.system.runs import runs_of
from archsim.system.stream import compute_type


@dataclass(frozen=True, slots=True)
class StageBound:
    """The bound of one stage, all its repeats together, were it alone on the machine.

    Attributes:
        macs: that matter: masked points are left out.
        read_bytes, write_bytes: weights once an iteration, the KV cache of every microbatch.
        memory_ps, compute_ps, vector_ps, communication_ps: at peak rates.
    """

    path: str
    op_class: str
    repeats: int
    macs: int
    read_bytes: int
    write_bytes: int
    memory_ps: int
    compute_ps: int
    vector_ps: int
    communication_ps: int | None = None  # for a network between chips alone
    share: str | None = None  # of the devices that run it, where devices differ

    @property
    def by(self) -> str:
        """The largest of them."""
        times = {"memory": self.memory_ps, "compute": self.compute_ps, "vector": self.vector_ps,
                 "communication": self.communication_ps or 0}  # fmt: skip
        return max(times, key=times.__getitem__)

    @property
    def ps(self) -> int:
        """The largest of them."""
        return max(self.memory_ps, self.compute_ps, self.vector_ps, self.communication_ps or 0)


def least_moved_bytes(plan: Plan) -> int:
    """Compulsory bytes of all devices."""
    if plan.pod is None:
        return compulsory_bytes(outside(plan))
    shares = zip(plan.pod.plans, plan.pod.partition.shares, strict=True)
    return sum(len(s.devices) * compulsory_bytes(outside(one), runs_of(s)) for one, s in shares)


def compulsory_bytes(graph: OpGraph, runs: Mapping[str, int] | None = None) -> int:
    """Bytes that any machine moves off chip: weights and KV cache read, KV cache written, once.

    `runs` says how often blocks run, each time with a cache of its own: one of a microbatch.
    """
    total = graph.read_bytes(Role.WEIGHT)
    for block in graph.blocks:
        one, times = replace(graph, blocks=(block,)), (runs or {}).get(block.name, 1)
        total += times * (one.read_bytes(Role.KV_CACHE) + one.write_bytes(Role.KV_CACHE))
    return total


def bound(plan: Plan) -> BoundRecord:
    """Closed-form bound of a plan's graph on its machine, in picoseconds (rounded down).

    It is of this dispatch: what rules send into a memory is read there, by units of its own.

    Over several devices: that of the one which takes longest, by each measure.
    """
    if plan.pod is None:
        return _bound(plan, {})
    shares = zip(plan.pod.plans, plan.pod.partition.shares, strict=True)
    found = [_bound(one, runs_of(share)) for one, share in shares]
    return BoundRecord(
        max(b.memory_ps for b in found),
        max(b.compute_ps for b in found),
        max(b.vector_ps for b in found),
        communication_ps=max(b.communication_ps or 0 for b in found),
    )


def _bound(plan: Plan, runs: Mapping[str, int]) -> BoundRecord:
    """The bound of one device whose blocks run so often, by name; once where nothing is said."""
    graph, machine = plan.graph, plan.machine
    # weights could stay on chip from one run to the next
    moved = compulsory_bytes(outside(plan), runs)
    inside = inside_least(plan, runs)
    memory = max(_memory_ps(moved, machine), tier_bound_ps(plan, runs))
    memory = max([memory, *(one.memory_ps for one in inside)])
    stages = [
        (block.block.count * runs.get(block.block.name, 1), stage)
        for block in plan.blocks for stage in block.stages
    ]  # fmt: skip
    compute = sum(count * _compute_s(stage, graph, machine) for count, stage in stages)
    vector = sum(count * _vector_s(stage, machine) for count, stage in stages)
    # a node has one unit, so that a stream is no faster than its busiest; beside other stages
    busiest = [[count * s for s in _busiest_s(stage)] for count, stage in stages]
    compute = max([compute, *(mac for mac, _ in busiest)])
    vector = max([vector, *(other for _, other in busiest)])
    talk = sum(count * communication_ps(stage) for count, stage in stages) if runs else None
    compute_ps = max([int(compute * PS_PER_S), *(one.compute_ps for one in inside)])
    return BoundRecord(memory, compute_ps, int(vector * PS_PER_S), talk)


def communication_ps(stage: Stage) -> int:
    """Least bytes of a collective at the bandwidth of a device; 0 for all other stages."""
    return stage.mapping.least_ps if isinstance(stage.mapping, CollectiveMapping) else 0


def stage_bounds(plan: Plan) -> list[StageBound]:
    """The bound of every stage by itself; a tensor that several read counts for the first."""
    if plan.pod is None:
        return _stage_bounds(plan, {})
    shares = zip(plan.pod.plans, plan.pod.partition.shares, strict=True)
    several = len(plan.pod.plans) > 1
    return [
        replace(row, path=f"{share.name}:{row.path}", share=share.name) if several else row
        for one, share in shares for row in _stage_bounds(one, runs_of(share))
    ]  # fmt: skip


def one_after_another_ps(rows: list[StageBound]) -> int:
    """Time of stages that follow each other, of the devices that have most to do."""
    by_share: dict[str | None, int] = {}
    for row in rows:
        by_share[row.share] = by_share.get(row.share, 0) + row.ps
    return max(by_share.values(), default=0)


def _stage_bounds(plan: Plan, runs: Mapping[str, int]) -> list[StageBound]:
    graph, machine = plan.graph, plan.machine
    rows = []
    for block in plan.blocks:
        seen: set[tuple[str, str]] = set()
        for stage in block.stages:
            times, op = runs.get(block.block.name, 1), stage.ops[0]
            count = times * block.block.count
            read, write = (block.block.count * n for n in _moved(graph, stage, seen, times))
            mac_s, other_s = _busiest_s(stage)
            compute_s = max(_compute_s(stage, graph, machine), mac_s)
            vector_s = max(_vector_s(stage, machine), other_s)
            inside = stage_least(stage).times(count)
            rows.append(
                StageBound(
                    stage.path,
                    op.op_class,
                    count,
                    count * sum(o.live_points() for o in stage.ops if o.is_mac),
                    read,
                    write,
                    inside.memory_ps or _memory_ps(read + write, machine),
                    max(int(count * compute_s * PS_PER_S), inside.compute_ps),
                    int(count * vector_s * PS_PER_S),
                    count * communication_ps(stage) if runs else None,
                )
            )
    return rows


def _moved(graph: OpGraph, stage: Stage, seen: set[tuple[str, str]], runs: int) -> tuple[int, int]:
    """Bytes read and written: of weights those of one run, of the KV cache those of all runs."""
    read = write = 0
    for op in stage.ops:
        for access in op.reads:
            role = graph.tensors[access.tensor].role
            times = {Role.WEIGHT: 1, Role.KV_CACHE: runs}.get(role, 0)
            key = access.tensor, op.split_for  # parts of an op reach different elements
            if times and key not in seen:
                seen.add(key)
                read += times * graph.touched_bytes(access)
        for access in op.writes:
            if graph.tensors[access.tensor].role is Role.KV_CACHE:
                write += runs * graph.touched_bytes(access)
    return read, write


def _memory_ps(size_bytes: int, machine: Machine) -> int:
    return int(size_bytes * PS_PER_S / machine.dram.peak_bytes_per_s)


def _compute_s(stage: Stage, graph: OpGraph, machine: Machine) -> float:
    """Seconds of the MACs that matter, on all engines that multiply and accumulate together."""
    total = 0.0
    for op in stage.ops:
        if op.macs():
            weight = compute_type(op, graph)
            zeros = graph.tensors[op.reads[0].tensor].zeros if op.is_mac else Fraction(0)
            peak = sum(e.peak(weight) / e.live(weight, zeros) for e in machine.mac_engines)
            live = op.live_points() if op.is_mac else op.macs()
            total += live / peak if peak else 0.0
    return total


def _busiest_s(stage: Stage) -> tuple[float, float]:
    """Seconds that the busiest node of a stream works: of those that multiply, of the others.

    A node's firings follow one another on its unit, an interval apart; other stages have none.
    """
    mapping = stage.mapping
    if not isinstance(mapping, StreamMapping):
        return 0.0, 0.0
    graph, longest = mapping.graph, [0, 0]
    for node in graph.nodes:
        kind = 0 if node.macs else 1
        longest[kind] = max(longest[kind], graph.iterations * mapping.busy_cycles(node.name))
    mac, other = (cycles / stage.engine.clock_hz for cycles in longest)
    return mac, other


def _vector_s(stage: Stage, machine: Machine) -> float:
    """Seconds of the vector work, on all vector engines together; kernels do their own."""
    if isinstance(stage.engine, KernelEngine) or isinstance(stage.mapping, CascadeMapping):
        return 0.0  # a cascade divides its softmax between array and lanes
    units = [e for e in machine.engines.values() if isinstance(e, VectorEngine)]
    if isinstance(stage.mapping, FlashMapping):  # its shares are divided once an output
        return _rate_s(softmax_of(stage).whole, units)
    if isinstance(stage.mapping, CollectiveMapping):
        return 0.0
    return sum(_rate_s(op, units) for op in stage.ops if not op.is_mac)


def _rate_s(op: Op, units: list[VectorEngine]) -> float:
    """Seconds of one vector op on all units together."""
    live = op.live_points()
    per_s = 0.0
    for unit in (unit for unit in units if unit.can_run(op)):
        cycles = unit.cycles(*unit.lane_cycles(op), np.array([live]), np.array([op.rows()]))
        per_s += unit.clock_hz / max(1, int(cycles[0]) - 1)  # less one: tiles round up
    return 1.0 / per_s if per_s else 0.0
