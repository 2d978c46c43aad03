"""Copies of a network as the ends of another: one fabric of both."""

from __future__ import annotations

import numpy as np

from archsim.interconnect._routes import packed, routes_of, single
from archsim.interconnect.fabric import Fabric, Floats, Ints


def join(inner: Fabric, outer: Fabric, ports: int | None, kind: str) -> Fabric:
    """One fabric in which each terminal of `outer` is a copy of `inner`.

    Args:
        inner: network of a group.
        outer: network between groups.
        ports: devices of a group with a port to it, each to a copy of it of its own; None for one
            copy whose ports are the groups' hubs.
        kind: of the whole.
    """
    joined = _Joined(inner, outer, ports)
    groups, planes = outer.terminals, joined.planes

    def both(below: Ints, above: Ints) -> Ints:
        return np.concatenate([np.tile(below, groups), np.tile(above, planes)])

    def floats(below: Floats, above: Floats) -> Floats:
        return np.concatenate([np.tile(below, groups), np.tile(above, planes)])

    ends = joined.ends()
    return Fabric(
        kind=kind,
        terminals=groups * inner.terminals,
        nodes=joined.nodes,
        src=ends[0],
        dst=ends[1],
        bytes_per_s=floats(inner.bytes_per_s, outer.bytes_per_s),
        latency_ps=both(inner.latency_ps, outer.latency_ps),
        pj_per_bit=floats(inner.pj_per_bit, outer.pj_per_bit),
        level=both(inner.level, outer.level + inner.level.max(initial=-1) + 1),
        route=single(joined.routes),
        reduces=inner.reduces and outer.reduces,
        half_duplex=joined.other_ways(),
        routes=joined.routes,
        hub=joined.hub,
        groups=(*(inner.groups or (inner.terminals,)), groups),
    )


class _Joined:
    """Numbers of nodes and links of the whole, and its routes."""

    def __init__(self, inner: Fabric, outer: Fabric, ports: int | None) -> None:
        self.inner, self.outer = inner, outer
        self.planes = ports or 1
        each = inner.terminals
        at = [inner.hub] if ports is None else [q * each // ports for q in range(ports)]
        self.at = np.array(at, np.int64)  # node of a group that each plane's port sits on
        self.above = outer.terminals * inner.nodes  # first switch of the outer network
        self.nodes = self.above + self.planes * (outer.nodes - outer.terminals)
        one = self.planes == 1 and outer.hub >= outer.terminals
        self.hub = self.above + outer.hub - outer.terminals if one else -1

    def _below(self, group: Ints, node: Ints) -> Ints:
        """Number in the whole of a node of a group."""
        each, groups = self.inner.terminals, self.outer.terminals
        device = group * each + node
        switch = groups * each + group * (self.inner.nodes - each) + node - each
        return np.where(node < each, device, switch)

    def _above(self, plane: Ints, node: Ints) -> Ints:
        """Number in the whole of a node of a copy of the outer network."""
        groups = self.outer.terminals
        port = self._below(np.minimum(node, groups - 1), self.at[plane])
        switch = self.above + plane * (self.outer.nodes - groups) + node - groups
        return np.where(node < groups, port, switch)

    def ends(self) -> tuple[Ints, Ints]:
        """Ends of all links."""
        group = np.repeat(np.arange(self.outer.terminals), self.inner.links)
        plane = np.repeat(np.arange(self.planes), self.outer.links)
        src, dst = (
            np.concatenate(
                [
                    self._below(group, np.tile(below, self.outer.terminals)),
                    self._above(plane, np.tile(above, self.planes)),
                ]
            )
            for below, above in (
                (self.inner.src, self.outer.src), (self.inner.dst, self.outer.dst)
            )
        )  # fmt: skip
        return src, dst

    def other_ways(self) -> Ints | None:
        """Links that share a wire, as numbers in the whole."""
        found, base = [], 0
        for part, copies in ((self.inner, self.outer.terminals), (self.outer, self.planes)):
            other = part.half_duplex
            other = np.full(part.links, -1, np.int64) if other is None else other
            first = base + np.repeat(np.arange(copies) * part.links, part.links)
            tiled = np.tile(other, copies)
            found.append(np.where(tiled >= 0, tiled + first, -1))
            base += copies * part.links
        if self.inner.half_duplex is None and self.outer.half_duplex is None:
            return None
        return np.concatenate(found)

    def routes(self, start: Ints, end: Ints) -> Ints:
        """Inside a group its own way; else to the port next before the sender, across, and in."""
        each, inside, across = self.inner.terminals, routes_of(self.inner), routes_of(self.outer)
        from_hub, to_hub = start == self.hub, end == self.hub
        source = np.where(from_hub, self.outer.hub, start // each)
        target = np.where(to_hub, self.outer.hub, end // each)
        same = source == target
        known = np.where(from_hub, 0, start % each)
        plane = np.searchsorted(self.at, known, "right") - 1 if len(self.at) > 1 else known * 0
        port = self.at[plane]
        i = np.where(from_hub, port, start % each)
        j = np.where(to_hub, port, end % each)
        turn = np.where(same, j, port)
        links = self.outer.terminals * self.inner.links
        parts = (
            (inside(i, turn), source * self.inner.links),
            (
                across(np.where(same, 0, source), np.where(same, 0, target)),
                links + plane * self.outer.links,
            ),
            (inside(turn, j), target * self.inner.links),
        )
        rows = [np.where(found >= 0, found + first[:, None], -1) for found, first in parts]
        return packed(np.concatenate(rows, axis=1))
