"""What an idle network takes for a packet, and how much of a link its credits let through.

A credit of a flit is away from when the flit leaves the switch until the router behind has sent the
flit on and the credit is back and counted. What buffers hold in that time is all that a link can
carry; where a VC is free only once a packet's last credit is back, a packet holds it as long.
"""

from __future__ import annotations

from math import ceil

import numpy as np

from archsim.interconnect.fabric import Floats, Ints
from archsim.interconnect.flit_network import NODE_LATENCY
from archsim.interconnect.flit_spec import RouterSpec
from archsim.interconnect.flit_wires import Wire, Wires
from archsim.interconnect.messages import fabric_routes
from archsim.system.noc_result import Network

SOURCES = 64  # nodes, evenly spaced, between which ways are looked at (assumed)
LEAST_FILLED = 0.5  # of a link, by packets of a flit; below, buffers are too short (assumed)
MOST_HELD = 1 << 23  # flits in all buffers together, where the length is not said (assumed)


def way_cycles(network: Network, src: Ints, dst: Ints) -> Floats:
    """Cycles of links and of the routers that they leave, [ways]."""
    fabric, own = network.fabric, network.routers.link_latency
    first, links = fabric_routes(fabric, src, dst)
    each = fabric.latency_ps / network.cycle_ps
    if own is not None:
        each = np.full(fabric.links, float(own + network.routers.pipeline_cycles))
    owner = np.repeat(np.arange(len(src)), np.diff(first))
    return np.bincount(owner, each[links], len(src)).astype(np.float64)


def ends_cycles(routers: RouterSpec) -> int:
    """Cycles beside those: the router of the last node, and the way from and to the nodes."""
    return routers.pipeline_cycles + 2 * NODE_LATENCY


def idle_cycles(network: Network, packet_flits: int) -> float:
    """Latency of a packet alone, in the mean over ways."""
    ends = np.unique(np.linspace(0, network.fabric.terminals - 1, SOURCES).astype(np.int64))
    src, dst = (side.ravel() for side in np.meshgrid(ends, ends))
    apart = src != dst
    ways = way_cycles(network, src[apart], dst[apart])
    return float(ways.mean()) + ends_cycles(network.routers) + packet_flits


def credit_cycles(routers: RouterSpec, wire: Wire) -> int:
    """Cycles that a credit of a link is away."""
    latency = routers.link_latency or wire.latency_cycles
    return routers.pipeline_cycles + routers.switch_delay + routers.credit_delay + 2 * latency


def filled(wires: Wires, routers: RouterSpec, packet_flits: float) -> tuple[float, int]:
    """The most that credits let through of the worst link, as a share; and how long one is away."""
    held = routers.buffer
    if routers.wait_for_tail_credit:
        held = min(held, ceil(packet_flits))
    found = [
        (min(1.0, routers.vcs * held * wire.flit_cycles / cycles), cycles)
        for wire in _unlike(wires)
        for cycles in (credit_cycles(routers, wire),)
    ]
    return min(found)


def enough(wires: Wires, routers: RouterSpec) -> int:
    """Flits of a VC with which any class of VCs fills every link."""
    classes = 2 if wires.wraps else wires.classes
    each = max(1, routers.vcs // classes)
    return max(
        ceil(credit_cycles(routers, wire) / wire.flit_cycles / each) for wire in _unlike(wires)
    )


def _unlike(wires: Wires) -> list[Wire]:
    """A link of each latency and speed."""
    return list({(w.latency_cycles, w.flit_cycles): w for w in wires.links}.values())


def held_flits(wires: Wires, routers: RouterSpec) -> int:
    """Flits that all buffers of a network hold, those of its nodes included."""
    return (len(wires.links) + 2 * wires.nodes) * routers.vcs * routers.buffer


def as_long_as_credits(wires: Wires, routers: RouterSpec) -> RouterSpec:
    """The routers with buffers for the longest way of a credit, if theirs are too short for it.

    A VC is then free as a packet's tail leaves, unless packets choose their way.
    """
    if filled(wires, routers, 1)[0] >= LEAST_FILLED:
        return routers
    most = MOST_HELD // (held_flits(wires, routers) // routers.buffer)
    buffer = max(routers.buffer, min(enough(wires, routers), most))
    waits = routers.wait_for_tail_credit and routers.routing == "adaptive"
    return routers.model_copy(update={"buffer": buffer, "wait_for_tail_credit": waits})


def too_short(network: Network, packet_flits: float) -> str | None:
    """What to say where buffers are too short for the way of a credit."""
    routers = network.routers
    share, cycles = filled(network.wires, routers, packet_flits)
    if share >= LEAST_FILLED:
        return None
    alone = ", each with one packet," if routers.wait_for_tail_credit else ""
    text = (
        f"a credit is away for {cycles} cycles, and {routers.vcs} VCs of {routers.buffer} flits"
        f"{alone} fill {share:.2g} of a link at most"
    )
    need = max(routers.buffer, enough(network.wires, routers))
    if not routers.wait_for_tail_credit:
        return f"{text}: router.buffer: {need} fills it"
    if routers.routing == "adaptive":
        return f"{text}: longer packets and router.buffer: {need} fill it"
    return f"{text}: router.buffer: {need} with wait_for_tail_credit: false fills it"
