"""Routes as rectangles of link numbers: one row a message, -1 past its last link.

How paths are found where no closed form says it: fewest hops, ties to the lowest link number.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from archsim.interconnect.fabric import Fabric, Ints, Routes

NONE = -1
LISTED = 8  # devices that a message names


def single(routes: Routes) -> Callable[[int, int], tuple[int, ...]]:
    """The route of one pair, from the function for many; each pair is worked out once."""

    @cache
    def route(start: int, end: int) -> tuple[int, ...]:
        if start == end:
            return ()
        row = routes(np.array([start], np.int64), np.array([end], np.int64))[0]
        return tuple(int(link) for link in row[row >= 0])

    return route


def routes_of(fabric: Fabric) -> Routes:
    """Routes of many messages of a fabric: its own, or one by one where it has none."""
    if fabric.routes is not None:
        return fabric.routes

    def routes(start: Ints, end: Ints) -> Ints:
        found = [fabric.route(int(a), int(b)) for a, b in zip(start, end, strict=True)]
        width = max(map(len, found), default=0)
        rows = [(*row, *(NONE,) * (width - len(row))) for row in found]
        return np.array(rows, np.int64).reshape(len(rows), width)

    return routes


def spans(begin: Ints, end: Ints) -> tuple[Ints, Ints]:
    """Numbers of several ranges one behind the other: where each begins among them, and they."""
    many = end - begin
    starts = np.concatenate([[0], np.cumsum(many)])
    return starts, np.arange(starts[-1]) + np.repeat(begin - starts[:-1], many)


def packed(rows: Ints) -> Ints:
    """The same routes with the gaps moved behind the links, and no column that is all gaps."""
    if rows.size == 0:
        return rows.reshape(len(rows), 0)
    gaps = rows < 0
    order = np.argsort(gaps, axis=1, kind="stable")
    width = int((~gaps).sum(axis=1).max())
    return np.take_along_axis(rows, order, axis=1)[:, :width]


def other_ways(src: Ints, dst: Ints) -> Ints:
    """The link back for each link, [links]: parallel links pair up in order; -1 where none is."""
    found: dict[tuple[int, int], list[int]] = {}
    ends = list(zip(src.tolist(), dst.tolist(), strict=True))
    for link, (start, end) in enumerate(ends):
        found.setdefault((start, end), []).append(link)
    other = np.full(len(src), NONE, np.int64)
    for (start, end), links in found.items():
        for link, back in zip(links, found.get((end, start), ()), strict=False):
            other[link] = back
    return other


class FewestHops:
    """Routes of fewest hops over any links; of several, those of the lowest link numbers.

    Args:
        nodes: number of nodes.
        src, dst: ends of each link, [links].
    """

    def __init__(self, nodes: int, src: Ints, dst: Ints) -> None:
        self.nodes, self.src, self.dst = nodes, src, dst
        self._into = np.argsort(dst, kind="stable")  # links by the node that they reach
        self._first = np.searchsorted(dst[self._into], np.arange(nodes + 1))
        self._toward: dict[int, Ints] = {}

    def toward(self, end: int) -> Ints:
        """First link of the way from every node to one, [nodes]; -1 from itself and from afar."""
        if end not in self._toward:
            self._toward[end] = self._search(end)
        return self._toward[end]

    def _search(self, end: int) -> Ints:
        first, seen = np.full(self.nodes, NONE, np.int64), np.zeros(self.nodes, bool)
        edge = np.array([end])
        seen[end] = True
        while len(edge):
            links = self._into[spans(self._first[edge], self._first[edge + 1])[1]]
            links = np.sort(links[~seen[self.src[links]]])
            edge, lowest = np.unique(self.src[links], return_index=True)
            first[edge] = links[lowest]
            seen[edge] = True
        return first

    def __call__(self, start: Ints, end: Ints) -> Ints:
        """Routes of many messages, [messages, most hops]."""
        ends, which = np.unique(end, return_inverse=True)
        table = np.array([self.toward(int(e)) for e in ends], np.int64).reshape(-1, self.nodes)
        at, columns = start.astype(np.int64, copy=True), []
        going = at != end
        while going.any():
            link = np.where(going, table[which, at], NONE)
            columns.append(link)
            at = np.where(going, self.dst[link], at)
            going = at != end
        return np.stack(columns, axis=1) if columns else np.empty((len(start), 0), np.int64)

    def unreached(self, terminals: int) -> tuple[int, ...]:
        """Terminals to which or from which there is no way from terminal 0."""
        away = self.toward(0)
        back = FewestHops(self.nodes, self.dst, self.src).toward(0)
        return tuple(t for t in range(1, terminals) if away[t] < 0 or back[t] < 0)


def cut_off(missing: tuple[int, ...]) -> str:
    """What is wrong with a network in which some devices are unreached."""
    shown = ", ".join(map(str, missing[:LISTED]))
    more = f" and {len(missing) - LISTED} more" if len(missing) > LISTED else ""
    several = len(missing) > 1
    are = "are" if several else "is"
    return f"device{'s' * several} {shown}{more} {are} cut off from device 0"
