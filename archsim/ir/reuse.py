"""Closed forms of reuse: which elements a window touches, and how a rank is cut into tiles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache


@lru_cache(maxsize=4096)
def touched_axis(outputs: int, stride: int, taps: int, dilation: int, pad: int, size: int) -> int:
    """Distinct in-bounds input positions that a sliding window reaches along one axis."""
    reach = {o * stride + t * dilation - pad for o in range(outputs) for t in range(taps)}
    return sum(0 <= i < size for i in reach)


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
