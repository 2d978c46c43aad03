"""How latency against load is measured: warm up, measure until steady, drain, empty.

The protocol of BookSim2's latency mode, period by period. Sources go on making packets until every
measured packet is out; what they make meanwhile loads the network and is not counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan

from archsim.core.errors import SimulationStopped
from archsim.interconnect import flit_fields as f
from archsim.interconnect.flit_network import FlitNetwork

STUCK_CYCLES = 200_000  # without a flit out, beside the links (assumed: far beyond any queue)


@dataclass(frozen=True)
class Protocol:
    """How long is measured, and when a run is given up.

    Attributes:
        period_cycles: of a period.
        warm_periods: before measuring; statistics are cleared before every second one.
        steady_periods: in a row, each within `tolerance`, that end measuring.
        most_periods: in all.
        tolerance: change of mean latency and of accepted rate, as a share of the new value.
        most_latency_cycles: mean over packets out and flits in flight from which it is unstable.
    """

    period_cycles: int = 1000
    warm_periods: int = 3
    steady_periods: int = 3
    most_periods: int = 10
    tolerance: float = 0.05
    most_latency_cycles: float = 1000.0


@dataclass(frozen=True)
class Measured:
    """What a run of the flit simulator says; latencies in cycles, None where it was not stable.

    Attributes:
        stable: whether latencies stayed below the limit.
        cycles: until the last flit and credit were home.
        packet_latency: from the trial that made a packet to its tail in the sink, mean.
        packet_latency_min, packet_latency_max: of any packet.
        net_latency: from its head leaving the source, mean.
        flit_latency: of each flit from source to sink, mean.
        hops: routers visited by a packet, mean.
        accepted: flits per node and cycle while measuring.
        accepted_min, accepted_max: of any node.
        flits: that reached their sinks in the whole run.
        packets: measured.
        link_flits: that each link carried in the whole run, [links].
        link_cycles: cycles in which they were counted.
    """

    stable: bool
    cycles: int
    packet_latency: float | None
    packet_latency_min: int | None
    packet_latency_max: int | None
    net_latency: float | None
    flit_latency: float | None
    hops: float | None
    accepted: float
    accepted_min: float
    accepted_max: float
    flits: int
    packets: int
    link_flits: tuple[int, ...]
    link_cycles: int


class _Run:
    """One run in progress: when statistics were cleared, and what left before that."""

    def __init__(self, network: FlitNetwork, protocol: Protocol) -> None:
        self.network, self.protocol, self.stats = network, protocol, network.stats
        self.cleared_at, self.flits_before = 0, 0

    def clear(self) -> None:
        self.cleared_at = int(self.stats[f.TIME])
        self.flits_before += int(self.stats[f.FLITS_OUT])
        for field in range(f.LATENCY, f.IN_FLIGHT):
            self.stats[field] = 0
        self.stats[f.SHORTEST] = f.NEVER
        for node in range(self.network.wires.nodes):
            self.network.sources[node << f.SOURCE_BITS | f.ACCEPTED] = 0

    def accepted(self) -> list[int]:
        """Flits taken by each sink since the clear."""
        return [int(n) for n in self.network.sources[f.ACCEPTED :: 1 << f.SOURCE_BITS]]

    def overflows(self) -> bool:
        """Whether packets, and flits at their age, take too long in the mean."""
        s = self.stats
        flying = int(s[f.IN_FLIGHT])
        total = int(s[f.LATENCY]) + flying * int(s[f.TIME]) - int(s[f.IN_FLIGHT_CREATED])
        count = int(s[f.PACKETS]) + flying
        return count > 0 and total / count > self.protocol.most_latency_cycles

    def means(self) -> tuple[float, float]:
        """Mean latency and accepted rate since the clear."""
        cycles = int(self.stats[f.TIME]) - self.cleared_at
        packets = int(self.stats[f.PACKETS])
        latency = int(self.stats[f.LATENCY]) / packets if packets else 0.0
        return latency, sum(self.accepted()) / cycles / self.network.wires.nodes


def measure(network: FlitNetwork, protocol: Protocol | None = None) -> Measured:
    """Run a network from cycle 0 to its end.

    Raises:
        SimulationStopped: E501 when flits no longer move, which routing is to make impossible.
    """
    run = _Run(network, protocol or Protocol())
    rules, s = run.protocol, network.stats
    steady, before = 0, (0.0, 0.0)
    for period in range(rules.most_periods):
        if period <= rules.warm_periods and (period % 2 == 0 or period == rules.warm_periods):
            run.clear()
        if period == rules.warm_periods:
            s[f.STATE] = f.RUNNING
        network.advance((period + 1) * rules.period_cycles)
        if run.overflows():
            return _result(run, stable=False)
        now = run.means()
        if period >= rules.warm_periods:
            changes = [_change(a, b) for a, b in zip(now, before, strict=True)]
            steady = 0 if any(change > rules.tolerance for change in changes) else steady + 1
            if steady == rules.steady_periods:
                break
        before = now
    s[f.STATE], s[f.DRAIN_START] = f.DRAINING, s[f.TIME]
    while (end := int(s[f.TIME]) + rules.period_cycles) == network.advance(end):
        if run.overflows():
            return _result(run, stable=False)
        _refuse_deadlock(network)
    return _emptied(run)


def play(network: FlitNetwork) -> Measured:
    """Run a trace to its end, every packet measured.

    Raises:
        SimulationStopped: as `measure`.
    """
    run = _Run(network, Protocol())
    network.stats[f.STATE] = f.DRAINING
    network.stats[f.DRAIN_START] = f.NEVER
    _ended(run)
    return _emptied(run)


def _emptied(run: _Run) -> Measured:
    """What a run says once its last flit and credit are home."""
    s = run.stats
    s[f.STATE] = f.EMPTYING
    _ended(run)
    return _result(run, stable=True)


def _ended(run: _Run) -> None:
    """Run until the network has nothing left to wait for."""
    network, step = run.network, run.protocol.period_cycles
    while (end := int(network.stats[f.TIME]) + step) == network.advance(end):
        _refuse_deadlock(network)


def _change(now: float, before: float) -> float:
    """As a share of the new value; nothing is compared with nothing."""
    if now == 0:
        return inf if before else nan
    return abs((now - before) / now)


def _refuse_deadlock(network: FlitNetwork) -> None:
    s = network.stats
    silent = int(s[f.TIME]) - int(s[f.LAST_OUT])
    own = network.spec.link_latency
    longest = own or max((wire.latency_cycles for wire in network.wires.links), default=0)
    if s[f.IN_FLIGHT] and silent > STUCK_CYCLES + longest * network.wires.routers:
        raise SimulationStopped(f"no flit has moved out for {silent} cycles")


def _result(run: _Run, *, stable: bool) -> Measured:
    """The record of a run that ended; latencies only of one that was stable."""
    s = run.stats
    packets, flits = int(s[f.PACKETS]), int(s[f.FLITS_OUT])
    until = int(s[f.TIME] if s[f.STATE] <= f.RUNNING else min(s[f.TIME], s[f.DRAIN_START]))
    accepted = run.accepted()
    cycles = until - run.cleared_at
    fine = stable and packets > 0

    def mean(field: int, count: int) -> float | None:
        return int(s[field]) / count if fine else None

    return Measured(
        stable=stable,
        cycles=int(s[f.TIME]),
        packet_latency=mean(f.LATENCY, packets),
        packet_latency_min=int(s[f.SHORTEST]) if fine else None,
        packet_latency_max=int(s[f.LONGEST]) if fine else None,
        net_latency=mean(f.NET_LATENCY, packets),
        flit_latency=mean(f.FLIT_LATENCY, flits),
        hops=mean(f.HOPS_SUM, packets),
        accepted=sum(accepted) / cycles / len(accepted),
        accepted_min=min(accepted) / cycles,
        accepted_max=max(accepted) / cycles,
        flits=run.flits_before + flits,
        packets=packets,
        link_flits=run.network.link_flits(),
        link_cycles=int(s[f.TIME]),
    )
