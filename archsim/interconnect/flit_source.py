"""Sources make packets and send their flits; sinks take flits, return credits and keep the sums.

One idea: everything of a cycle that happens at the nodes. Written so that numba compiles it and
plain Python runs the same text.
"""

from __future__ import annotations

from typing import Any

from archsim.interconnect import flit_fields as f
from archsim.interconnect.flit_random import below, gap, replayed
from archsim.interconnect.flit_route import route


def due(
    t: int, at: int, config: Any, sources: Any, integers: Any, fractions: Any, rate: Any
) -> int:
    """When the next packet of a source was made, by a trial for each cycle that passed; or -1."""
    if config[f.PATTERN] == f.TRACE:
        comes: int = sources[at | f.COMES]
        return comes if comes <= t else -1
    if config[f.RANDOM] == f.OWN:
        comes = sources[at | f.COMES]
        if comes > t:
            return -1
        sources[at | f.COMES] = comes + 1 + gap(integers, rate)
        return comes
    made = -1
    trial = sources[at | f.TRIAL]
    while trial <= t and made < 0:
        if replayed(fractions, 0xFFFFFFFFFFFFF) < config[f.CHANCE]:
            made = trial
        trial += 1
    sources[at | f.TRIAL] = trial
    return made


def addressed(
    node: int, packet: int, config: Any, sources: Any, packets: Any, targets: Any, trace: Any,
    integers: Any,
) -> None:  # fmt: skip
    """Write destination, length and path of a packet."""
    kind = config[f.PATTERN]
    length = config[f.FLITS]
    if kind == f.UNIFORM:
        dest = below(config[f.TARGETS], config, integers)
    elif kind == f.PERMUTATION:
        dest = targets[node]
    elif kind == f.HOT:
        dest = targets[0]
        if config[f.TARGETS] > 1:
            dest = targets[below(config[f.TARGETS], config, integers)]
    else:
        at = node << 3
        entry = sources[at | f.TRIAL]
        dest, length = trace[entry], trace[entry + 1]
        sources[at | f.TRIAL] = entry + 3
        sources[at | f.COMES] = trace[entry + 2]
    if config[f.RANDOM] == f.REPLAY:
        below(2, config, integers)  # the reference draws a subnetwork, of which it has one
    at = packet << 3
    packets[at | f.DEST] = dest
    packets[at | f.LENGTH] = length
    if config[f.ROUTING] == f.ALONG_PATHS:
        nodes = config[f.NODES]
        packets[at | f.PATH] = targets[nodes + node * nodes + dest]


def make(
    t: int, config: Any, stats: Any, sources: Any, packets: Any, spare: Any, targets: Any,
    trace: Any, integers: Any, fractions: Any, rate: Any,
) -> None:  # fmt: skip
    """Every source whose last packet has left tries to make one."""
    draining = stats[f.STATE] == f.DRAINING
    for node in range(config[f.NODES]):
        at = node << 3
        if sources[at | f.PACKET] >= 0:
            continue
        made = due(t, at, config, sources, integers, fractions, rate)
        if draining and sources[at | f.DRAINED] == 0:
            past = made < 0 or made >= stats[f.DRAIN_START]
            if config[f.PATTERN] == f.TRACE:
                past = sources[at | f.COMES] == f.NEVER
            if past:
                sources[at | f.DRAINED] = 1
                stats[f.UNDRAINED] -= 1
        if made < 0:
            continue
        stats[f.SPARE] -= 1
        packet = spare[stats[f.SPARE]]
        addressed(node, packet, config, sources, packets, targets, trace, integers)
        p = packet << 3
        length = packets[p | f.LENGTH]
        recorded = stats[f.STATE] == f.RUNNING or (draining and made < stats[f.DRAIN_START])
        packets[p | f.CREATED] = made
        packets[p | f.HOPS] = 0
        packets[p | f.RECORDED] = 1 if recorded else 0
        if recorded:
            stats[f.MEASURED] += length
        stats[f.IN_FLIGHT] += length
        stats[f.IN_FLIGHT_CREATED] += length * made
        sources[at | f.PACKET] = packet
        sources[at | f.LEFT] = length


