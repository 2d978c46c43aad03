"""From a plan to counters and picoseconds: one schedule, reduced as the fidelity asks.

The closed-form bound is in `system.bound`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archsim.sim.errors import Deadlock
from archsim.sim.program import Leaf, Loop
from archsim.sim.result import RunResult
from archsim.sim.simulate import simulate
from archsim.system.bank_cost import Streams
from archsim.system.place import Plan, Pod
from archsim.system.rows import ISSUE
from archsim.system.schedule import Schedule, schedule, schedule_to_run, sequenced
from archsim.system.split_lanes import parts_at_once
from archsim.system.stream_stuck import streams_of, stuck

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Timed:
    """What one run counted: executions and critical time by row, and the run if there was one."""

    schedule: Schedule
    time_ps: int
    count: Ints
    critical_ps: Ints
    run: RunResult | None


def timed(
    plan: Plan,
    *,
    fidelity: str,
    engine: str = "compiled",
    exact: bool = False,
    slices: int = 0,
    streams: Streams | None = None,
) -> Timed:
    """Run a plan's schedule, or reduce it without time where `fidelity` is analytic.

    With `slices`, the run keeps a timeline of at most so many. `streams` are those that memories
    with banks were sent before; new ones are added.
    """
    try:
        return _timed(plan, fidelity, engine, exact, slices, streams)
    except Deadlock as error:
        raise stuck(plan, error) from None


def _timed(
    plan: Plan, fidelity: str, engine: str, exact: bool, slices: int, streams: Streams | None
) -> Timed:
    if fidelity == "analytic":
        return _analytic(plan)
    book = schedule_to_run(plan, banks=_banks(fidelity, streams), exact=exact)
    run = simulate(
        book.program,
        engine=engine,  # type: ignore[arg-type]
        exact=exact,
        slices=slices,
        occupied=bool(streams_of(plan)),
    )
    assert run.critical_busy_ps is not None
    assert run.critical_lag_ps is not None
    critical = run.critical_busy_ps + run.critical_lag_ps
    return Timed(book, run.makespan_ps, run.count, critical, run)


def makespan_ps(plan: Plan, fidelity: str, streams: Streams | None = None) -> int:
    """How long a plan takes, and nothing else: no proof before and no critical path after.

    `streams` are those of `timed`.

    Raises:
        Deadlock: when units wait for each other.
    """
    if fidelity == "analytic":
        return _analytic(plan).time_ps
    program = sequenced(plan, banks=_banks(fidelity, streams)).program
    return simulate(program, critical_path=False).makespan_ps


def _banks(fidelity: str, streams: Streams | None) -> Streams | None:
    """Banks are simulated at one fidelity only."""
    if fidelity != "cycle":
        return None
    return {} if streams is None else streams


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


def _analytic(plan: Plan) -> Timed:
    """Each stage takes as long as its launch and its busiest resource; stages follow each other.

    Parts of an op that a rule split run at once, so that they are one stage here.
    A stage is launched before anything of it moves, so that nothing hides it. Of devices that run
    one share, and of shares of one pipeline stage, which run side by side, the slowest counts. Of
    the stages of a pipeline the slowest counts, and one microbatch of each of the others: while
    those before it begin and those behind it end.
    """
    book = schedule(plan)
    program = book.program
    count = executions(book)
    busy: dict[int, dict[str, list[int]]] = {}
    alone = np.zeros(len(program.rows), dtype=np.int64)
    at_once = parts_at_once(book.stages, book.class_of)
    for i, row in enumerate(program.rows):
        unit = program.units[row.unit]
        if unit.role == ISSUE:
            alone[i] = int(count[i]) * row.dur_ps
            continue
        busy.setdefault(at_once[row.op], {}).setdefault(unit.timeline or unit.name, []).append(i)
    for resources in busy.values():
        rows = max(
            resources.values(), key=lambda r: sum(int(count[i]) * program.rows[i].dur_ps for i in r)
        )
        for i in {*rows, *_before(book, resources)}:
            alone[i] = int(count[i]) * program.rows[i].dur_ps
    critical = alone if plan.pod is None else _slowest(plan.pod, book, alone)
    return Timed(book, int(critical.sum()), count, critical, None)


def _before(book: Schedule, resources: dict[str, list[int]]) -> Iterator[int]:
    """Loads of weights and arithmetic, of a stage whose weights come before it."""
    program = book.program
    for i in (i for rows in resources.values() for i in rows):
        row = program.rows[i]
        stage, unit = book.stages[row.op], program.units[row.unit].name.partition("@")[0]
        name = stage.engine.name
        if getattr(stage.mapping, "ahead", False) and unit in (name, f"{name}.load_weight"):
            yield i


def _slowest(pod: Pod, book: Schedule, alone: Ints) -> Ints:
    """Of the time of rows on each class of devices, that which the whole takes."""
    of = np.array([book.class_of[row.op] for row in book.program.rows], dtype=np.int64)
    time = np.bincount(of, weights=alone, minlength=len(book.classes))
    plan = pod.partition.plan
    groups = plan.groups("pipeline")
    stage_of = {d: (i, d // plan.of_a_kind) for group in groups for i, d in enumerate(group)}
    slowest: dict[tuple[int, int], int] = {}  # class by stage, and by kind of device
    for i, one in enumerate(book.classes):
        stage = stage_of[one.devices[0]]
        if stage not in slowest or time[i] > time[slowest[stage]]:
            slowest[stage] = i
    last = max(slowest.values(), key=lambda i: time[i])
    parts = plan.microbatches or 1
    critical = np.zeros_like(alone)
    for i in slowest.values():
        critical[of == i] = alone[of == i] // (1 if i == last else parts)
    return critical
