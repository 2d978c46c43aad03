"""Time of a stream of commands to one channel, in order: each is issued when all rules allow it.

A loop whose state comes back to where it was, but for the time, goes on in the same way: the rest
of its turns is multiplied, not walked. Where rows lie is in `layouts`, which commands a product
needs in `gemv`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import ceil
from typing import Literal

from archsim.memory.pim.gemv_ahead import read_ahead
from archsim.memory.pim.gemv_rules import StreamRules

WAITS = ("mac", "row", "input", "result", "compute", "power", "refresh", "mode")
KINDS = {"mac": "mac", "input": "input", "bias": "result", "result": "result"}
"""What the ticks of a command are spent on, by its role."""

CLOSED, MATRIX, RESERVED = range(3)
"""What is open: nothing, a row of the matrix, the row that transfers go to."""

Role = Literal["mac", "input", "bias", "result"]
Times = dict[tuple[int, int], list[int]]
"""When a command was last issued, by set of banks and number of banks within it."""


@dataclass(frozen=True, slots=True)
class Row:
    """Opens another row in all banks that work; what was open is closed first."""


@dataclass(frozen=True, slots=True)
class Run:
    """A number of one command: for what, and the ticks that each takes of a unit."""

    command: str
    count: int
    role: Role
    every: float = 1


@dataclass(frozen=True, slots=True)
class Loop:
    """Turns of some commands."""

    count: int
    body: tuple[Node, ...]


Node = Row | Run | Loop


class Stream:
    """The state of a channel along a stream.

    Attributes:
        now: tick of the latest command.
        counts: commands so far, by name.
        waits: ticks so far, by what they were spent on.
        moved: transfers so far, by role.
    """

    def __init__(self, rules: StreamRules, opens: int) -> None:
        """Begin before the first tick.

        Args:
            rules: of the channel.
            opens: commands that open one row in all banks that work.
        """
        self.rules, self.opens = rules, opens
        self.now = 0
        self.counts: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()
        self.moved: Counter[str] = Counter()
        self._times: dict[str, Times] = {}
        self._set = 0  # of banks, where the next row is opened in others meanwhile
        self._register = self._fresh = False
        self._open = CLOSED
        self._hold = self._unit = 0  # until then: nothing is decoded; units have work
        self._latest, self._kind = "", "row"
        self._lead = self._tail = self._bus = 0  # of transfers beside MACs: first, last, all
        self._most, self._far = rules.most, rules.furthest

    def walk(self, nodes: tuple[Node, ...]) -> None:
        """Issue all commands of a nest."""
        for node in nodes:
            if isinstance(node, Row):
                self._row()
            elif isinstance(node, Loop):
                self._loop(node)
            elif node.count:
                self._run(node)

    def end(self) -> int:
        """Ticks until all has ended; to be asked once."""
        tail = self.rules.flight.get(self._latest, 1) + self.rules.end(self._latest)
        more = max(self._unit - self.now - tail, 0)
        self.waits[self._kind] += tail
        self.waits["compute" if self.rules.slots > 1 else self._kind] += more
        tail += more
        self.waits["input"] += self._lead
        self.waits["result"] += self._tail
        total = self.now + tail + self._lead + self._tail
        self.waits["input"] += max(self._bus - total, 0)
        return max(total, self._bus)

    def _loop(self, loop: Loop) -> None:
        before: tuple[object, ...] = ()
        for done in range(1, loop.count + 1):
            start, bus = self.now, self._bus
            was = [one.copy() for one in (self.counts, self.waits, self.moved)]
            self.walk(loop.body)
            state = self._state()
            if state == before and done < loop.count:
                left = loop.count - done
                self._shift((self.now - start) * left)
                self._bus += (self._bus - bus) * left
                for total, old in zip((self.counts, self.waits, self.moved), was, strict=True):
                    for name in tuple(total):
                        total[name] += (total[name] - old[name]) * left
                return
            before = state

    def _state(self) -> tuple[object, ...]:
        """All that later commands depend on, as seen from now."""
        now, far = self.now, self._far
        seen = {
            (name, which == self._set, bank): [min(now - at, far) for at in times]
            for name, issued in self._times.items()
            for (which, bank), times in issued.items()
        }
        ahead = max(self._hold - self.now, 0), max(self._unit - self.now, 0)
        return seen, ahead, self._register, self._open, self._latest, self._fresh

    def _shift(self, ticks: int) -> None:
        self.now += ticks
        self._hold += ticks
        self._unit += ticks
        for issued in self._times.values():
            for times in issued.values():
                times[:] = [at + ticks for at in times]

    def _legal(self, command: str, bank: int) -> int:
        """First tick at which the rules allow a command to banks of a number."""
        first, again = 0, command == self.rules.form.open
        for gap in self.rules.gaps.get(command, ()):
            issued = self._times.get(gap.previous)
            if issued is None:
                continue
            if gap.own:
                one = again and gap.previous == command
                found = [
                    at
                    for (which, where), times in issued.items()
                    if which == self._set and (where == bank or not one)
                    for at in times
                ]
            elif len(issued) == 1:
                (found,) = issued.values()
            else:
                found = [at for times in issued.values() for at in times]
            if len(found) >= gap.window:
                latest = max(found) if gap.window == 1 else sorted(found)[-gap.window]
                first = max(first, latest + gap.ticks)
        return first

    def _issue(self, command: str, bank: int, kind: str, at: int = 0) -> None:
        """Issue one command at its first legal tick."""
        needed = command in self.rules.register
        if self.rules.change_mode and needed != self._register:
            legal = max(self._legal(command, bank), self._hold, at, self.now + 1)
            self._note(self.rules.change_mode, -1, legal, kind)
            self._register = needed
        legal = max(self._legal(command, bank), self._hold, at, self.now + 1)
        if self._latest == self.rules.change_mode:
            kind = "mode"
        self._note(command, bank, legal, kind)
        if command in self.rules.blocks:
            self._hold = legal + self.rules.flight[command] + 1

    def _note(self, command: str, bank: int, at: int, kind: str) -> None:
        self.waits[kind] += at - self.now
        self.now, self._latest = at, command
        self._record(command, bank, at)

    def _record(self, command: str, bank: int, at: int) -> None:
        self.counts[command] += 1
        times = self._times.setdefault(command, {}).setdefault((self._set, bank), [])
        times.append(at)
        del times[: -self._most]

    def _row(self, to: int = MATRIX) -> None:
        """Open a row, closing what is open."""
        form = self.rules.form
        if form.overlaps_rows:
            self._beside()
        else:
            if self._open != CLOSED:
                self._issue(form.close, -1, "row")
            for bank in range(self.opens):
                self._issue(form.open, bank, "power" if bank else "row")
        self._open, self._fresh = to, True

    def _beside(self) -> None:
        """Open a row in other banks while units still read; these are free since their last."""
        form = self.rules.form
        self._set = 1 - self._set
        at = 0
        if (self._set, 0) in self._times.get(form.open, ()):
            at = self._legal(form.close, -1)
            self._record(form.close, -1, at)
        for bank in range(self.opens):
            at = max(self._legal(form.open, bank), at + 1)
            self._record(form.open, bank, at)

    def _run(self, run: Run) -> None:
        form, rules = self.rules.form, self.rules
        mac = run.role == "mac"
        ahead = mac and rules.slots > 1
        spacing = max(rules.spacing(run.command), not ahead and ceil(run.every))
        if not mac:
            self.moved[run.role] += run.count
            if form.overlaps_transfers:
                self._pass(run, spacing)
                return
        if run.command in rules.reserved and self._open != RESERVED:
            self._row(RESERVED)
        elif mac and self._open == RESERVED:
            self._row()
        follows = self._latest == form.mac
        kind = KINDS[run.role]
        if mac and self._fresh:
            kind = "row"
        elif mac and not follows:
            kind = self._kind
        self._fresh = self._fresh and not mac
        if ahead:
            self._ahead(run, spacing, kind)
            return
        start = self.now
        waits = run.role in ("mac", "result")
        self._issue(run.command, -1, kind, self._unit if waits else 0)
        if mac and follows:
            passed = min(self.now - start, spacing)
            self.waits[kind] -= passed
            self._macs(1, passed)
        self._kind = KINDS[run.role]
        self._again(run, run.count - 1, spacing)

    def _ahead(self, run: Run, spacing: int, kind: str) -> None:
        """Reads into a buffer, which wait where it is full of what arithmetic has not reached."""
        legal = max(self._legal(run.command, -1), self.now + 1)
        reads = read_ahead(legal, self._unit, run.count, spacing, run.every, self.rules.slots)
        even = spacing * (run.count - 1)
        passed = min(legal - self.now, spacing) if self._latest == run.command else 0
        self.waits[kind] += legal - self.now - passed
        self._macs(run.count, passed + even)
        self.waits["compute"] += reads.last - legal - even
        self.now, self._unit = reads.last, reads.until
        self._latest, self._kind = run.command, "mac"
        self.counts[run.command] += run.count
        last = [self.now - spacing * i for i in reversed(range(min(run.count, self._most)))]
        self._times.setdefault(run.command, {})[self._set, -1] = last

    def _again(self, run: Run, more: int, spacing: int) -> None:
        """The rest of a run, at even spacing."""
        if more:
            if run.role == "mac":
                self._macs(more, spacing * more)
            else:
                self.waits[self._kind] += spacing * more
            self.now += spacing * more
            self.counts[run.command] += more
            times = self._times[run.command][self._set, -1]
            last = [self.now - spacing * i for i in reversed(range(min(more, self._most)))]
            times[:] = (times + last)[-self._most :]
        if run.role == "mac":
            self._unit = self.now + ceil(run.every)
        if run.command in self.rules.blocks:
            self._hold = self.now + self.rules.flight[run.command] + 1

    def _pass(self, run: Run, spacing: int) -> None:
        """Transfers beside MACs: the bus alone limits them, but for the first and the last."""
        if run.role == "input" and not self.now:
            self._lead += run.count * spacing
        elif run.role == "result":
            self._tail = (run.count - 1) * spacing + self.rules.flight[run.command] - 1
        self.counts[run.command] += run.count
        self._bus += run.count * spacing

    def _macs(self, count: int, ticks: int) -> None:
        """Ticks of MAC commands: their data, then what power, then what arithmetic adds."""
        data = min(ticks, count * self.rules.data_mac)
        limited = max(min(ticks, count * self.rules.spacing(self.rules.form.mac)), data)
        self.waits["mac"] += data
        self.waits["power"] += limited - data
        self.waits["compute"] += ticks - limited