def send(
    t: int, config: Any, sources: Any, packets: Any, ports: Any, outputs: Any, free_vcs: Any,
    where: Any, paths: Any, integers: Any, wheel_to: Any, wheel_flit: Any, wheel_n: Any,
) -> None:  # fmt: skip
    """Every source with a packet sends at most one flit of it."""
    vcs, limit = config[f.VCS], config[f.LIMIT]
    first_port = config[f.ROUTERS] << config[f.PORT_SHIFT]
    for node in range(config[f.NODES]):
        at = node << 3
        packet = sources[at | f.PACKET]
        if packet < 0:
            continue
        port = (first_port + node) << 4
        base = (first_port + node) << config[f.VC_SHIFT]
        vc = sources[at | f.VC]
        head = 0
        if vc < 0:
            free = free_vcs[first_port + node]
            if free == 0:
                continue
            for i in range(1, vcs + 1):
                v = sources[at | f.LAST] + i
                if v >= vcs:
                    v -= vcs
                if free >> v & 1 and outputs[(base | v) << 1 | f.USED] < limit:
                    vc = v
                    break
            if vc < 0:
                continue
            head = 1
            free_vcs[first_port + node] = free ^ (1 << vc)
            outputs[(base | vc) << 1 | f.USED] += config[f.HOLDS]
            sources[at | f.VC] = vc
            sources[at | f.LAST] = vc
            packets[packet << 3 | f.HEAD_SENT] = t
            to = ports[port | f.TO] >> (config[f.PORT_SHIFT] + config[f.VC_SHIFT])
            route(to, packet, -1, config, packets, where, paths, integers)
        elif outputs[(base | vc) << 1 | f.USED] >= limit:
            continue
        left = sources[at | f.LEFT] - 1
        sources[at | f.LEFT] = left
        tail = 1 if left == 0 else 0
        outputs[(base | vc) << 1 | f.USED] += 1 - (tail & config[f.HOLDS])
        slot = (t + ports[port | f.FLIT_DELAY]) & config[f.WHEEL]
        event = slot * config[f.SLOT] + wheel_n[slot]
        wheel_n[slot] += 1
        wheel_to[event] = ports[port | f.TO] | vc
        wheel_flit[event] = t << 30 | packet << 2 | tail << 1 | head
        if tail:
            sources[at | f.PACKET] = -1
            sources[at | f.VC] = -1
            if config[f.HOLDS] == 0:
                free_vcs[first_port + node] |= 1 << vc


def take(
    t: int, flit: int, output: int, config: Any, stats: Any, sources: Any, packets: Any,
    spare: Any, back_to: Any, back_n: Any,
) -> None:  # fmt: skip
    """A sink takes a flit that came by an output VC of its router, and returns the credit."""
    packet = flit >> 2 & 0xFFFFFFF
    p = packet << 3
    slot = (t + config[f.SINK_BACK]) & config[f.WHEEL]
    back_to[slot * config[f.SLOT] + back_n[slot]] = output
    back_n[slot] += 1
    stats[f.CREDITS] += 1
    stats[f.LAST_OUT] = t
    created = packets[p | f.CREATED]
    stats[f.IN_FLIGHT] -= 1
    stats[f.IN_FLIGHT_CREATED] -= created
    stats[f.FLIT_LATENCY] += t - (flit >> 30)
    stats[f.FLITS_OUT] += 1
    if stats[f.STATE] <= f.RUNNING or t < stats[f.DRAIN_START]:
        sources[packets[p | f.DEST] << 3 | f.ACCEPTED] += 1
    recorded = packets[p | f.RECORDED]
    stats[f.MEASURED] -= recorded
    if flit >> 1 & 1 == 0:
        return
    if recorded or stats[f.STATE] == f.WARMING:
        latency = t - created
        stats[f.LATENCY] += latency
        stats[f.PACKETS] += 1
        stats[f.SHORTEST] = min(stats[f.SHORTEST], latency)
        stats[f.LONGEST] = max(stats[f.LONGEST], latency)
        stats[f.NET_LATENCY] += t - packets[p | f.HEAD_SENT]
        stats[f.HOPS_SUM] += packets[p | f.HOPS]
    spare[stats[f.SPARE]] = packet
    stats[f.SPARE] += 1
