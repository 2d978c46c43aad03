"""A unit of the SimPy engine: one process that walks its rows and only waits.

All state is on the object, none in generator locals, so that folding can read and move it. The run
around the units (folding, deadlocks, the outcome) lives in `reference`.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Generator, Iterator
from heapq import heappush
from typing import TYPE_CHECKING, Any

from archsim.sim.clock import NORMAL, Wake
from archsim.sim.code import BEGIN, END, ROW
from archsim.sim.kernel import GRANT, OWN

if TYPE_CHECKING:
    from simpy import Event

    from archsim.sim.channel import Channel
    from archsim.sim.program import Row
    from archsim.sim.reference import Reference
    from archsim.sim.timeline import SharedTimeline

Waits = Generator["Event", Any, None]
Behaviour = Callable[["UnitProcess"], Waits]

RUNNING, WAITING, BUSY, FINISHED = range(4)
UNKNOWN = -1  # end of a wait for something nobody has given yet


class Step:
    """A row with its channels at hand; `operands` get its takes, then its reserves, in order."""

    __slots__ = ("dur_ps", "free", "index", "lag_ps", "operands", "put", "run", "takes", "wanted")

    def __init__(self, index: int, row: Row, channels: list[Channel]) -> None:
        self.index = index
        self.dur_ps = row.dur_ps
        self.lag_ps = row.lag_ps
        self.run = row.run
        gets = [channels[c].get for c in row.take]
        self.operands = (*gets, *(channels[c].reserve for c in row.reserve))
        self.takes = len(row.take)
        self.wanted = len(self.operands)
        self.put = tuple(channels[c] for c in row.put)
        self.free = tuple(channels[c] for c in row.free)


class UnitProcess:
    """One unit at work.

    A behaviour of one's own is a generator function that gets this object and walks its rows:

        def behaviour(unit):
            for row in unit.rows():
                yield from unit.take(row)
                yield from unit.reserve(row)
                yield from unit.use(row)
                unit.free(row)
                unit.put(row)

    In between it may yield events of `env` to spend time of its own.
    """

    __slots__ = (
        *("due", "end", "env", "got", "index", "left", "line", "log", "n", "name", "operand"),
        *("pc", "phase", "pred", "queue", "rank", "row", "run", "since", "via"),
    )

    def __init__(self, run: Reference, index: int, line: SharedTimeline | None) -> None:
        self.run = run
        self.env = run.env
        self.queue = run.env.queue
        self.index = index
        self.name = run.code.program.units[index].name
        self.rank = run.code.rank[index]
        self.line = line
        self.pc = run.code.start[index]
        self.left = 0
        self.row = 0
        self.phase = RUNNING
        self.got = 0  # operands of the row it has or waits for
        self.operand = 0  # what it waits for, among the row's takes and reserves
        self.since = 0  # when it began to wait, in the environment's time
        self.due = UNKNOWN  # when its wait or its use of a timeline ends, likewise
        self.via = OWN  # what bound the step so far (see critical.Log) ...
        self.pred = -1  # ... and the number of that step
        self.n = 0
        self.end = -1
        self.log = (array("i"), array("i"), array("h"))

    def rows(self) -> Iterator[Step]:
        """The unit's rows in order, each as often as the program says."""
        run, code = self.run, self.run.code
        op, arg, target, slot_n = code.op, code.arg, code.target, code.slot_n
        count, cnt, due, steps, logging = run.count, run.cnt, run.due, run.steps, run.logging
        log_row, log_pred, log_via = (column.append for column in self.log)
        while True:
            word = self.pc
            kind = op[word]
            if kind == ROW:
                self.row = row = arg[word]
                step = steps[row]
                self.left = step.run
                while self.left:
                    self.via = OWN
                    self.got = 0
                    yield step
                    count[row] += 1
                    if logging:
                        log_row(row)
                        log_pred(self.pred)
                        log_via(self.via)
                    self.n += 1
                    self.left -= 1
                self.pc = word + 1
            elif kind == END:
                slot = arg[word]
                if cnt[slot] + 1 < slot_n[slot]:
                    cnt[slot] += 1
                    self.pc = target[word]
                    if cnt[slot] == due[slot]:
                        run.sample_late(code.slot_loop[slot])
                else:
                    self.pc = word + 1
            elif kind == BEGIN:
                run.begin(arg[word])
                self.pc = word + 1
            else:
                self.phase = FINISHED
                self.end = run.now_ps
                return

    def ask(self, row: Step, wanted: int) -> Event | None:
        """Get operands up to a number of them; an event to wait for, after which to ask again."""
        got, operands = self.got, row.operands
        while got < wanted:
            event = operands[got](got)
            got += 1
            if event is not None:
                self.got = got
                return event
        self.got = got
        return None

    def take(self, row: Step) -> Waits:
        """Get a token of every channel of the row, in order."""
        while event := self.ask(row, row.takes):
            yield event

    def reserve(self, row: Step) -> Waits:
        """Claim a slot of every channel of the row, in order."""
        while event := self.ask(row, row.wanted):
            yield event

    def use(self, row: Step, dur_ps: int | None = None) -> Waits:
        """Use the timeline for the row's duration, or one of the caller's."""
        if dur_ps is not None:
            self.run.extra_ps[self.row] += dur_ps - row.dur_ps
        if event := self.start(row.dur_ps if dur_ps is None else dur_ps):
            yield event

    def start(self, dur_ps: int) -> Event | None:
        """Begin to use the timeline; the event of the end, or None when that is now."""
        self.phase = BUSY
        if self.line is not None:
            return self.line.use(self, dur_ps)
        if dur_ps:
            env = self.env
            event = Wake(env)
            self.due = env._now + dur_ps
            heappush(self.queue, (self.due, NORMAL, next(env._eid), event))
            return event
        return None

    def free(self, row: Step) -> None:
        """Give the row's slots back."""
        for channel in row.free:
            channel.free(self.n)

    def put(self, row: Step) -> None:
        """Give the row's tokens, ready after its lag."""
        for channel in row.put:
            channel.put(row.lag_ps, self.n)

    def waits(self, operand: int) -> None:
        """Called by a channel: this unit waits at an operand (takes first, then reserves)."""
        self.phase = WAITING
        self.operand = operand
        self.since = self.env._now
        self.due = UNKNOWN

    def waits_until(self, when_ps: int, author: int) -> None:
        """Called by a channel: the wait ends then, thanks to a step of the other end."""
        self.due = when_ps
        waited = when_ps - self.since
        if waited:
            run, row = self.run, self.row
            stall = run.stall_in if self.operand < run.steps[row].takes else run.stall_out
            stall[row] += waited
            self.via = self.operand
            self.pred = author

    def granted_after(self, waited_ps: int, user: int, step: int) -> None:
        """Called by the shared timeline when it grants later than asked, after a user's step."""
        self.run.stall_shared[self.row] += waited_ps
        self.via = GRANT - user
        self.pred = step


def default_behaviour(unit: UnitProcess) -> Waits:
    """What every unit does: get, reserve, use, free, put; the verbs without their generators."""
    for row in unit.rows():
        while event := unit.ask(row, row.wanted):
            yield event
        if event := unit.start(row.dur_ps):
            yield event
        if row.free:
            unit.free(row)
        if row.put:
            unit.put(row)
