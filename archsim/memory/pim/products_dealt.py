"""Whole matrices dealt over channels: how many of these one lies over, and which are fullest."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from archsim.core.errors import Unmappable
from archsim.ir.pim import Deal, Product
from archsim.ir.problem import Extents
from archsim.memory.pim.layouts import Placed

if TYPE_CHECKING:
    from archsim.memory.pim.products import PimDevice

ALL_TRIED = 4
"""Kinds of matrices up to which each way to spread them is timed, and not only estimated."""

MOST_SPREAD = 8
"""Times as many channels as a whole matrix needs that it may be spread over."""


SEED = 0
"""Of the order in which sequences come that are dealt in turn."""


def busiest(
    times: Sequence[int], counts: Sequence[int], groups: int, deal: Deal, together: int = 1
) -> list[int]:
    """How many of each kind of matrix the busiest group of channels gets.

    Args:
        times: of one of each kind.
        counts: of each kind.
        groups: that they are dealt over.
        deal: in an order that has nothing to do with times, drawn once for all; or the longest
            first and each to the emptiest group.
        together: matrices of a sequence, which stay in one group where each lies in one.
    """
    each = 1 if deal == "spread" or any(n % together for n in counts) else together
    if len(times) == 1:
        return [-(-counts[0] // (each * groups)) * each]
    order = [i for i, n in enumerate(counts) for _ in range(n // each)]
    if deal == "in_turn":
        random.Random(SEED).shuffle(order)
    else:
        order.sort(key=lambda i: -times[i])
    got = [Counter[int]() for _ in range(min(groups, len(order)))]
    loads = [(0, g) for g in range(len(got))]
    for turn, i in enumerate(order):
        load, g = heapq.heappop(loads) if deal != "in_turn" else loads[turn % len(got)]
        got[g][i] += 1
        if deal != "in_turn":
            heapq.heappush(loads, (load + times[i], g))
        else:
            loads[turn % len(got)] = load + times[i], g
    fullest = max(loads)[1]
    return [got[fullest][i] * each for i in range(len(times))]


def spread(
    device: PimDevice, cases: Sequence[Extents], product: Product
) -> tuple[int, list[Placed]]:
    """Groups of channels to which whole matrices are dealt, and how these lie in one.

    Raises:
        Unmappable: where their layout fits no group.
    """
    if device.deal != "spread":
        return device.channels, [device.place(e, product, 1) for e in cases]
    least = max(1, device.channels // sum(e.b for e in cases))
    most = min(MOST_SPREAD * least, device.channels, product.over or device.channels)
    least = min(least, most)
    widths = [n for n in range(least, most + 1) if n == least or device.channels % n == 0]
    found: list[tuple[int, int, list[Placed]]] = []
    for width in widths:
        try:
            placed = [device.place(e, product, width) for e in cases]
        except Unmappable:
            if width == widths[-1] and not found:
                raise
            continue
        if len(cases) > ALL_TRIED:
            times = [_rough(device, p, e.m) for e, p in zip(cases, placed, strict=True)]
        else:
            pieces = zip(cases, placed, strict=True)
            times = [device.piece(e, p, product).alone.ticks for e, p in pieces]
        got = busiest(times, [e.b for e in cases], device.channels // width, device.deal)
        found.append((sum(n * t for n, t in zip(got, times, strict=True)), width, placed))
    _, width, placed = min(found, key=lambda one: one[:2])
    return device.channels // width, placed


def _rough(device: PimDevice, placed: Placed, vectors: int) -> int:
    """Ticks of a matrix without transfers and what overlaps: to choose by."""
    lying, unit = placed.lying, device.unit
    passes = -(-vectors // unit.together(lying.access_elements, vectors))
    return lying.accesses * unit.spacing * passes + lying.rows * device.rules.row_ticks
