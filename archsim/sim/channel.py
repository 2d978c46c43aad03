"""A channel of the SimPy engine: tokens and slots, and an event only when somebody must wait.

Both ends get what they ask for at once whenever they can. Otherwise the unit is told as soon as it
is known how long it waits, and for which step of the other end.
"""

from __future__ import annotations

from collections import deque
from heapq import heappush
from typing import TYPE_CHECKING

from archsim.sim.clock import NORMAL, Time, Wake

if TYPE_CHECKING:
    from archsim.sim.engine import UnitProcess


class Channel:
    """The slots of a buffer between one producer and one consumer.

    The author of a token or a slot is the number of the step that gave it.
    """

    __slots__ = ("consumer", "env", "getter", "producer", "queue", "reserver", "slots", "tokens")

    consumer: UnitProcess
    producer: UnitProcess

    def __init__(self, env: Time, depth: int) -> None:
        self.env = env
        self.queue = env.queue
        self.slots = depth
        self.tokens: deque[tuple[int, int]] = deque()  # (ready, author) of tokens not got
        self.getter: Wake | None = None
        self.reserver: Wake | None = None

    def get(self, operand: int) -> Wake | None:
        """Take the next token; None when it is ready, else the event of its being so."""
        if not self.tokens:
            self.consumer.waits(operand)
            self.getter = Wake(self.env)
            return self.getter
        ready, author = self.tokens.popleft()
        if ready <= self.env._now:
            return None
        self.consumer.waits(operand)
        self.consumer.waits_until(ready, author)
        event = Wake(self.env)
        heappush(self.queue, (ready, NORMAL, next(self.env._eid), event))
        return event

    def put(self, lag_ps: int, author: int) -> None:
        """Give a token that is ready after a latency."""
        getter = self.getter
        ready = self.env._now + lag_ps
        if getter is None:
            self.tokens.append((ready, author))
        else:
            self.getter = None
            self.consumer.waits_until(ready, author)
            heappush(self.queue, (ready, NORMAL, next(self.env._eid), getter))

    def reserve(self, operand: int) -> Wake | None:
        """Claim a slot; None when one is free, else the event of its being handed over."""
        if self.slots:
            self.slots -= 1
            return None
        self.producer.waits(operand)
        self.reserver = Wake(self.env)
        return self.reserver

    def free(self, author: int) -> None:
        """Give a slot back, straight to the producer when it waits."""
        reserver = self.reserver
        if reserver is None:
            self.slots += 1
        else:
            self.reserver = None
            self.producer.waits_until(self.env._now, author)
            now = self.env._now
            heappush(self.queue, (now, NORMAL, next(self.env._eid), reserver))
