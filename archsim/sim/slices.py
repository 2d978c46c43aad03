"""The timeline of a run: what each unit did when, from the log of its steps and the jumps.

Periods that were counted stand here as if they had been simulated, or as one slice for all of
them where there would be too many. Slices of a unit follow each other without a gap or an overlap
and add up to its counters. Names, bytes and files belong to the callers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsim.core.errors import LawViolation
from archsim.sim import replay
from archsim.sim.code import Code
from archsim.sim.critical import Log
from archsim.sim.fold import Jump
from archsim.sim.kernels import compiled

Ints = NDArray[np.int64]
REPEATED, REST = -1, -2  # in place of a row: periods that were counted, or the steps left out
COLUMNS = 7  # of a table of steps: row, times, begin, in, out, shared, busy
ROW, TIMES, BEGIN, IN, OUT, SHARED, BUSY = range(COLUMNS)


@dataclass(frozen=True, slots=True)
class Slices:
    """Columns of one length, in order of the units and of time.

    From `begin_ps - in_ps - out_ps - shared_ps` on a unit waits for tokens, then for slots, then
    for the grant of its shared timeline; from `begin_ps` on it is busy.

    Attributes:
        unit: Index of the unit.
        row: Row id; REPEATED for all periods of one jump, in which waits and work alternate, and
            REST for all steps after the last that is told.
        times: 1 for a row, else periods or steps.
        begin_ps: When the waits are over.
        in_ps, out_ps, shared_ps: Waits.
        busy_ps: Use of the timeline.
    """

    unit: Ints
    row: Ints
    times: Ints
    begin_ps: Ints
    in_ps: Ints
    out_ps: Ints
    shared_ps: Ints
    busy_ps: Ints

    @property
    def start_ps(self) -> Ints:
        """When the unit's slice before has ended."""
        start: Ints = self.begin_ps - self.in_ps - self.out_ps - self.shared_ps
        return start

    @property
    def end_ps(self) -> Ints:
        """When the unit goes on to its next slice."""
        end: Ints = self.begin_ps + self.busy_ps
        return end


def unfold(code: Code, log: Log, jumps: Sequence[Jump], most: int, *, plain: bool) -> Slices:
    """The timeline that a log and its jumps tell.

    Args:
        code: The program.
        log: Its steps as simulated.
        jumps: The periods skipped, in order.
        most: Slices to tell. Where all steps are more, each unit has one slice for the periods of
            a jump; where steps simulated are more, the later ones are one slice for each unit.
        plain: Whether to replay in plain Python even where a compiled form is there.

    Raises:
        LawViolation: The log contradicts itself.
    """
    tables = _simulated(code, log, plain=plain)
    counted = sum(int(jump.period.sum()) * jump.times for jump in jumps)
    whole = sum(log.steps) + counted <= most
    woven = [_Weave(u, table, code) for u, table in enumerate(tables)]
    for jump in jumps:
        for unit in woven:
            unit.jump(jump, whole=whole)
    tables = [unit.close() for unit in woven]
    if sum(table.shape[1] for table in tables) > most:
        tables = _cut(tables, most)
    units = np.repeat(np.arange(len(tables)), [table.shape[1] for table in tables])
    return Slices(units, *np.concatenate(tables, axis=1))


def replayed(code: Code, log: Log, *, plain: bool) -> tuple[Ints, Ints, Ints]:
    """When each step of a log began, and how long it waited for tokens and for slots.

    Times are as if nothing had been skipped.

    Raises:
        LawViolation: The log contradicts itself.
    """
    function = None if plain else compiled("replay")

    def ints(values: Iterable[int]) -> Any:
        found = list(values)
        return found if function is None else np.array(found, dtype=np.int64)

    rows, total, units = code.program.rows, sum(log.steps), len(code.start)
    columns: tuple[Any, ...] = (log.row, log.pred, log.via)
    if function is None:
        columns = tuple(memoryview(column) for column in columns)
    depth = code.ring_depth
    size = int(log.start[-1] + log.steps[-1]) if units else 0
    result: tuple[Any, ...] = tuple(
        [0] * size if function is None else np.zeros(size, dtype=np.int64) for _ in range(3)
    )
    run: Callable[..., int] = function or replay.replay
    played = run(
        *(ints(row.dur_ps for row in rows), ints(row.lag_ps for row in rows)),
        *(ints(code.verb_at), ints(code.verb_ring), ints(code.ring_at), ints(depth)),
        *(ints(log.start), ints(log.steps), *columns),
        *(ints(d if r % 2 else 0 for r, d in enumerate(depth)), ints([0] * len(depth))),
        ints([0] * code.ring_at[-1]),
        *(ints([0] * units), ints([-1] * units), ints([0] * units)),
        *result,
    )
    if played != total:
        raise LawViolation(f"the log of steps stops making sense after {played} of {total}")
    begin, waited_in, waited_out = (np.asarray(column, dtype=np.int64) for column in result)
    return begin, waited_in, waited_out


