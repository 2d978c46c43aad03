"""Two binary trees, half of the buffer on each, in parts that follow each other.

A device that has children in one tree is a leaf in the other, so that all send and get alike. After
Sanders, Speck and Träff, "Two-tree algorithms for full bandwidth broadcast, reduction and scan",
Parallel Comput. 35 (2009).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np

from archsim.core.units import PS_PER_S
from archsim.interconnect.collectives._pipeline import best_parts, first_way
from archsim.interconnect.collectives.base import Algorithm, Round, Site, Span, cuts
from archsim.ir.collective import Collective


class Tree(Algorithm):
    """All-reduce: up to the roots, then down from them. Broadcast: the first device feeds both."""

    kind = "tree"
    PATTERNS: ClassVar = ("all_reduce", "broadcast")

    def rounds(self, site: Site, collective: Collective) -> tuple[Round, ...]:
        """One round, for each part and each level of the trees, for up and for down."""
        trees = Trees.of(collective)
        latency_ps, bytes_per_s = first_way(site)
        parts = trees.parts(latency_ps + 2 * site.step_ps, bytes_per_s)
        down = trees.round(parts, up=False)
        return (down,) if collective.pattern == "broadcast" else (trees.round(parts, up=True), down)

    def closed_form_ps(
        self,
        collective: Collective,
        latency_ps: float,
        bytes_per_s: float,
        dims: tuple[int, ...] = (),
    ) -> float:
        """(parts + depth - 1) x (latency + 2 messages / bandwidth), twice for an all-reduce.

        A device that has children in one tree sends to both at once, or gets from both.
        """
        trees = Trees.of(collective)
        parts = trees.parts(latency_ps, bytes_per_s)
        turns = 2 if collective.pattern == "all_reduce" else 1
        message = trees.largest(parts)
        steps = parts + trees.depth - 1
        return turns * steps * (latency_ps + trees.port * message * PS_PER_S / bytes_per_s)


@dataclass(frozen=True, eq=False)
class Trees:
    """Both trees of a collective.

    Attributes:
        size_bytes: of the buffer.
        edges: (parent, child, depth of the child, tree) of every device but the root of each.
        depth: of the deeper tree.
        port: most messages that a device sends, or gets, in a round.
    """

    size_bytes: int
    edges: tuple[tuple[int, int, int, int], ...]
    depth: int
    port: int

    @classmethod
    def of(cls, collective: Collective) -> Trees:
        """All devices in either tree; for a broadcast the first is above the roots."""
        n, fed = collective.devices, collective.pattern == "broadcast"
        members = n - 1 if fed else n
        found = []
        for tree in (0, 1):
            device = [fed + (_mirror(i, members) if tree else i) for i in range(members)]
            for child, parent, depth in _edges(0, members, None, 1 if fed else 0):
                above = 0 if parent is None else device[parent]
                if parent is not None or fed:
                    found.append((above, device[child], depth, tree))
        sent, got = (np.bincount([e[end] for e in found], minlength=n) for end in (0, 1))
        port = int(max(sent.max(), got.max())) if found else 0
        return cls(collective.size_bytes, tuple(found), max((e[2] for e in found), default=0), port)

    def parts(self, latency_ps: float, bytes_per_s: float) -> int:
        """Parts that each half is cut into."""
        half_ps = self.port * self.size_bytes / 2 * PS_PER_S / bytes_per_s
        return best_parts(self.size_bytes // 2, self.depth, half_ps, latency_ps)

    def _halves(self, parts: int) -> list[list[tuple[int, int]]]:
        """First byte and end of each part of both halves."""
        middle = [int(x) for x in cuts(self.size_bytes, 2)]
        found = []
        for first, end in pairwise(middle):
            edges = [first + int(x) for x in cuts(end - first, parts)]
            found.append(list(pairwise(edges)))
        return found

    def largest(self, parts: int) -> int:
        """Bytes of the largest part."""
        return max(end - first for half in self._halves(parts) for first, end in half)

    def round(self, parts: int, up: bool) -> Round:
        """All edges at once, as often as parts and levels need to pass."""
        halves = self._halves(parts)
        ends = np.array([e[:2] for e in self.edges], np.int64)
        src, dst = (ends[:, 1], ends[:, 0]) if up else (ends[:, 0], ends[:, 1])
        carried = np.array([sum(b - a for a, b in halves[e[3]]) for e in self.edges], np.int64)

        def spans(step: int) -> Iterator[Span]:
            for i, (_, _, depth, tree) in enumerate(self.edges):
                part = step - (self.depth - depth if up else depth - 1)
                if 0 <= part < parts:
                    yield (i, *halves[tree][part])

        size = np.full(len(ends), self.largest(parts))
        return Round(src, dst, size, parts + self.depth - 1, carried, spans, up)


def _edges(
    first: int, end: int, parent: int | None, depth: int
) -> Iterator[tuple[int, int | None, int]]:
    """(child, parent, depth) in order over places; leaves are those at an even distance."""
    if first == end:
        return
    middle = first + ((end - first) // 2 | 1 if end - first > 1 else 0)
    if middle >= end:
        middle -= 2
    yield middle, parent, depth
    yield from _edges(first, middle, middle, depth + 1)
    yield from _edges(middle + 1, end, middle, depth + 1)


def _mirror(place: int, members: int) -> int:
    """Device of a place in the second tree: of those at odd places in one, none is in the other."""
    return members - 1 - place if members % 2 == 0 else (place + 1) % members
