"""From the ends of links to a fabric whose links are alike: what most topologies build."""

from __future__ import annotations

from typing import Any

import numpy as np

from archsim.core.units import PS_PER_S
from archsim.energy.table import EnergyTable, load_table
from archsim.interconnect._routes import other_ways, single
from archsim.interconnect.base import BITS, Topology
from archsim.interconnect.fabric import Fabric, Floats, Ints, Routes

PJ_TABLE = "7nm"  # of links whose energy is asked for without a table: that of `energy.table`


def wired(
    net: Topology,
    nodes: int,
    src: Ints,
    dst: Ints,
    routes: Routes,
    latency_ps: Ints | None = None,
    bytes_per_s: Floats | None = None,
    **more: Any,
) -> Fabric:
    """A fabric of alike links.

    Args:
        net: whose description says what a link is like.
        nodes: number of nodes.
        src: where each link begins, [links].
        dst: where it ends, [links].
        routes: links of many messages.
        latency_ps: of each link, [links]; default the description's.
        bytes_per_s: of each link, [links]; default the description's.
        more: other fields of the fabric, and `table`, the rows of energy.
    """
    spec, links = net.spec, len(src)
    table: EnergyTable | None = more.pop("table", None)
    alike = np.ones(links)
    return Fabric(
        kind=net.kind,
        terminals=net.devices,
        nodes=nodes,
        src=src,
        dst=dst,
        bytes_per_s=alike * spec.bandwidth if bytes_per_s is None else bytes_per_s,
        latency_ps=np.full(links, latency_of(net), np.int64) if latency_ps is None else latency_ps,
        pj_per_bit=alike * pj_per_bit(net, table),
        level=np.zeros(links, np.int64),
        route=single(routes),
        half_duplex=other_ways(src, dst) if spec.duplex == "half" else None,
        routes=routes,
        **more,
    )


def pj_per_bit(net: Topology, table: EnergyTable | None = None) -> float:
    """Energy of a bit over one link: the description's own, or the table's for its medium.

    Raises:
        InputError: E108 for a table without such rows.
    """
    if net.spec.energy is not None:
        return float(net.spec.energy)
    rows, medium = table or load_table(PJ_TABLE), net.spec.medium
    if medium != "chip":
        return rows.of("link", medium).pj / BITS
    return (rows.of("router", "transfer").pj + rows.of("wire", "transfer").pj) / BITS


def latency_of(net: Topology) -> int:
    """Latency that a description gives, in picoseconds."""
    latency_s: float = net.spec.latency
    return round(latency_s * PS_PER_S)


def halves(net: Topology, ups: int, downs: int) -> Ints:
    """Latencies of links into a switch, then of those out of it: half of the whole each."""
    whole = latency_of(net)
    return np.repeat(np.array([whole // 2, whole - whole // 2], np.int64), [ups, downs])


def star_routes(devices: int) -> Routes:
    """Routes through one switch: link i leads from device i to it, link devices + i back."""

    def routes(start: Ints, end: Ints) -> Ints:
        apart = start != end
        up = np.where(apart & (start < devices), start, -1)
        down = np.where(apart & (end < devices), end + devices, -1)
        return np.stack([up, down], axis=1)

    return routes


def star(net: Topology, table: EnergyTable | None, **more: Any) -> Fabric:
    """Devices around one switch, which is node `devices`."""
    count = net.devices
    ends, hub = np.arange(count, dtype=np.int64), np.full(count, count, np.int64)
    return wired(
        net, count + 1, np.concatenate([ends, hub]), np.concatenate([hub, ends]),
        star_routes(count), halves(net, count, count), table=table, hub=count, **more,
    )  # fmt: skip
