"""The same traffic as messages that share links: no flits, VCs or buffers, for large systems."""

from __future__ import annotations

import numpy as np

from archsim.core.errors import Infeasible
from archsim.interconnect import flit_fields as f
from archsim.interconnect.fabric import Ints
from archsim.interconnect.flit_measure import Measured
from archsim.interconnect.messages import fabric_routes, simulate_messages
from archsim.interconnect.traffic import Pattern
from archsim.system.noc_result import Network
from archsim.system.noc_times import ends_cycles, way_cycles

CYCLES = 2000  # in which messages are made, of which the first half is warm-up (assumed)
LONG = 100  # times as long as a packet, if that is more (assumed)
MOST_MESSAGES = 100_000
TRIALS = 1 << 22  # that are held at once
BACKLOG = 0.1  # of those cycles: a message that is later than alone by more is overload (assumed)


def by_messages(
    network: Network, pattern: Pattern, load: float, *, packet_flits: int, seed: int
) -> Measured:
    """Packets of a load as messages, all links shared fairly.

    What a message takes on its way alone, which is known, is left out of what is measured until
    the last is made: long links fill no window, and only queues make a message late.

    Raises:
        Infeasible: for more packets than are simulated one by one.
    """
    traced, nodes = pattern.kind == f.TRACE, network.fabric.terminals
    window = max(CYCLES, LONG * packet_flits)
    if traced:
        at, src, dst, flits = _of_trace(pattern)
    else:
        _refuse_many(nodes * window * load / packet_flits)
        at, src, dst, flits = _drawn(
            nodes, pattern, load / packet_flits, packet_flits, window, seed
        )
    _refuse_many(len(at))
    cycle = network.cycle_ps
    start = np.round(at * cycle).astype(np.int64)
    size = np.round(flits * network.flit_bytes).astype(np.int64)
    found = simulate_messages(network.fabric, src, dst, size, start)
    ends = ends_cycles(network.routers)
    latency = (found.arrival_ps - start) / cycle + ends
    left = latency - way_cycles(network, src, dst) - ends  # until its last flit was sent
    counted = at >= (0 if traced else window // 2)
    some = latency[counted] if counted.any() else latency
    end = int(np.max(at + latency, initial=0)) + 1
    busy = end if traced else int(np.max(at + left, initial=window)) + 1
    in_time = (at + left > window // 2) & (at + left <= window)
    taken = np.bincount(dst, flits, nodes) / end
    if not traced:
        taken = np.bincount(dst[in_time], flits[in_time], nodes) / (window - window // 2)
    first, _ = fabric_routes(network.fabric, src, dst)
    late = float(np.max(left - flits, initial=0.0))
    return Measured(
        stable=traced or late <= BACKLOG * window, cycles=end,
        packet_latency=float(some.mean()) if len(some) else None,
        packet_latency_min=int(some.min(initial=1 << 60)),
        packet_latency_max=int(some.max(initial=0)),
        net_latency=None, flit_latency=None,
        hops=float(np.diff(first)[counted].mean()) + 1 if counted.any() else None,
        accepted=float(taken.mean()), accepted_min=float(taken.min()),
        accepted_max=float(taken.max()), flits=int(flits.sum()), packets=int(counted.sum()),
        link_flits=tuple((found.link_bytes / network.flit_bytes).astype(int).tolist()),
        link_cycles=busy,
    )  # fmt: skip


def _refuse_many(messages: float) -> None:
    """Refuse what would take minutes.

    Raises:
        Infeasible: for more than MOST_MESSAGES.
    """
    if messages > MOST_MESSAGES:
        raise Infeasible(
            f"{messages:.0f} messages are more than {MOST_MESSAGES}", help="a lower load"
        )


def _drawn(
    nodes: int, pattern: Pattern, rate: float, packet_flits: int, window: int, seed: int
) -> tuple[Ints, Ints, Ints, Ints]:
    """Cycle, source, destination and flits of packets: a trial a node and cycle."""
    random = np.random.default_rng(seed)
    step = max(1, TRIALS // nodes)  # cycles at once
    made = [
        np.nonzero(random.random((min(step, window - first), nodes)) < rate)
        for first in range(0, window, step)
    ]
    at = np.concatenate([cycle + i * step for i, (cycle, _) in enumerate(made)])
    src = np.concatenate([node for _, node in made])
    if pattern.kind == f.UNIFORM:
        dst = random.integers(nodes, size=len(at))
    elif pattern.kind == f.HOT:
        dst = np.array(pattern.targets)[random.integers(len(pattern.targets), size=len(at))]
    else:
        dst = np.array(pattern.targets)[src]
    return at, src, dst, np.full(len(at), packet_flits)


def _of_trace(pattern: Pattern) -> tuple[Ints, Ints, Ints, Ints]:
    """The same of a trace."""
    rows = []
    for node, (first, begin) in enumerate(zip(pattern.first, pattern.entry, strict=True)):
        cycle, entry = first, begin
        while cycle < f.NEVER:
            rows.append((cycle, node, pattern.trace[entry], pattern.trace[entry + 1]))
            cycle, entry = pattern.trace[entry + 2], entry + 3
    at, src, dst, flits = np.array(sorted(rows), np.int64).T
    return at, src, dst, flits
