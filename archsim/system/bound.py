"""The least time physics allows: compulsory bytes and arithmetic at peak rates, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from archsim.core.units import PS_PER_S
from archsim.ir.graph import OpGraph
from archsim.ir.record import BoundRecord
from archsim.ir.tensor import Role
from archsim.system.bound_demand import (
    communication_ps,
    compulsory_bytes,
    demands,
    stage_demand,
)
from archsim.system.bound_rates import (
    OfMachine,
    busiest_s,
    compute_s,
    least_times,
    port_ps,
    vector_s,
)
from archsim.system.inside import outside, stage_least
from archsim.system.place import Plan, Stage
from archsim.system.runs import runs_of

__all__ = [
    "StageBound",
    "bound",
    "communication_ps",
    "compulsory_bytes",
    "least_moved_bytes",
    "one_after_another_ps",
    "stage_bounds",
]


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


def bound(plan: Plan) -> BoundRecord:
    """Closed-form bound of a plan's graph on its machine, in picoseconds (rounded down).

    It is of this dispatch: what rules send into a memory is read there, by units of its own.

    Over several devices: that of the one which takes longest, by each measure.
    """
    found = least_times(demands(plan), OfMachine(plan.machine))
    return BoundRecord(found.memory_ps, found.compute_ps, found.vector_ps, found.communication_ps)


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
    graph, rates, rows = plan.graph, OfMachine(plan.machine), []
    port = plan.machine.dram.peak_bytes_per_s
    for block in plan.blocks:
        seen: set[tuple[str, str]] = set()
        for stage in block.stages:
            times, op = runs.get(block.block.name, 1), stage.ops[0]
            count = times * block.block.count
            read, write = (block.block.count * n for n in _moved(graph, stage, seen, times))
            one = stage_demand(stage, graph, plan.machine)
            mac_s, other_s = busiest_s(one, rates)
            inside = stage_least(stage).times(count)
            rows.append(
                StageBound(
                    stage.path,
                    op.op_class,
                    count,
                    count * sum(o.live_points() for o in stage.ops if o.is_mac),
                    read,
                    write,
                    inside.memory_ps or port_ps(read + write, port),
                    max(_ps(count * max(compute_s(one, rates), mac_s)), inside.compute_ps),
                    _ps(count * max(vector_s(one, rates), other_s)),
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


def _ps(seconds: float) -> int:
    return int(seconds * PS_PER_S)
