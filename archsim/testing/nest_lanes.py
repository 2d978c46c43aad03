"""Elements of an array at work: where each one is, the ranges it has, and what all have moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from archsim.ir.nest import Placed
from archsim.ir.nest_traffic import Moved, Traffic
from archsim.ir.nest_walk import Ranges
from archsim.testing.functional import UnsoundMappingError

Place = tuple[int, int, int]  # row, column, array
Tile = dict[int, int]  # value by flat position
AXES = ("rows", "cols", "count")


@dataclass(frozen=True)
class Lane:
    """One element of the array at work: where it is, and the ranges that it has."""

    at: Place
    ranges: Ranges


@dataclass
class Counts:
    """Elements read and written by (level, operand)."""

    of: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def add(self, level: str, operand: str, reads: int = 0, writes: int = 0) -> None:
        """Count some more."""
        some = self.of.setdefault((level, operand), [0, 0])
        some[0] += reads
        some[1] += writes

    def moved(self) -> Traffic:
        """As the closed form gives them, those of nothing left out."""
        return {key: Moved(*some) for key, some in self.of.items() if any(some)}


def cut(lane: Lane, loop: Placed) -> list[Lane]:
    """The pieces of a lane's range that a loop makes."""
    start, end = lane.ranges[loop.rank]
    return [
        Lane(lane.at, {**lane.ranges, loop.rank: (low, min(low + loop.tile, end))})
        for low in range(start, end, loop.tile)
    ]


def dealt(loop: Placed, lanes: list[Lane], limits: Mapping[str, int]) -> list[Lane]:
    """The lanes after a spatial loop: one a piece, each at a place of its own.

    Raises:
        UnsoundMappingError: when an axis has fewer places.
    """
    i = AXES.index(loop.axis)
    width = -(-loop.within // loop.tile)  # of a full tile: a place means the same in all
    found = []
    for lane in lanes:
        for n, part in enumerate(cut(lane, loop)):
            at = list(lane.at)
            at[i] = at[i] * width + n
            found.append(Lane((at[0], at[1], at[2]), part.ranges))
    places = len({lane.at[i] for lane in found})
    if places > limits.get(loop.axis, places):
        raise UnsoundMappingError(f"{places} places, there are {limits[loop.axis]} {loop.axis}")
    return found
