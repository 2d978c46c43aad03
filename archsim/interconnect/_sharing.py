"""How messages share links: rates that are max-min fair, or first come first served.

What goes in and comes out is said in `messages`. Rates are in `_rates`. Answers do not depend on
the order of messages: who is first on a link is told by instant, then by rank.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from archsim.interconnect._rates import SLACK, rates_for
from archsim.interconnect._routes import spans
from archsim.interconnect.fabric import Floats, Ints


@dataclass(frozen=True, eq=False)
class Traffic:
    """Messages, where they go, and what each waits for.

    Attributes:
        owner: message of each hop, in the order of messages and of their ways, [hops].
        wire: that each hop takes, [hops].
        hop_ps: time that each hop's wire needs for the message, [hops].
        latency_ps: of each hop, [hops].
        size_bytes: of each message, [messages].
        start_ps: before which it does not start, [messages].
        rank: order of messages that meet at one instant, [messages].
        bytes_per_ps: of each wire, [wires].
        followers: messages that wait for each message.
        waits: messages that each one waits for, [messages].
    """

    owner: Ints
    wire: Ints
    hop_ps: Ints
    latency_ps: Ints
    size_bytes: Ints
    start_ps: Ints
    rank: Ints
    bytes_per_ps: Floats
    followers: tuple[tuple[int, ...], ...]
    waits: Ints

    @property
    def messages(self) -> int:
        """Number of messages."""
        return len(self.size_bytes)


class _Waiting:
    """Messages that have not started: when they may, by what has arrived."""

    def __init__(self, traffic: Traffic) -> None:
        self._followers, self._rank = traffic.followers, traffic.rank.tolist()
        self._ready = traffic.start_ps.tolist()
        self._waits = traffic.waits.tolist()
        self.heap = [(self._ready[m], self._rank[m], m) for m, n in enumerate(self._waits) if not n]
        heapq.heapify(self.heap)

    def arrived(self, message: int, now_ps: int) -> None:
        """Tell those that wait for a message that it is there."""
        for other in self._followers[message]:
            self._ready[other] = max(self._ready[other], now_ps)
            self._waits[other] -= 1
            if not self._waits[other]:
                heapq.heappush(self.heap, (self._ready[other], self._rank[other], other))


def fair(traffic: Traffic) -> Ints:
    """Arrival of each message in picoseconds, [messages]; -1 of those that never start.

    All bytes of a message flow along its whole way at one rate, which changes when a message starts
    or ends; the last byte arrives a way's latency later.
    """
    waiting = _Waiting(traffic)
    arrival = np.full(traffic.messages, -1, np.int64)
    way = _sums(traffic.owner, traffic.latency_ps, traffic.messages)
    idle = _most(traffic.owner, traffic.hop_ps, traffic.messages)
    first = np.concatenate([[0], np.cumsum(np.bincount(traffic.owner, minlength=traffic.messages))])
    active, left = np.empty(0, np.int64), np.empty(0)
    ends, soonest, now = np.empty(0, np.int64), np.empty(0, np.int64), 0
    rates, rates_of = np.empty(0), rates_for(traffic.messages)
    while len(active) or waiting.heap:
        starts = waiting.heap[0][0] if waiting.heap else None
        due = int(ends.min()) if len(active) else starts
        then = due if starts is None or (due is not None and due < starts) else starts
        assert then is not None  # something is active or waits
        left = left - rates * (then - now)
        now, done = then, ends <= then
        for m in active[done].tolist():
            arrival[m] = now + way[m]
            waiting.arrived(m, int(arrival[m]))
        new: list[int] = []
        while waiting.heap and waiting.heap[0][0] <= now:
            m = heapq.heappop(waiting.heap)[2]
            if idle[m]:
                new.append(m)
            else:  # nothing to send, or nowhere to send it
                arrival[m] = now + way[m]
                waiting.arrived(m, int(arrival[m]))
        active = np.concatenate([active[~done], np.array(new, np.int64)])
        left = np.concatenate([left[~done], traffic.size_bytes[new].astype(np.float64)])
        soonest = np.concatenate([soonest[~done], now + idle[new]])
        begins, hops = spans(first[active], first[active + 1])
        rates = rates_of(begins, traffic.wire[hops], traffic.bytes_per_ps)
        ends = now + np.ceil(np.maximum(left, 0) / rates * (1 - SLACK)).astype(np.int64)
        ends = np.maximum(ends, soonest)
    return arrival


def fifo(traffic: Traffic) -> tuple[Ints, Ints]:
    """Arrival of each message, [messages] (-1 of those that never start), and time wires are held.

    A message holds one wire after the other, each from when its head is there and the wire is free
    until its last byte has passed; its head goes on at once.
    """
    waiting = _Waiting(traffic)
    arrival = np.full(traffic.messages, -1, np.int64)
    free, held = [0] * len(traffic.bytes_per_ps), np.zeros(len(traffic.bytes_per_ps), np.int64)
    hops = np.bincount(traffic.owner, minlength=traffic.messages)
    last = np.cumsum(hops).tolist()
    wire, hop_ps = traffic.wire.tolist(), traffic.hop_ps.tolist()
    latency, rank = traffic.latency_ps.tolist(), traffic.rank.tolist()
    tail = [0] * traffic.messages  # when the last byte is at the message's next wire
    heads: list[tuple[int, int, int, int]] = []  # instant, rank, message, hop
    while heads or waiting.heap:
        if waiting.heap and (not heads or waiting.heap[0][:2] <= heads[0][:2]):
            now, _, m = heapq.heappop(waiting.heap)
            tail[m] = now
            hop = last[m] - int(hops[m])
        else:
            now, _, m, hop = heapq.heappop(heads)
        if hop == last[m]:
            arrival[m] = tail[m]
            waiting.arrived(m, tail[m])
            continue
        begin = max(now, free[wire[hop]])
        end = max(begin + hop_ps[hop], tail[m])
        free[wire[hop]] = end
        held[wire[hop]] += end - begin
        tail[m] = end + latency[hop]
        at_end = hop + 1 == last[m]
        head = tail[m] if at_end else begin + latency[hop]
        heapq.heappush(heads, (head, rank[m], m, hop + 1))
    return arrival, held


def _sums(owner: Ints, values: Ints, messages: int) -> Ints:
    found = np.zeros(messages, np.int64)
    np.add.at(found, owner, values)
    return found


def _most(owner: Ints, values: Ints, messages: int) -> Ints:
    found = np.zeros(messages, np.int64)
    np.maximum.at(found, owner, values)
    return found