def _simulated(code: Code, log: Log, *, plain: bool) -> list[Ints]:
    """A table of the simulated steps of each unit, times as if nothing had been skipped."""
    begin, waited_in, waited_out = replayed(code, log, plain=plain)
    rows = code.program.rows
    durations = np.array([row.dur_ps for row in rows], dtype=np.int64)
    tables = []
    for first, steps in zip(log.start, log.steps, strict=True):
        part = slice(int(first), int(first) + steps)
        row = np.asarray(log.row[part], dtype=np.int64)
        busy = durations[row]
        ends = np.concatenate([[0], (begin[part] + busy)[:-1]]) if steps else begin[part]
        shared = begin[part] - ends - waited_in[part] - waited_out[part]
        once = np.ones(steps, dtype=np.int64)
        tables.append(
            np.array([row, once, begin[part], waited_in[part], waited_out[part], shared, busy])
        )
    return tables


class _Weave:
    """Puts the periods that jumps skipped back among the simulated steps of one unit."""

    def __init__(self, unit: int, simulated: Ints, code: Code) -> None:
        rows = code.program.rows
        self.unit = unit
        self.own = np.array([row.unit == unit for row in rows], dtype=bool)
        self.durations = np.array([row.dur_ps for row in rows], dtype=np.int64)
        self.simulated = simulated
        self.taken = 0  # of the simulated steps
        self.steps = 0  # told so far, counted ones included
        self.shift = 0  # ps skipped so far
        self.late: Ints = np.zeros(COLUMNS, dtype=np.int64)  # waits through jumps
        self.table: Ints = np.empty((COLUMNS, 0), dtype=np.int64)

    def jump(self, jump: Jump, *, whole: bool) -> None:
        """Let the periods of a jump pass, each step of them told or all in one slice."""
        period, times = int(jump.period[self.unit]), jump.times
        self._take(int(jump.at[self.unit]) + period - self.steps)
        grown = self._grown(jump)
        if period == 0:
            self.late += times * grown
        elif whole:
            self._repeat(period, jump, grown)
        else:
            last = self.table[:, -1]
            block = times * grown
            block[ROW], block[TIMES] = REPEATED, times
            block[BEGIN] = last[BEGIN] + last[BUSY] + int(block[IN : SHARED + 1].sum())
            self.table = np.concatenate([self.table, block[:, None]], axis=1)
        self.steps += times * period
        self.shift += times * jump.period_ps

    def close(self) -> Ints:
        """The table of all steps."""
        self._take(self.simulated.shape[1] - self.taken)
        return self.table

    def _take(self, steps: int) -> None:
        """Tell the next simulated steps; the first of them may have waited through jumps."""
        if steps == 0:
            return
        part = self.simulated[:, self.taken : self.taken + steps].copy()
        part[BEGIN] += self.shift
        part[:, 0] += self.late
        self.late[:] = 0
        self.taken += steps
        self.steps += steps
        self.table = np.concatenate([self.table, part], axis=1)

    def _grown(self, jump: Jump) -> Ints:
        """What one period adds to the counters of this unit."""
        count, waited_in, waited_out, shared = jump.grown.reshape(4, -1)[:, self.own]
        found = np.zeros(COLUMNS, dtype=np.int64)
        found[IN:] = waited_in.sum(), waited_out.sum(), shared.sum(), 0
        found[BUSY] = int(count @ self.durations[self.own])
        return found

    def _repeat(self, period: int, jump: Jump, grown: Ints) -> None:
        """Tell the last period again and again.

        A period may begin in the middle of a wait; what is left of its waits once all others are
        counted belongs to the step that waits across its beginning.
        """
        part = self.table[:, -period:].copy()
        waits = slice(IN, SHARED + 1)
        part[waits, 0] = grown[waits] - part[waits, 1:].sum(axis=1)
        many = np.tile(part, jump.times)
        many[BEGIN] += np.repeat(np.arange(1, jump.times + 1) * jump.period_ps, period)
        self.table = np.concatenate([self.table, many], axis=1)


def _cut(tables: list[Ints], most: int) -> list[Ints]:
    """Tables of at most so many steps; those that begin to wait later are one for each unit."""
    starts = [t[BEGIN] - t[IN] - t[OUT] - t[SHARED] for t in tables]
    last = np.partition(np.concatenate(starts), most - 1)[most - 1]
    found = []
    for table, start in zip(tables, starts, strict=True):
        kept = int(np.searchsorted(start, last, side="left"))
        told, rest = table[:, :kept], table[:, kept:]
        if rest.shape[1]:
            one = rest.sum(axis=1)
            one[ROW], one[TIMES] = REST, rest.shape[1]
            one[BEGIN] = start[kept] + int(one[IN : SHARED + 1].sum())
            told = np.concatenate([told, one[:, None]], axis=1)
        found.append(told)
    return found
