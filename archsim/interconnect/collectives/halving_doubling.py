"""Recursive halving and doubling: partners at half the distance each step, or at twice.

Few steps and least bytes where devices are a power of two; of others some hand their buffer to a
neighbour first and get the result last. After Thakur, Rabenseifner and Gropp, "Optimization of
collective communication operations in MPICH", Int. J. High Perform. Comput. Appl. 19 (2005).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from archsim.core.units import PS_PER_S
from archsim.interconnect.collectives.base import Algorithm, Round, Site, Span, cuts, round_of
from archsim.interconnect.fabric import Ints
from archsim.ir.collective import Collective


class HalvingDoubling(Algorithm):
    """Halving reduces, doubling gathers."""

    kind = "halving_doubling"
    PATTERNS: ClassVar = ("all_reduce", "all_gather", "reduce_scatter")

    def fits(self, site: Site, collective: Collective) -> str | None:
        """A gather and a scatter only of a power of two."""
        n = collective.devices
        if n & (n - 1) and collective.pattern != "all_reduce":
            return f"{n} devices are no power of two"
        return None

    def rounds(self, site: Site, collective: Collective) -> tuple[Round, ...]:
        """Log2 n rounds each way, two more for devices beyond a power of two."""
        n, size = collective.devices, collective.size_bytes
        core = 1 << (n.bit_length() - 1)
        rest = n - core  # pairs of devices 2 i, 2 i + 1, of which the second goes on
        device = [2 * i + 1 for i in range(rest)] + list(range(2 * rest, n))
        edges = [int(x) for x in cuts(size, core)]
        found: list[Round] = []
        if collective.pattern != "all_gather":
            if rest:
                whole = [(0, size)]
                found.append(round_of([(2 * i, 2 * i + 1, whole) for i in range(rest)], True))
            found += _steps(device, edges, adds=True)
        if collective.pattern != "reduce_scatter":
            found += _steps(device, edges, adds=False)
            if rest:
                whole = [(0, size)]
                found.append(round_of([(2 * i + 1, 2 * i, whole) for i in range(rest)], False))
        return tuple(found)

    def closed_form_ps(
        self,
        collective: Collective,
        latency_ps: float,
        bytes_per_s: float,
        dims: tuple[int, ...] = (),
    ) -> float:
        """Latency each step, and parts that halve; a whole buffer before and after if need be."""
        n, size = collective.devices, collective.size_bytes
        core = 1 << (n.bit_length() - 1)
        edges = [int(x) for x in cuts(size, core)]
        turns = 2 if collective.pattern == "all_reduce" else 1
        total, width = 0.0, core // 2
        while width:  # of the parts that pass in a step the first is the largest
            total += latency_ps + edges[width] * PS_PER_S / bytes_per_s
            width //= 2
        extra = 2 * (latency_ps + size * PS_PER_S / bytes_per_s) if n > core else 0.0
        return turns * total + extra


def _steps(device: list[int], edges: list[int], adds: bool) -> list[Round]:
    """Partners that differ in one bit of their number, the highest first where sums shrink."""
    widths = [1 << bit for bit in range(len(device).bit_length() - 1)]
    places, bounds = np.array(device, np.int64), np.array(edges, np.int64)
    return [_step(places, bounds, width, adds) for width in (widths[::-1] if adds else widths)]


def _step(device: Ints, edges: Ints, width: int, adds: bool) -> Round:
    """Each sends the parts that its partner goes on with, or all that it has."""
    i = np.arange(len(device), dtype=np.int64)
    first = (i ^ width if adds else i) // width * width
    size = edges[first + width] - edges[first]
    some = size > 0
    src, dst = device[some], device[i ^ width][some]
    start, size = edges[first][some], size[some]

    def spans(_: int) -> Iterator[Span]:
        for message, (begin, length) in enumerate(zip(start, size, strict=True)):
            yield message, int(begin), int(begin + length)

    return Round(src, dst, size, 1, size, spans, adds)
