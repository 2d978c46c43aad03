"""What `noc` found: latency against load, the saturation and the use of links, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from archsim.interconnect.fabric import Fabric
from archsim.interconnect.flit_measure import Measured
from archsim.interconnect.flit_spec import RouterSpec
from archsim.interconnect.flit_wires import Wires


@dataclass(frozen=True)
class Network:
    """A network ready for traffic.

    Attributes:
        name: as the user named it.
        wires: its routers and links.
        routers: description of its routers.
        cycle_ps: of the fastest link, which carries a flit in one.
        flit_bytes: of a flit.
        fabric: links and routes, as messages see them.
        grown: whether buffers are as long as credits need, for want of a length.
    """

    name: str
    wires: Wires
    routers: RouterSpec
    cycle_ps: float
    flit_bytes: float
    fabric: Fabric
    grown: bool = False

    @property
    def node_cycles(self) -> int:
        """Cycles that a flit takes on the fastest link of a node: a load of 1 fills it."""
        own = [w.flit_cycles for w in self.wires.links if w.router < self.wires.nodes]
        return min(own, default=1)


@dataclass(frozen=True)
class Point:
    """One load and what became of it."""

    load: float
    found: Measured

    def to_dict(self, cycle_ps: float) -> dict[str, Any]:
        """Plain data, without links."""
        f = self.found
        return {
            "load": self.load, "stable": f.stable, "packet_latency_cycles": f.packet_latency,
            "packet_latency_s": _seconds(f.packet_latency, cycle_ps),
            "packet_latency_min_cycles": f.packet_latency_min,
            "packet_latency_max_cycles": f.packet_latency_max,
            "net_latency_cycles": f.net_latency, "flit_latency_cycles": f.flit_latency,
            "hops": f.hops, "accepted": f.accepted, "accepted_min": f.accepted_min,
            "accepted_max": f.accepted_max, "packets": f.packets, "flits": f.flits,
            "cycles": f.cycles,
        }  # fmt: skip


def _seconds(cycles: float | None, cycle_ps: float) -> float | None:
    return None if cycles is None else cycles * cycle_ps * 1e-12


@dataclass(frozen=True)
class NocResult:
    """Latency against load, the saturation, and the load of every link.

    Attributes:
        network: that was loaded.
        options: of the run, as plain data.
        points: loads in rising order.
        saturation: lowest load that saturates, within `saturation_within`; None where none does.
        zero_load_cycles: latency of the lowest load.
        warnings: options without effect, and buffers that are too short.
    """

    network: Network
    options: dict[str, Any]
    points: tuple[Point, ...]
    saturation: float | None
    saturation_within: float | None
    zero_load_cycles: float | None
    warnings: tuple[str, ...] = ()

    @property
    def shown(self) -> Point:
        """The point whose links are shown: the highest load below saturation, else the lowest."""
        below = [p for p in self.points if self.saturation is None or p.load < self.saturation]
        stable = [p for p in below if p.found.stable]
        return stable[-1] if stable else self.points[0]

    def link_rows(self) -> list[dict[str, Any]]:
        """Utilisation of every link at the load that is shown."""
        found = self.shown.found
        return [
            {
                "from": w.router, "to": w.to, "flits": n,
                "utilisation": n * w.flit_cycles / max(1, found.link_cycles),
            }
            for w, n in zip(self.network.wires.links, found.link_flits, strict=True)
        ]  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "schema": "archsim.noc/1",
            "topology": self.network.name,
            "nodes": self.network.wires.nodes,
            "dims": list(self.network.wires.dims),
            "vc_classes": self.network.wires.classes,
            "cycle_s": self.network.cycle_ps * 1e-12,
            "flit_bytes": self.network.flit_bytes,
            "buffer_follows_credits": self.network.grown,
            **self.options,
            "zero_load_latency_cycles": self.zero_load_cycles,
            "saturation_load": self.saturation,
            "saturation_within": self.saturation_within,
            "points": [p.to_dict(self.network.cycle_ps) for p in self.points],
            "links_at_load": self.shown.load,
            "links": self.link_rows(),
            "warnings": list(self.warnings),
        }
