"""How much of the links' bandwidth routers reach with the bytes of a flow: flit by flit.

All packets of a flow are there at once, as many at each source and in turn to all targets; what
counts is how busy the fullest link is meanwhile, a node's own link to its router holding packets
back as any other. Two lengths are measured, so that filling and draining cancel out.
"""

from __future__ import annotations

import json
from functools import cache
from math import gcd

from archsim.interconnect import flit_fields as f
from archsim.interconnect.base import Topology, links
from archsim.interconnect.flit_measure import play
from archsim.interconnect.flit_network import FlitNetwork
from archsim.interconnect.floorplan import Nodes
from archsim.interconnect.traffic_trace import Packet, replayed
from archsim.system.noc_network import network_of
from archsim.system.noc_result import Network
from archsim.system.noc_times import too_short

PACKET_FLITS = 5  # a head and four of payload (assumed)
FLITS = 24_000  # of the shorter measurement, all sources together (assumed)
LONGER = 3  # times as many in the other
LEAST = 16  # packets of a source, however many there are (assumed)


def reached(link: Topology, sources: Nodes, targets: Nodes) -> float:
    """Share of the bandwidth of the fullest link, from 0 to 1; 1 where no byte passes a link."""
    if len({*sources, *targets}) == 1:
        return 1.0
    return _reached(link.kind, json.dumps(link.spec.to_data(), sort_keys=True), sources, targets)


def short_buffers_of(link: Topology) -> str | None:
    """What to say where credits let through less than half of a link."""
    if link.devices == 1:
        return None
    return too_short(network_of(link, {}, fidelity="cycle"), PACKET_FLITS)


@cache
def _reached(kind: str, described: str, sources: Nodes, targets: Nodes) -> float:
    """Equal flows on equal networks are measured once."""
    cls = links.get(kind)
    link = cls(kind, cls.Spec.model_validate_json(described))
    assert isinstance(link, Topology)
    network = network_of(link, {}, fidelity="cycle")
    each = max(LEAST, FLITS // (PACKET_FLITS * len(sources)))
    if each > len(targets):
        each -= each % len(targets)  # as many to all of them
    short, long = (_played(network, sources, targets, n * each) for n in (1, LONGER))
    return min(1.0, (long[0] - short[0]) / (long[1] - short[1])) if long[0] else 1.0


def _played(network: Network, sources: Nodes, targets: Nodes, each: int) -> tuple[int, int]:
    """Cycles that the fullest link is busy, and all, of so many packets from each source."""
    step = 1 if each >= len(targets) else _coprime(len(targets))
    packets: list[Packet] = [
        (0, source, targets[(i * step + first) % len(targets)], PACKET_FLITS)
        for first, source in enumerate(sources)
        for i in range(each)
    ]
    simulated = FlitNetwork(
        network.wires, network.routers, replayed(packets, network.wires.nodes), rate=0.0,
        packet_flits=PACKET_FLITS, seed=1,
    )  # fmt: skip
    play(simulated)
    busy = zip(simulated.link_flits(), network.wires.links, strict=True)
    fullest = max((flits * wire.flit_cycles for flits, wire in busy), default=0)
    return fullest, int(simulated.stats[f.TIME])


def _coprime(count: int) -> int:
    """Steps that come to all of so many places, and far apart: near the golden section."""
    return next(n for n in range(int(0.618 * count), count + 1) if gcd(n, count) == 1)
