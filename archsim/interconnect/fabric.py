"""A fabric: terminals, switches and directed links of a network, as arrays, and routes over them.

Topologies build it; collectives, message and flit simulation read it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Routes = Callable[[Ints, Ints], Ints]


@dataclass(frozen=True, eq=False)
class Fabric:
    """Nodes 0 to `terminals` - 1 are devices or ports, those after them switches or routers.

    Attributes:
        kind: of the topology.
        terminals: number of end points.
        nodes: number of all nodes.
        src, dst: ends of each directed link, [links].
        bytes_per_s: bandwidth of each link, [links].
        latency_ps: of each link, its router included, [links].
        pj_per_bit: of each link, its router included, [links].
        level: of a hierarchy that each link belongs to, the innermost 0, [links].
        route: links from one terminal to another, in order; empty from a terminal to itself.
        reduces: whether switches add and multiply messages up (in-network reduction, multicast).
        half_duplex: pairs of links that are one wire: the other direction of each link, or -1.
        dims: extents of a mesh or torus, the fastest first; empty for others.
        names: of the nodes, where they have any.
        routes: as `route`, for many ends at once: [messages, most hops], -1 past the last link.
            Takes the hub too, as either end.
        hub: the node through which all traffic could leave, such as a switch; -1 where none is.
        groups: devices of each level of a hierarchy, the innermost first; empty for others.
    """

    kind: str
    terminals: int
    nodes: int
    src: Ints
    dst: Ints
    bytes_per_s: Floats
    latency_ps: Ints
    pj_per_bit: Floats
    level: Ints
    route: Callable[[int, int], tuple[int, ...]]
    reduces: bool = False
    half_duplex: Ints | None = None
    dims: tuple[int, ...] = ()
    names: tuple[str, ...] = field(default=())
    routes: Routes | None = None
    hub: int = -1
    groups: tuple[int, ...] = ()

    @property
    def links(self) -> int:
        """Number of directed links."""
        return len(self.src)
