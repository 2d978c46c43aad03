"""How much each memory holds and moves over time, in equal parts of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsim.core.units import PS_PER_S
from archsim.ir.record import RunRecord
from archsim.report.account import CLASS
from archsim.report.occupancy import occupancy
from archsim.sim.program import Unit
from archsim.sim.slices import Slices

BUCKETS = 256
Floats = NDArray[np.float64]


def moments(
    run: RunRecord, units: Sequence[Unit], slices: Slices, buckets: int = BUCKETS
) -> list[dict[str, Any]]:
    """One row for each part of the run, in order.

    Args:
        run: what the run left behind.
        units: in the order of `slices.unit`.
        slices: of the run. Of a slice that stands for repeated periods, bytes are spread evenly
            over it, and what it holds is what was held as it began.
        buckets: parts.

    Returns:
        `time_ps`, where the part begins; for each memory `<name>.held_bytes`, the most it held in
        it, and for those behind the chip `<name>.bytes_per_s`, the mean that passed its port. They
        are of one device; where kinds of devices differ, of the kind that has most in that part.
    """
    edges = np.linspace(0, run.time_ps, buckets + 1)
    columns: dict[str, list[Any]] = {"time_ps": [int(ps) for ps in edges[:-1]]}
    kinds = sorted({kind_of(unit.name) for unit in units}) if run.pod else [""]
    curves = [_held(run, slices, kind) for kind in kinds]
    for memory in curves[0]:
        most = [_most(curve[memory], edges) for curve in curves]
        columns[f"{memory}.held_bytes"] = np.max(most, axis=0).tolist()
    for tier in run.memory.tiers:
        passed = [np.zeros(buckets + 1) for _ in kinds]
        for u, unit in enumerate(units):
            port, _, kind = (unit.timeline or "").partition(CLASS)
            if port == tier.name and kind in kinds:
                passed[kinds.index(kind)] += _passed(run, slices, (u, unit), tier.name, edges)
        rate = np.max([np.diff(each) for each in passed], axis=0) / np.diff(edges) * PS_PER_S
        columns[f"{tier.name}.bytes_per_s"] = rate.tolist()
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def kind_of(unit: str) -> str:
    """The kind of device that a unit is of, by its name; empty where all are alike."""
    return unit.partition(CLASS)[2]


def _held(run: RunRecord, slices: Slices, kind: str) -> dict[str, list[tuple[int, int]]]:
    holds = np.array(
        [bool(row.holds) and (not run.pod or kind_of(row.unit) == kind) for row in run.rows],
        dtype=bool,
    )
    told = np.flatnonzero(slices.row >= 0)
    told = told[holds[slices.row[told]]]
    steps = zip(slices.end_ps[told].tolist(), slices.row[told].tolist(), strict=True)
    return occupancy(run, steps)


def _most(curve: list[tuple[int, int]], edges: Floats) -> NDArray[np.int64]:
    """The highest point of a curve in each part between edges."""
    at = np.array([ps for ps, _ in curve])
    held = np.array([size for _, size in curve])
    most: NDArray[np.int64] = held[np.searchsorted(at, edges[:-1], side="right") - 1]
    part = np.clip(np.searchsorted(edges, at, side="right") - 1, 0, len(most) - 1)
    np.maximum.at(most, part, held)
    return most


def _passed(
    run: RunRecord, slices: Slices, unit: tuple[int, Unit], memory: str, edges: Floats
) -> Floats:
    """Bytes that a unit has moved through the port of a memory by each edge."""
    prefix = "dram." if memory == run.machine.dram else f"tier.{memory}."
    each = np.array([sum(n for key, n in row.counts.items() if key.startswith(prefix))
                     for row in run.rows], dtype=np.float64)  # fmt: skip
    return summed(run, slices, unit, each, edges)


def summed(
    run: RunRecord, slices: Slices, unit: tuple[int, Unit], each: Floats, edges: Floats
) -> Floats:
    """What the steps of a unit have added up to by each edge.

    Args:
        run: what the run left behind.
        slices: of the run.
        unit: its index, and itself.
        each: what one step of each row adds, evenly over its work.
        edges: moments in ps, in order.
    """
    own = slices.unit == unit[0]
    row, busy = slices.row[own], slices.busy_ps[own]
    begin, end = slices.begin_ps[own], slices.end_ps[own]
    if not len(row):
        return np.zeros(len(edges))
    size = np.where(row >= 0, each[row], 0.0)
    many = row < 0
    if many.any():  # what the rows told leave of all, by work
        begin = np.where(many, slices.start_ps[own], begin)
        rows = zip(run.rows, each.tolist(), strict=True)
        total = sum(r.executions * n for r, n in rows if r.unit == unit[1].name)
        weight = busy[many] if busy[many].any() else slices.times[own][many]
        size[many] = (total - size.sum()) * weight / weight.sum()
    done = np.cumsum(size)
    times = np.stack([begin, end], axis=1).ravel()
    found: Floats = np.interp(edges, times, np.stack([done - size, done], axis=1).ravel())
    found[edges >= times[-1]] = done[-1]  # a last step of no time adds all of it at once
    return found
