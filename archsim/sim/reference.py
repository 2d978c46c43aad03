"""Runs a program on SimPy: the reference for the executor, and the home of own behaviours."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray
from simpy import Event

from archsim.core.errors import LawViolation
from archsim.sim.channel import Channel
from archsim.sim.clock import Time, Wake
from archsim.sim.code import Code
from archsim.sim.critical import Log, critical_path
from archsim.sim.deadlock import Blocked, deadlock
from archsim.sim.engine import (
    FINISHED,
    UNKNOWN,
    WAITING,
    Behaviour,
    Step,
    UnitProcess,
    default_behaviour,
)
from archsim.sim.errors import Watchdog
from archsim.sim.fold import Folder, Jump, State, place, watched
from archsim.sim.kernel import GRANT, OWN
from archsim.sim.kernels import pays
from archsim.sim.occupancy import occupancy
from archsim.sim.result import RunResult
from archsim.sim.slices import unfold
from archsim.sim.timeline import SharedTimeline

SAMPLE_PRIORITY = 3  # after the grants of the instant: nothing of it is pending any more
NEVER = -1


class Reference:
    """One run on SimPy."""

    def __init__(
        self,
        code: Code,
        *,
        watch: Collection[int],
        logging: bool,
        behaviours: Mapping[int, Behaviour],
    ) -> None:
        program = code.program
        self.code = code
        self.logging = logging
        self.env = Time()
        self.offset_ps = 0
        self.older: dict[int, tuple[int, int]] = {}  # waits through a jump: their starts by unit
        self.jumps: list[Jump] = []
        self.folder = Folder(self)
        rows = len(program.rows)
        self.count, self.extra_ps = [0] * rows, [0] * rows
        self.stall_in, self.stall_out, self.stall_shared = ([0] * rows for _ in range(3))
        self.cnt = [0] * len(code.slot_n)
        self.due = [NEVER] * len(code.slot_n)
        slots = {code.loops[loop].slot for loop in watch}
        self.first_due = [1 if s in slots else NEVER for s in range(len(code.slot_n))]
        self.skipped = np.zeros(len(program.units), dtype=np.int64)
        self.channels = [Channel(self.env, channel.depth) for channel in program.channels]
        self.steps = [Step(i, row, self.channels) for i, row in enumerate(program.rows)]
        self.lines = [SharedTimeline(self.env, shortcut=not behaviours) for _ in code.timelines]
        self.units: list[UnitProcess] = []
        for u, line in enumerate(code.timeline):
            unit = UnitProcess(self, u, self.lines[line] if line >= 0 else None)
            self.units.append(unit)
        for channel, spec in zip(self.channels, program.channels, strict=True):
            channel.producer = self.units[spec.producer]
            channel.consumer = self.units[spec.consumer]
        for u, unit in enumerate(self.units):
            self.env.process(behaviours.get(u, default_behaviour)(unit))

    @property
    def now_ps(self) -> int:
        """Real time: the environment's, and the periods skipped."""
        return self.env._now + self.offset_ps

    def begin(self, slot: int) -> None:
        """A unit enters a loop."""
        self.cnt[slot] = 0
        self.due[slot] = self.first_due[slot]

    def sample_late(self, loop: int) -> None:
        """Take a sample of a loop at the end of this instant."""

        def sample(_: Event) -> None:
            slot = self.code.loops[loop].slot
            self.due[slot] = self.folder.visit(loop, slot)

        late = Wake(self.env)
        late.callbacks.append(sample)
        self.env.at(self.env._now, late, SAMPLE_PRIORITY)

    def run(self, *, watchdog: bool) -> int:
        """Run to the end; returns the events taken.

        Raises:
            Deadlock: Units wait for each other.
            Watchdog: Time went past the limit.
            LawViolation: Tokens, claimed slots or rows are left.
        """
        limit = self.code.program.upper_bound_ps()
        events = self.env.run_until_idle(limit if watchdog else None)
        unfinished = [unit for unit in self.units if unit.phase != FINISHED]
        if unfinished:
            self._explain(unfinished, limit)
        for channel, spec in zip(self.channels, self.code.program.channels, strict=True):
            if channel.tokens or channel.slots != spec.depth:
                raise LawViolation(
                    f"channel {spec.name} ends with {len(channel.tokens)} tokens and "
                    f"{channel.slots} slots free, not 0 and {spec.depth}"
                )
        return events

    def _explain(self, unfinished: list[UnitProcess], limit: int) -> None:
        blocked = {}
        for unit in unfinished:
            if unit.phase != WAITING or unit.due != UNKNOWN:
                names = tuple(u.name for u in sorted(unfinished, key=lambda u: u.rank))
                raise Watchdog(limit, names)
            blocked[unit.index] = Blocked(self._ring(unit), self._began_ps(unit), unit.row)
        raise deadlock(self.code, blocked)

    def _began_ps(self, unit: UnitProcess) -> int:
        """When a unit began to wait, in real time: before the periods it waited through."""
        since, began = self.older.get(unit.index, (-1, 0))
        return began if since == unit.since else unit.since + self.offset_ps

    def _ring(self, unit: UnitProcess) -> int:
        """The ring a waiting unit waits at."""
        return self.code.verb_ring[self.code.verb_at[4 * unit.row] + unit.operand]

    # What folding needs (fold.Machine).

    def iteration(self, slot: int) -> int:
        """Iteration a loop slot is in, from 0."""
        return self.cnt[slot]

    def totals(self) -> NDArray[np.int64]:
        """All counters, waits in progress up to now, then the steps of each unit."""
        now = self.env._now
        stall_in, stall_out = list(self.stall_in), list(self.stall_out)
        for unit in self.units:
            if unit.phase == WAITING and unit.due == UNKNOWN:
                stall = stall_out if self._ring(unit) % 2 else stall_in
                stall[unit.row] += now - unit.since
        steps = [unit.n for unit in self.units]
        counters = self.count + stall_in + stall_out + self.stall_shared
        return np.concatenate([counters, np.array(steps) + self.skipped]).astype(np.int64)

    def state(self, loop: int, slot: int) -> State:
        """State at the end of an instant; a time in the past can no longer matter."""
        now = self.env._now
        moving = []
        parts: list[object] = []
        for unit in self.units:
            if unit.phase == FINISHED:
                moving.append(-1)
                parts.append(FINISHED)
                continue
            slot, fixed = place(self.code, unit.pc, self.code.loops[loop].outer, self.cnt)
            moving.append(slot)
            parts.append((unit.phase, unit.pc, unit.left, fixed, *self._progress(unit, now)))
        for c, channel in enumerate(self.channels):
            parts.append(channel.slots)
            if channel.tokens:
                written = self.units[self.code.ring_writer[2 * c]].n
                parts.append(_ready_later(channel, now, written))
        for line in self.lines:
            left = max(line.until - now, 0)
            steps_ago = self.units[line.last_user].n - line.last_step
            parts.append((left, line.last_user, steps_ago) if left else ())
        return State(tuple(parts), self.now_ps, tuple(moving))

    def _progress(self, unit: UnitProcess, now: int) -> tuple[object, ...]:
        """What a unit waits for; once the end is known, when that is and what binds the step."""
        operand = unit.operand if unit.phase == WAITING else -1
        if unit.phase == WAITING and unit.due == UNKNOWN:
            return (operand,)
        return (operand, unit.due - now, unit.via, self._steps_ago(unit))

    def _steps_ago(self, unit: UnitProcess) -> int:
        """Distance from the writer's present step back to the one that bound this unit's step."""
        if unit.via == OWN:
            return 1
        if unit.via >= 0:
            ring = self.code.verb_ring[self.code.verb_at[4 * unit.row] + unit.via]
            writer = self.code.ring_writer[ring]
        else:
            writer = GRANT - unit.via
        return self.units[writer].n - unit.pred

    def skip(
        self, times: int, period_ps: int, moves: dict[int, int], delta: NDArray[np.int64]
    ) -> None:
        """Let periods pass: pending events stay where they are, the clock's offset moves."""
        shift = times * period_ps
        rows = len(self.count)
        more = (times * delta).tolist()
        for k, counter in enumerate((self.count, self.stall_in, self.stall_out, self.stall_shared)):
            for row in range(rows):
                counter[row] += more[k * rows + row]
        self.skipped += times * delta[4 * rows :]
        for unit in self.units:
            if not more[4 * rows + unit.index]:
                self.older[unit.index] = unit.since, self._began_ps(unit)
        self.offset_ps += shift
        for slot, step in moves.items():
            self.cnt[slot] += times * step


