"""What rounds cost on a fabric when all groups of an axis run them at once.

A round takes the longest way of its messages and, after that, the time in which the fullest link
has passed all that goes over it; the next round starts when it is over. Of rounds side by side the
longest counts. Sums that devices add up cost nothing beside their messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from archsim.core.units import PS_PER_S
from archsim.interconnect.collective_options import Overheads
from archsim.interconnect.collectives.base import Round
from archsim.interconnect.fabric import Fabric, Ints
from archsim.interconnect.messages import CHUNK, drain_ps, fabric_routes, on_wires


@dataclass(frozen=True, eq=False)
class Priced:
    """Rounds on idle links: what protocols add is not in it.

    Attributes:
        latency_ps: ways of all rounds, one behind the other.
        transfer_ps: time of the fullest links of all rounds.
        messages: that the busiest device sends, one behind the other.
        rounds: one behind the other.
        sent_bytes: of all devices.
        link_bytes: over each link, [links].
    """

    latency_ps: int
    transfer_ps: int
    messages: int
    rounds: int
    sent_bytes: int
    link_bytes: Ints


def price(fabric: Fabric, rounds: Sequence[Round], groups: Sequence[Sequence[int]]) -> Priced:
    """Rounds of all groups at once.

    Args:
        fabric: the network.
        rounds: of one group, devices by place.
        groups: device numbers by place; all have as many.
    """
    places = np.asarray(groups, np.int64)
    messages = sent = 0
    link_bytes = np.zeros(fabric.links, np.int64)
    taken: list[list[tuple[int, int, int]]] = []  # of rounds side by side: ways, drains, steps
    for one in rounds:
        if not len(one.src):
            continue
        src, dst = places[:, one.src].ravel(), places[:, one.dst].ravel()
        sizes = [np.tile(x, len(places)) for x in (one.size_bytes, one.carried_bytes)]
        way, (loads, carried) = _passed(fabric, src, dst, sizes)
        drain = drain_ps(on_wires(fabric, loads), fabric.bytes_per_s)
        if not one.beside or not taken:
            taken.append([])
        taken[-1].append((one.times * way, one.times * drain, one.times))
        messages += one.times * int(np.bincount(one.src).max())
        sent += int(sizes[1].sum())
        link_bytes += carried
    longest = [max(some, key=lambda lane: lane[0] + lane[1]) for some in taken]
    latency, transfer = (sum(lane[i] for lane in longest) for i in range(2))
    steps = sum(max(lane[2] for lane in some) for some in taken)
    return Priced(latency, transfer, messages, steps, sent, link_bytes)


def _passed(fabric: Fabric, src: Ints, dst: Ints, sizes: Sequence[Ints]) -> tuple[int, list[Ints]]:
    """The longest way of messages in ps, and what they load each link with, for several sizes."""
    longest, loads = 0, [np.zeros(fabric.links, np.int64) for _ in sizes]
    for at in range(0, len(src), CHUNK):
        part = slice(at, at + CHUNK)
        first, links = fabric_routes(fabric, src[part], dst[part])
        owner = np.repeat(np.arange(len(first) - 1), np.diff(first))
        for i, size in enumerate(sizes):  # sums below 2^53 are exact
            loads[i] += np.bincount(links, size[part][owner], fabric.links).astype(np.int64)
        ways = np.bincount(owner, fabric.latency_ps[links], len(first) - 1)
        longest = max(longest, int(ways.max(initial=0)))
    return longest, loads


def overhead_ps(overheads: Overheads, priced: Priced) -> int:
    """Launch and steps, in picoseconds."""
    step_ps = round(overheads.step * PS_PER_S)
    return round(overheads.launch * PS_PER_S) + step_ps * priced.messages


def protocol_ps(overheads: Overheads, algorithm: str, priced: Priced) -> int:
    """Time on the links, with what the fastest protocol makes of it, in picoseconds."""
    return min(
        round(protocol.setup * PS_PER_S) + round(priced.transfer_ps / protocol.efficiency)
        for protocol in overheads.of(algorithm)
    )
