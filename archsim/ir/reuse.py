"""Closed forms of reuse: which elements a window touches, and how a rank is cut into tiles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import gcd


@lru_cache(maxsize=4096)
def touched_axis(outputs: int, stride: int, taps: int, dilation: int, pad: int, size: int) -> int:
    """Distinct in-bounds input positions that a sliding window reaches along one axis.

    Positions `o stride + t dilation - pad` fall into classes by their remainder modulo the stride.
    In units of the stride, a class is a row of intervals `outputs` long, evenly spaced.
    """
    common = gcd(stride, dilation)
    period, space = stride // common, dilation // common
    total = 0
    for tap in range(min(period, taps)):
        at, remainder = divmod(tap * dilation, stride)
        intervals = (taps - tap - 1) // period + 1
        low = -((remainder - pad) // stride)
        high = (size - 1 + pad - remainder) // stride + 1
        if low < high:
            total += _covered(high - at, outputs, space, intervals)
            total -= _covered(low - at, outputs, space, intervals)
    return total


def _covered(before: int, length: int, space: int, intervals: int) -> int:
    """Positions below `before` in intervals of a length that begin at 0, space, 2 space, ..."""
    if before <= 0:
        return 0
    if space <= length:  # they join
        return min(before, (intervals - 1) * space + length)
    whole = min(before // space, intervals)
    part = min(before - whole * space, length) if whole < intervals else 0
    return whole * length + part


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of `count` alike tiles of one loop, and whether it holds the first or last tile."""

    count: int
    size: int
    first: bool
    last: bool


def segments(extent: int, tile: int) -> tuple[Segment, ...]:
    """Cut a rank into first, middle and last tiles; the last one carries the remainder.

    First and last are split off because tokens held over a loop are taken in its first tile and
    freed in its last.
    """
    steps = -(-extent // tile)
    edge = extent - (steps - 1) * tile
    if steps == 1:
        return (Segment(1, edge, True, True),)
    middle = (Segment(steps - 2, tile, False, False),) if steps > 2 else ()
    return (Segment(1, tile, True, False), *middle, Segment(1, edge, False, True))