def _ready_later(channel: Channel, now: int, written: int) -> tuple[object, ...]:
    """Tokens of a channel: those that will still delay their reader, and how many there are."""
    later: list[object] = [len(channel.tokens)]
    past = now
    for i, (ready, author) in enumerate(channel.tokens):
        if ready > past:
            past = ready
            later.append((i, ready - now, written - author))
    return tuple(later)


def run_reference(
    code: Code,
    *,
    exact: bool,
    critical: bool,
    slices: int = 0,
    occupied: bool = False,
    watchdog: bool,
    behaviours: Mapping[int, Behaviour],
) -> RunResult:
    """Run on SimPy and gather the outcome."""
    program = code.program
    fewest = 4 * (len(program.units) + len(program.channels))
    exact = exact or bool(behaviours)
    watch = set() if exact else watched(code, blocks_only=False, fewest_steps=fewest)
    critical, slices = critical and not behaviours, 0 if behaviours else slices
    occupied = occupied and not behaviours
    logging = critical or slices > 0 or occupied
    run = Reference(code, watch=watch, logging=logging, behaviours=behaviours)
    events = run.run(watchdog=watchdog)
    ends = [unit.end for unit in run.units]
    path = told = full = None
    if logging:
        start = list(accumulate((unit.n for unit in run.units), initial=0))[:-1]
        dtypes = (np.int32, np.int32, np.int16)
        columns = [
            np.concatenate([np.empty(0, dtype), *(np.array(u.log[k], dtype) for u in run.units)])
            for k, dtype in enumerate(dtypes)
        ]
        steps = [unit.n + int(run.skipped[unit.index]) for unit in run.units]
        log = Log(start, [unit.n for unit in run.units], *columns)
        plain = not pays(sum(log.steps))
        if critical:
            path = critical_path(code, log, run.jumps, ends, steps, plain=plain)
        if slices:
            told = unfold(code, log, run.jumps, slices, plain=plain)
        if occupied:
            full = occupancy(code, log, plain=plain)
    count = np.array(run.count, dtype=np.int64)
    durations = np.array([row.dur_ps for row in program.rows], dtype=np.int64)
    return RunResult(
        makespan_ps=max(ends, default=0),
        count=count,
        busy_ps=count * durations + np.array(run.extra_ps, dtype=np.int64),
        stall_in_ps=np.array(run.stall_in, dtype=np.int64),
        stall_out_ps=np.array(run.stall_out, dtype=np.int64),
        stall_shared_ps=np.array(run.stall_shared, dtype=np.int64),
        unit_end_ps=np.array(ends, dtype=np.int64),
        critical_busy_ps=path[0] if path else None,
        critical_lag_ps=path[1] if path else None,
        folds=run.folder.folds(),
        engine="simpy",
        steps=program.steps(),
        steps_simulated=sum(unit.n for unit in run.units),
        events=events,
        slices=told,
        occupancy=full,
    )
