"""Time as integers: SimPy's environment on picoseconds, and the cycles of a clock.

A duration is rounded once, from whole cycles, so that it does not depend on when it starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import ClassVar, cast

from simpy import Environment, Event

PS_PER_S = 10**12
NORMAL = 1  # SimPy's priority of ordinary events


@dataclass(frozen=True, slots=True)
class Clock:
    """A clock of a whole number of hertz."""

    frequency_hz: int

    def ps(self, cycles: int) -> int:
        """Picoseconds of whole cycles, rounded to the nearest (a half rounds up)."""
        return (2 * cycles * PS_PER_S + self.frequency_hz) // (2 * self.frequency_hz)

    def cycles(self, ps: int) -> int:
        """Cycles nearest to a time; the inverse of `ps` for clocks of up to 1 THz."""
        return (2 * ps * self.frequency_hz + PS_PER_S) // (2 * PS_PER_S)


class Wake(Event):
    """An event that carries nothing and cannot fail; it happens when `Time.at` says."""

    _ok: ClassVar[bool] = True  # type: ignore[misc]
    _value: ClassVar[None] = None  # type: ignore[misc]


class Time(Environment):
    """SimPy's environment on integer picoseconds."""

    _now: int

    @property
    def queue(self) -> list[tuple[int, int, int, Event]]:
        """SimPy's heap of (time, priority, number, event), for those who push often."""
        return cast("list[tuple[int, int, int, Event]]", self._queue)

    def at(self, when_ps: int, event: Event, priority: int = NORMAL) -> None:
        """Let an event happen at an absolute time."""
        heappush(self.queue, (when_ps, priority, next(self._eid), event))

    def run_until_idle(self, limit_ps: int | None) -> int:
        """Take events, in SimPy's order, until there is none or the next lies beyond the limit.

        The same as `run` of SimPy without a call for each event. Returns the events taken.

        Raises:
            BaseException: What a process raised.
        """
        queue = self.queue
        taken = 0
        while queue and (limit_ps is None or queue[0][0] <= limit_ps):
            self._now, _, _, event = heappop(queue)
            taken += 1
            callbacks, event.callbacks = event.callbacks, None  # type: ignore[assignment]
            for callback in callbacks:
                callback(event)
            if not event._ok and not hasattr(event, "_defused"):
                raise event._value
        return taken
