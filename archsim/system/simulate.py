"""From a plan to counters and picoseconds: one schedule, reduced as the fidelity asks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archsim.core.units import PS_PER_S
from archsim.ir.graph import OpGraph
from archsim.ir.record import BoundRecord
from archsim.ir.tensor import Role
from archsim.sim.program import Leaf, Loop
from archsim.sim.result import RunResult
from archsim.sim.simulate import simulate
from archsim.system.build import Machine
from archsim.system.place import Plan
from archsim.system.sequence import Schedule, schedule

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Timed:
    """What one run counted: executions and critical time by row, and the run if there was one."""

    schedule: Schedule
    time_ps: int
    count: Ints
    critical_ps: Ints
    run: RunResult | None


def timed(plan: Plan, *, fidelity: str, engine: str = "compiled", exact: bool = False) -> Timed:
    """Run a plan's schedule, or reduce it without time where `fidelity` is analytic."""
    book = schedule(plan)
    if fidelity == "analytic":
        return _analytic(book)
    run = simulate(book.program, engine=engine, exact=exact)  # type: ignore[arg-type]
    assert run.critical_busy_ps is not None
    assert run.critical_lag_ps is not None
    critical = run.critical_busy_ps + run.critical_lag_ps
    return Timed(book, run.makespan_ps, run.count, critical, run)


def executions(book: Schedule) -> Ints:
    """How often each row runs: the product of the loops around it, and its own repeats."""
    count = np.zeros(len(book.program.rows), dtype=np.int64)

    def walk(nodes: tuple[Loop | Leaf, ...], times: int) -> None:
        for node in nodes:
            if isinstance(node, Loop):
                walk(node.body, times * node.n)
            else:
                for i in node.rows:
                    count[i] += times * book.program.rows[i].run

    walk(book.program.tree, 1)
    return count


def _analytic(book: Schedule) -> Timed:
    """Each stage takes as long as its busiest resource; stages follow each other."""
    program = book.program
    count = executions(book)
    busy: dict[int, dict[str, list[int]]] = {}
    for i, row in enumerate(program.rows):
        unit = program.units[row.unit]
        busy.setdefault(row.op, {}).setdefault(unit.timeline or unit.name, []).append(i)
    critical = np.zeros(len(program.rows), dtype=np.int64)
    for resources in busy.values():
        rows = max(
            resources.values(), key=lambda r: sum(int(count[i]) * program.rows[i].dur_ps for i in r)
        )
        for i in rows:
            critical[i] = int(count[i]) * program.rows[i].dur_ps
    return Timed(book, int(critical.sum()), count, critical, None)


def compulsory_bytes(graph: OpGraph) -> int:
    """Bytes that any machine moves off chip: weights and KV cache read, KV cache written, once."""
    read = graph.read_bytes(Role.WEIGHT) + graph.read_bytes(Role.KV_CACHE)
    return read + graph.write_bytes(Role.KV_CACHE)


def bound(graph: OpGraph, machine: Machine) -> BoundRecord:
    """Closed-form bound of a graph on a machine, in picoseconds (rounded down)."""
    dram = int(compulsory_bytes(graph) * PS_PER_S / machine.dram.peak_bytes_per_s)
    mac_s = 0.0
    for block, op in graph.ops():
        if op.is_mac:
            dtype = graph.tensors[op.reads[1].tensor].dtype.computes_as
            peak = sum(e.macs_per_s(dtype) for e in machine.mac_engines)
            mac_s += block.count * op.macs() / peak if peak else 0.0
    return BoundRecord(dram, int(mac_s * PS_PER_S))
