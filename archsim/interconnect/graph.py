"""A fabric as a graph of networkx, and what can be measured on it whatever its topology."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import Any

import numpy as np

from archsim.interconnect._routes import routes_of
from archsim.interconnect.fabric import Fabric, Ints


def fabric_graph(fabric: Fabric) -> Any:
    """A `MultiDiGraph` of the nodes, with links as edges whose keys are the links' numbers.

    Nodes carry `terminal` and `name`, edges `bytes_per_s`, `latency_ps`, `pj_per_bit` and `level`.
    """
    import networkx

    graph = networkx.MultiDiGraph(kind=fabric.kind)
    for node in range(fabric.nodes):
        name = fabric.names[node] if fabric.names else str(node)
        graph.add_node(node, terminal=node < fabric.terminals, name=name)
    for link in range(fabric.links):
        graph.add_edge(
            int(fabric.src[link]), int(fabric.dst[link]), link,
            bytes_per_s=float(fabric.bytes_per_s[link]), latency_ps=int(fabric.latency_ps[link]),
            pj_per_bit=float(fabric.pj_per_bit[link]), level=int(fabric.level[link]),
        )  # fmt: skip
    return graph


def hops(fabric: Fabric) -> Ints:
    """Links on the way from every device to every other, [devices, devices]."""
    count = fabric.terminals
    src, dst = np.divmod(np.arange(count * count, dtype=np.int64), count)
    links: Ints = (routes_of(fabric)(src, dst) >= 0).sum(axis=1)
    return links.reshape(count, count)


def cut_bytes_per_s(fabric: Fabric, half: Iterable[int]) -> float:
    """Most bandwidth from some devices to all others, whatever the routes: a minimum cut."""
    import networkx

    graph: Any = networkx.DiGraph()
    for start, end, speed in fabric_graph(fabric).edges(data="bytes_per_s"):
        before = graph.get_edge_data(start, end, {"capacity": 0.0})["capacity"]
        graph.add_edge(start, end, capacity=before + speed)
    inside = set(half)
    for device in range(fabric.terminals):
        ends = ("out", device) if device in inside else (device, "in")
        graph.add_edge(*ends)  # without a capacity: as much as there is
    found: float = networkx.maximum_flow_value(graph, "out", "in")
    return found


def bisection_bytes_per_s(fabric: Fabric) -> float:
    """Least of those over all halves of the devices, of which there are many: for small networks.

    Of an odd number the smaller half is the sender.
    """
    count = fabric.terminals
    if count < 2:
        return 0.0
    return min(cut_bytes_per_s(fabric, half) for half in combinations(range(count), count // 2))
