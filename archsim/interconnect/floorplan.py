"""A floorplan: parts of a chip on nodes of a network, and what bytes between them ask of its links.

Bytes go evenly from all nodes of one part to all nodes of another. What simulation makes of it is
in `system.on_chip`; how far routers come is in `system.on_chip_routers`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import numpy as np

from archsim.core.errors import InputError
from archsim.core.units import PS_PER_S
from archsim.interconnect._routes import routes_of
from archsim.interconnect.base import Place, Topology
from archsim.interconnect.fabric import Fabric, Floats, Ints, Routes

Nodes = tuple[int, ...]
CHUNK = 1 << 16  # ways that are held at once


@dataclass(frozen=True, eq=False)
class Flow:
    """What a byte from one part to another asks of a network, on the mean.

    Attributes:
        sources, targets: nodes of the two parts, one for each port, slice or instance.
        share: of the byte that passes each link, [links].
        wire_ps: time that it takes of each link's wire, [links].
        mean_ps, worst_ps: latency of the way, over all pairs of nodes.
        reached: share of the links' bandwidth that routers reach with such bytes alone.
    """

    sources: Nodes
    targets: Nodes
    share: Floats
    wire_ps: Floats
    mean_ps: float
    worst_ps: int
    reached: float = 1.0

    @property
    def hops(self) -> float:
        """Links that a byte passes, on the mean."""
        return float(self.share.sum())

    @property
    def ps_per_byte(self) -> float:
        """Time of a byte on the fullest link; 0 where no byte passes any."""
        return float(self.wire_ps.max(initial=0.0)) / self.reached

    @property
    def bytes_per_s(self) -> float:
        """Effective bandwidth: that at which the fullest link is full; else infinite."""
        each = self.ps_per_byte
        return PS_PER_S / each if each else float("inf")

    @property
    def hottest(self) -> int:
        """The fullest link; -1 where no byte passes any."""
        return int(self.wire_ps.argmax()) if self.wire_ps.any() else -1


def flow(fabric: Fabric, sources: Nodes, targets: Nodes, together: int = 1) -> Flow:
    """Bytes dealt evenly from all sources to all targets.

    Args:
        fabric: the network.
        sources: where bytes come from.
        targets: where they go, an entry for each receiver.
        together: receivers, one behind the other, that get the same bytes; a link that several of
            them are behind is passed once.
    """
    share, ends = np.zeros(fabric.links), np.array(targets, np.int64)
    each = 1.0 / (len(sources) * len(targets))
    at_once = max(1, CHUNK // len(targets))
    total_ps = worst_ps = 0
    for first in range(0, len(sources), at_once):
        some = np.array(sources[first : first + at_once], np.int64)
        rows = routes_of(fabric)(np.repeat(some, len(ends)), np.tile(ends, len(some)))
        ways = np.append(fabric.latency_ps, 0)[rows].sum(axis=1)
        total_ps += int(ways.sum())
        worst_ps = max(worst_ps, int(ways.max(initial=0)))
        share += each * _passed(rows, fabric.links, len(targets), together)
    return Flow(
        tuple(sources), tuple(targets), share, wire_ps(fabric, share), total_ps * each, worst_ps
    )


def remembering(fabric: Fabric) -> Fabric:
    """The fabric with routes that remember the last they were asked for."""
    return replace(fabric, routes=_Remembered(routes_of(fabric)))


class _Remembered:
    """Routes of one set of ends: flows of a chip have the same ones."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._last: tuple[Ints, Ints, Ints] | None = None

    def __call__(self, start: Ints, end: Ints) -> Ints:
        """Links of many messages, [messages, most hops]."""
        last = self._last
        if last is None or not np.array_equal(last[0], start) or not np.array_equal(last[1], end):
            last = self._last = start, end, self._routes(start, end)
        return last[2]


def _passed(rows: Ints, links: int, targets: int, together: int) -> Ints:
    """How often each link is passed along routes, [links]; once for targets that get the same."""
    there = rows >= 0
    if together > 1:
        way = np.arange(len(rows))
        groups = -(-targets // together)
        tree = way // targets * groups + way % targets // together
        found = np.sort((tree[:, None] * links + rows)[there])
        first = np.diff(found, prepend=-1) > 0
        return np.bincount(found[first] % links, minlength=links)
    return np.bincount(rows[there], minlength=links)


def wire_ps(fabric: Fabric, size_bytes: Floats) -> Floats:
    """Time of each link's wire for bytes over the links, [links]: directions may share a wire."""
    other = fabric.half_duplex
    if other is not None:
        size_bytes = size_bytes + np.where(other >= 0, size_bytes[other], 0.0)
    return np.asarray(size_bytes / fabric.bytes_per_s * PS_PER_S, dtype=np.float64)


def nodes_of(link: Topology, part: str, place: Place) -> Nodes:
    """Numbers of the nodes that a part of the chip sits on.

    Args:
        link: the network.
        part: name of the part.
        place: as described.

    Raises:
        InputError: E201 for a node that is not there, E202 for none, and for one said twice.
    """
    path = f"interconnect.{link.name}.place.{part}"
    if place == "all":
        return tuple(range(link.devices))
    found = tuple(_number(link, node, path) for node in place)
    twice = next((place[i] for i, node in enumerate(found) if node in found[:i]), None)
    if not found or twice is not None:
        what = "no node" if twice is None else f"node {said(twice)} twice"
        raise InputError(f"{path} names {what}", code="E202", details={"path": path})
    return found


def said(node: int | tuple[int, ...]) -> str:
    """A node as descriptions write it."""
    return str(node) if isinstance(node, int) else f"[{', '.join(map(str, node))}]"


def _number(link: Topology, node: int | tuple[int, ...], path: str) -> int:
    """Number of a node: coordinates have the fastest dimension first."""
    dims: tuple[int, ...] = getattr(link.spec, "dims", ())
    outside = f"nodes: 0 to {link.devices - 1}"
    if isinstance(node, int):
        if 0 <= node < link.devices:
            return node
    elif not dims:
        raise InputError(
            f"{path} gives coordinates, and a {link.kind} has none",
            code="E201", help=outside, details={"path": path},
        )  # fmt: skip
    else:
        outside += f", or {said((0,) * len(dims))} to {said(tuple(e - 1 for e in dims))}"
        inside = len(node) == len(dims)
        if inside and all(0 <= at < extent for at, extent in zip(node, dims, strict=True)):
            return sum(at * prod(dims[:d]) for d, at in enumerate(node))
    raise InputError(
        f"{path} names node {said(node)}, which {link.name} does not have",
        code="E201", help=outside, details={"path": path},
    )  # fmt: skip
