"""A timeline shared by several units: first come first served, ties in canonical order.

Requests of one instant are collected and granted at the end of that instant, so that the order in
which units were created decides nothing. A grant is final: the state is one moment, busy-until. A
timeline with one owner needs no object; its use is one timeout.
"""

from __future__ import annotations

from heapq import heappush
from typing import TYPE_CHECKING

from simpy import Event

from archsim.sim.clock import NORMAL, Time, Wake

if TYPE_CHECKING:
    from archsim.sim.engine import UnitProcess

GRANT_PRIORITY = 2  # after SimPy's urgent (0) and normal (1) events of the instant


class SharedTimeline:
    """One resource; `use` is asked by units of different rank, one request out for each."""

    __slots__ = ("asked", "env", "last_step", "last_user", "queue", "shortcut", "until")

    def __init__(self, env: Time, *, shortcut: bool) -> None:
        self.env = env
        self.queue = env.queue
        self.until = 0
        self.last_user = 0
        self.last_step = 0
        self.shortcut = shortcut
        self.asked: list[tuple[int, UnitProcess, int, Event]] = []

    def use(self, unit: UnitProcess, dur_ps: int) -> Event:
        """The event of the end of a use.

        With the shortcut a request is granted at once if it is the only one of its instant:
        nobody else has asked, and nothing is left to happen now. That needs every event to have
        one waiter.
        """
        event = Wake(self.env)
        if not self.asked:
            queue = self.queue
            if self.shortcut and (not queue or queue[0][0] > self.env._now):
                self._grant(unit, dur_ps, event)
                return event
            late = Wake(self.env)
            late.callbacks.append(self._arbitrate)
            self.env.at(self.env._now, late, GRANT_PRIORITY)
        self.asked.append((unit.rank, unit, dur_ps, event))
        return event

    def _arbitrate(self, _: Event) -> None:
        asked, self.asked = self.asked, []
        asked.sort(key=lambda request: request[0])
        for _rank, unit, dur_ps, event in asked:
            self._grant(unit, dur_ps, event)

    def _grant(self, unit: UnitProcess, dur_ps: int, event: Event) -> None:
        now = self.env._now
        if self.until > now:
            unit.granted_after(self.until - now, self.last_user, self.last_step)
            now = self.until
        self.until = now + dur_ps
        self.last_user = unit.index
        self.last_step = unit.n
        unit.due = self.until
        heappush(self.queue, (self.until, NORMAL, next(self.env._eid), event))
