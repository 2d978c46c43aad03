"""What the flit simulator must know of a network: routers, their ports, and who leads where.

Meshes and toruses are wired here, with the port numbers of their dimension-order routes; other
networks are wired from a `Fabric` in `flit_paths`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

MESH_LATENCY, TORUS_LATENCY = 1, 2  # cycles of a link, as BookSim2 lays its networks out


@dataclass(frozen=True)
class Wire:
    """A directed link.

    Attributes:
        router, out: where it begins and by which output port.
        to, into: where it ends and by which input port.
        latency_cycles: of a flit on it, and of a credit back.
        flit_cycles: cycles that a flit holds it, 1 for a link as wide as a flit.
    """

    router: int
    out: int
    to: int
    into: int
    latency_cycles: int = 1
    flit_cycles: int = 1


@dataclass(frozen=True)
class Wires:
    """Routers and links; router i belongs to node i where there is one.

    Attributes:
        routers, nodes: how many; nodes come first.
        links: directed, in the order of their results.
        own_port: of each node's router, the port to and from the node, [nodes].
        dims: extents of a mesh or torus, the fastest first; empty for others.
        wraps: whether it is a torus.
        paths: packed steps of every route (see `flit_paths`); empty on meshes and toruses.
        path_at: where each route begins, [nodes x nodes].
        classes: VC classes that the routes use.
    """

    routers: int
    nodes: int
    links: tuple[Wire, ...]
    own_port: tuple[int, ...]
    dims: tuple[int, ...] = ()
    wraps: bool = False
    paths: tuple[int, ...] = ()
    path_at: tuple[int, ...] = ()
    classes: int = 1

    @property
    def ports(self) -> int:
        """Ports of the router that has most, the node's own included."""
        most = max(self.own_port)
        return 1 + max([most, *(w.out for w in self.links), *(w.into for w in self.links)])


def coordinates(node: int, dims: Sequence[int]) -> tuple[int, ...]:
    """Coordinates of a node, the fastest dimension first."""
    found = []
    for extent in dims:
        found.append(node % extent)
        node //= extent
    return tuple(found)


def lattice(dims: Sequence[int], *, wraps: bool, latency_cycles: int | None = None) -> Wires:
    """A mesh or torus: port 2d leads up dimension d, 2d + 1 down, the last to the node.

    A link that leaves by port o enters by port o xor 1.
    """
    latency = latency_cycles or (TORUS_LATENCY if wraps else MESH_LATENCY)
    nodes = prod(dims)
    links = []
    for node in range(nodes):
        stride = 1
        for d, (own, extent) in enumerate(zip(coordinates(node, dims), dims, strict=True)):
            for out, step in ((2 * d, 1), (2 * d + 1, -1)):
                there = own + step
                if wraps or 0 <= there < extent:
                    to = node + (there % extent - own) * stride
                    links.append(Wire(node, out, to, out ^ 1, latency))
            stride *= extent
    return Wires(nodes, nodes, tuple(links), (2 * len(dims),) * nodes, tuple(dims), wraps)
