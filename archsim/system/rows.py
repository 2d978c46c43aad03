"""The book that a schedule is written in: units, channels and rows, and what rows count."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from archsim.sim.program import Channel, Leaf, Loop, Program, Row, Unit
from archsim.system.transfers import Transfer

if TYPE_CHECKING:
    from archsim.system.classes import Meetings

ISSUE, RETIRE, LOAD, STORE, COMPUTE = range(5)  # roles: the order in which ports are served


@dataclass
class Draft:
    """A row that may still gain tokens before it is written down."""

    unit: int
    op: int
    dur_ps: int = 0
    lag_ps: int = 0
    run: int = 1
    take: list[int] = field(default_factory=list)
    reserve: list[int] = field(default_factory=list)
    put: list[int] = field(default_factory=list)
    free: list[int] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    holds: dict[str, int] = field(default_factory=dict)  # bytes by memory, taken or given back
    transfer: Transfer | None = None  # what it moves, where a memory's banks may tell its time
    beside: list[Draft] = field(default_factory=list)  # rows of other units for the same tile


class Book:
    """Collects units, channels and rows, and closes into a Program and a table of counts.

    `meetings` says whom the device meets whose rows are written; None where all are alike.
    """

    meetings: Meetings | None = None

    def __init__(self) -> None:
        self._units: dict[str, int] = {}
        self._unit_list: list[Unit] = []
        self._channels: list[Channel] = []
        self._named: dict[str, int] = {}
        self.drafts: list[Draft] = []

    def unit(
        self, name: str, role: int, timeline: str | None = None, *, tie: str = "", of: str = ""
    ) -> int:
        """Id of a unit, made at first mention.

        Args:
            name: of the unit.
            role: of its port.
            timeline: that it shares with others.
            tie: as in `sim.program.Unit`.
            of: class of devices that it belongs to, where it is not the one whose rows are written.
        """
        if name not in self._units:
            self._units[name] = len(self._unit_list)
            self._unit_list.append(Unit(name, timeline, role, tie))
        return self._units[name]

    def name(self, unit: int) -> str:
        """Name of a unit."""
        return self._unit_list[unit].name

    def port(self, unit: int) -> str:
        """The timeline that a unit shares with others, else its own name."""
        return self._unit_list[unit].timeline or self._unit_list[unit].name

    def is_shared(self, unit: int) -> bool:
        """True for a unit whose timeline others use too."""
        return self._unit_list[unit].timeline is not None

    def channel(self, name: str, producer: int, consumer: int, depth: int) -> int:
        """A new channel."""
        self._channels.append(Channel(name, producer, consumer, depth))
        return len(self._channels) - 1

    def shared(self, name: str, producer: int, consumer: int, depth: int) -> int:
        """The channel of a name, made at first mention; its depth is the largest asked for."""
        i = self._named.setdefault(name, len(self._channels))
        if i == len(self._channels):
            self._channels.append(Channel(name, producer, consumer, depth))
        old = self._channels[i]
        self._channels[i] = Channel(name, producer, consumer, max(depth, old.depth))
        return i

    def across(self, name: str, producer: int, consumer: int, depth: int) -> int:
        """The channel of a name between units of two classes, made at first mention."""
        i = self._named.setdefault(name, len(self._channels))
        if i == len(self._channels):
            self._channels.append(Channel(name, producer, consumer, depth, across=True))
        return i

    def row(self, draft: Draft) -> int:
        """Write a row down (it may still be amended); returns its id."""
        self.drafts.append(draft)
        return len(self.drafts) - 1

    def deepen(self, channel: int, depth: int) -> None:
        """Give a channel its depth once it is known."""
        self._channels[channel] = replace(self._channels[channel], depth=depth)

    def rehome(self, channel: int, producer: int) -> None:
        """Let another unit fill a channel."""
        self._channels[channel] = replace(self._channels[channel], producer=producer)

    def leaf(self, drafts: Iterable[Draft]) -> Leaf:
        """A leaf of rows, in order; the rows beside one come before it."""
        return Leaf(tuple(self.row(r) for d in drafts for r in (*d.beside, d)))

    def close(self, tree: Iterable[Loop | Leaf]) -> Program:
        """The finished program."""
        rows = tuple(
            Row(
                unit=d.unit,
                dur_ps=d.dur_ps,
                lag_ps=d.lag_ps,
                take=tuple(d.take),
                reserve=tuple(d.reserve),
                put=tuple(d.put),
                free=tuple(d.free),
                run=d.run,
                op=d.op,
            )
            for d in self.drafts
        )
        return Program(tuple(self._unit_list), tuple(self._channels), rows, tuple(tree))

    def counts(self) -> tuple[dict[str, int], ...]:
        """What each execution of a row counts, by row id."""
        return tuple(d.counts for d in self.drafts)

    def holds(self) -> tuple[dict[str, int], ...]:
        """Bytes that each execution of a row takes up in a memory, or gives back, by row id."""
        return tuple(d.holds for d in self.drafts)
