"""Messages on a fabric: what it takes when links are shared, message by message or all at once.

Flits and buffers are in `flit`; which messages a collective sends is said in `collectives`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from archsim.core.errors import ArchsimError
from archsim.core.units import PS_PER_S
from archsim.interconnect._routes import routes_of
from archsim.interconnect._sharing import Traffic, fair, fifo
from archsim.interconnect.fabric import Fabric, Floats, Ints

CHUNK = 1 << 18  # messages whose routes are held at once


def fabric_routes(fabric: Fabric, src: Ints, dst: Ints) -> tuple[Ints, Ints]:
    """Links of many messages, one behind the other.

    Returns:
        first: where the links of each message start, [messages + 1].
        links: of all messages in their order.
    """
    rows = routes_of(fabric)(src, dst)
    there = rows >= 0
    first = np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int64)
    return first, rows[there]


def bulk_ps(fabric: Fabric, src: Ints, dst: Ints, size_bytes: Ints) -> tuple[int, Ints]:
    """Time until messages that start together have all arrived, and bytes over each link.

    The fullest link drains, and the longest way is gone: max of bytes / bandwidth over the links
    plus max of the latency over the messages. It is what `simulate_messages` finds with fair
    sharing where all messages are alike; where they differ, fair sharing may leave the fullest link
    idle for a while, and a message on a longer way may be done before another.

    Args:
        fabric: the network.
        src: sender of each message, [messages].
        dst: receiver of each, [messages].
        size_bytes: of each message, [messages].

    Returns:
        time in picoseconds, and bytes over each link, [links].
    """
    routes, loads, longest = routes_of(fabric), np.zeros(fabric.links, np.int64), 0
    latency_ps = np.append(fabric.latency_ps, 0)  # what the gaps of routes take
    for at in range(0, len(src), CHUNK):
        part = slice(at, at + CHUNK)
        rows, sizes = routes(src[part], dst[part]), size_bytes[part]
        there = rows >= 0
        carried = np.repeat(sizes, there.sum(axis=1))
        np.add.at(loads, rows[there], carried)
        way = latency_ps[rows].sum(axis=1)
        longest = max(longest, int(way.max(initial=0)))
    return drain_ps(on_wires(fabric, loads), fabric.bytes_per_s) + longest, loads


def on_wires(fabric: Fabric, loads: Ints) -> Ints:
    """Bytes on the wire of each link: those of both directions where they share it."""
    other = fabric.half_duplex
    return loads if other is None else loads + np.where(other >= 0, loads[other], 0)


def drain_ps(loads: Ints, bytes_per_s: Floats) -> int:
    """Time of the fullest link, rounded up once, exactly."""
    if not len(loads):
        return 0
    times = loads / bytes_per_s
    fullest = times >= times.max() * (1 - 1e-12)
    pairs = {*zip(loads[fullest].tolist(), bytes_per_s[fullest].tolist(), strict=True)}
    return max(transfer_ps(size, speed) for size, speed in pairs)


def transfer_ps(size_bytes: int, bytes_per_s: float) -> int:
    """Time of so many bytes at a bandwidth, in picoseconds, rounded up."""
    above, below = bytes_per_s.as_integer_ratio()
    return -(-size_bytes * PS_PER_S * below // above)


@dataclass(frozen=True, eq=False)
class Delivered:
    """What became of messages.

    Attributes:
        arrival_ps: of the last byte of each message, [messages].
        link_bytes: over each link, [links].
        link_busy_ps: time that each link carried bytes, or was held by a message, [links].
    """

    arrival_ps: Ints
    link_bytes: Ints
    link_busy_ps: Ints


def simulate_messages(
    fabric: Fabric,
    src: Ints,
    dst: Ints,
    size_bytes: Ints,
    start_ps: Ints,
    after: tuple[Ints, Ints] | None = None,
    sharing: Literal["fair", "fifo"] = "fair",
) -> Delivered:
    """Messages on shared links, each as one stream of bytes along its way.

    With `fair` sharing all messages flow at once, at max-min fair rates; with `fifo` each holds a
    link from head to tail, in the order of arrival, and its head goes on at once (cut-through).
    Alone, a message takes its bytes over the narrowest bandwidth plus the latency of its way.
    The answer does not depend on the order of messages, except that `fifo` takes those that are
    alike in start, ends and size in the order given.

    Args:
        fabric: the network.
        src: sender of each message, [messages].
        dst: receiver of each, [messages].
        size_bytes: of each, 0 or more, [messages].
        start_ps: before which it does not start, [messages].
        after: messages that must have arrived first: where those of each message begin,
            [messages + 1], and their numbers.
        sharing: how links are shared.

    Raises:
        ArchsimError: for messages that wait for each other.
    """
    first, links = fabric_routes(fabric, src, dst)
    owner = np.repeat(np.arange(len(src)), np.diff(first))
    wire_of = np.arange(fabric.links)
    if fabric.half_duplex is not None:
        shared = fabric.half_duplex >= 0
        wire_of = np.where(shared, np.minimum(wire_of, fabric.half_duplex), wire_of)
    followers, waits = _order(len(src), after)
    order = np.lexsort((size_bytes, dst, src, start_ps))
    rank = np.empty(len(src), np.int64)
    rank[order] = np.arange(len(src))
    hop_ps = _transfers(size_bytes[owner], fabric.bytes_per_s[links])
    traffic = Traffic(
        owner, wire_of[links], hop_ps, fabric.latency_ps[links], size_bytes, start_ps, rank,
        fabric.bytes_per_s / PS_PER_S, followers, waits,
    )  # fmt: skip
    link_bytes = np.zeros(fabric.links, np.int64)
    np.add.at(link_bytes, links, size_bytes[owner])
    if sharing == "fifo":
        arrival, held = fifo(traffic)
        busy = held[wire_of]
    else:
        arrival = fair(traffic)
        busy = _transfers(on_wires(fabric, link_bytes), fabric.bytes_per_s)
    if (arrival < 0).any():
        stuck = ", ".join(map(str, np.flatnonzero(arrival < 0)[:8]))
        raise ArchsimError(f"messages wait for each other: {stuck}")
    return Delivered(arrival, link_bytes, busy)


def _order(
    messages: int, after: tuple[Ints, Ints] | None
) -> tuple[tuple[tuple[int, ...], ...], Ints]:
    """Messages that wait for each message, and how many each waits for."""
    if after is None:
        return ((),) * messages, np.zeros(messages, np.int64)
    first, others = after
    followers: list[list[int]] = [[] for _ in range(messages)]
    for message, other in zip(np.repeat(np.arange(messages), np.diff(first)), others, strict=True):
        followers[int(other)].append(int(message))
    return tuple(map(tuple, followers)), np.diff(first)


def _transfers(sizes: Ints, bytes_per_s: Floats) -> Ints:
    """Time of bytes at a bandwidth, rounded up exactly, [n]; equal ones are worked out once."""
    pairs, which = np.unique(np.stack([sizes, bytes_per_s]), axis=1, return_inverse=True)
    times = [transfer_ps(int(size), float(speed)) for size, speed in pairs.T]
    return np.array(times, np.int64)[which.reshape(-1)]
