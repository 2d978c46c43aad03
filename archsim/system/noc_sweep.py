"""Loads one by one, or swept until the network saturates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import ceil

from archsim.interconnect.flit_fields import TRACE
from archsim.interconnect.flit_measure import Measured, Protocol, measure, play
from archsim.interconnect.flit_network import FlitNetwork
from archsim.interconnect.traffic import Pattern
from archsim.system.noc_messages import by_messages
from archsim.system.noc_result import Network, Point
from archsim.system.noc_times import idle_cycles

SATURATES = 3.0  # times the zero-load latency, or unstable
LOWEST, STEP, CLOSER = 0.01, 0.05, 5  # of a sweep: first load, steps, halvings of the last one

Curve = tuple[tuple[Point, ...], float | None, float | None, float | None]


def run_loads(
    network: Network,
    pattern: Pattern,
    loads: Sequence[float],
    *,
    packet_flits: int,
    seed: int,
    replay: bool,
    fidelity: str,
    plain: bool = False,
    tell: Callable[[Point], None] | None = None,
) -> Curve:
    """Points, saturation, how near it is known, and latency of the lowest load."""

    def at(load: float) -> Point:
        point = Point(
            load,
            one(network, pattern, load, packet_flits=packet_flits, seed=seed, replay=replay,
                fidelity=fidelity, plain=plain),
        )  # fmt: skip
        if tell is not None:
            tell(point)
        return point

    if pattern.kind == TRACE:
        point = at(0.0)
        return (point,), None, None, None
    if loads:
        points = [at(load) for load in sorted(set(loads))]
        zero = points[0].found.packet_latency
        over = [p.load for p in points if saturated(p.found, zero)]
        return tuple(points), (min(over) if over else None), None, zero
    return sweep(at)


def saturated(found: Measured, zero: float | None) -> bool:
    """Whether a load is at or past saturation."""
    if not found.stable:
        return True
    if found.packet_latency is None or zero is None:
        return False  # no packet was measured
    return found.packet_latency >= SATURATES * zero


def sweep(at: Callable[[float], Point]) -> Curve:
    """Loads up to saturation, then halvings between the last two."""
    points = [at(LOWEST)]
    zero = points[0].found.packet_latency
    low, high = 0.0, LOWEST
    step = 1
    while not saturated(points[-1].found, zero) and high < 1:
        low, high = high, min(1.0, round(step * STEP, 6))
        points.append(at(high))
        step += 1
    if not saturated(points[-1].found, zero):
        return tuple(points), None, None, zero
    for _ in range(CLOSER):
        middle = round((low + high) / 2, 6)
        points.append(at(middle))
        if saturated(points[-1].found, zero):
            high = middle
        else:
            low = middle
    return tuple(sorted(points, key=lambda p: p.load)), high, high - low, zero


def one(
    network: Network,
    pattern: Pattern,
    load: float,
    *,
    packet_flits: int = 1,
    seed: int = 1,
    replay: bool = False,
    fidelity: str = "cycle",
    plain: bool = False,
) -> Measured:
    """One load on a network, measured from cycle 0."""
    if fidelity == "tile":
        return by_messages(network, pattern, load, packet_flits=packet_flits, seed=seed)
    share = network.node_cycles
    simulated = FlitNetwork(
        network.wires, network.routers, pattern, rate=load / packet_flits / share,
        packet_flits=packet_flits, seed=seed, replay=replay, plain=plain,
    )  # fmt: skip
    if pattern.kind == TRACE:
        return play(simulated)
    rules = Protocol() if replay else protocol(network, packet_flits)
    found = measure(simulated, rules)
    if share == 1:
        return found
    return replace(
        found, accepted=found.accepted * share, accepted_min=found.accepted_min * share,
        accepted_max=found.accepted_max * share,
    )  # fmt: skip


def protocol(network: Network, packet_flits: int) -> Protocol:
    """The reference's, longer where an idle network takes long.

    A period lasts twice the latency without load, and it takes 10 times that to be unstable
    (assumed: a fifth and all of what the reference has for one of 100 cycles).
    """
    usual, times = Protocol(), max(1.0, idle_cycles(network, packet_flits) / 100)
    return replace(
        usual,
        period_cycles=ceil(usual.period_cycles * max(1.0, times / 5)),
        most_latency_cycles=usual.most_latency_cycles * times,
    )
