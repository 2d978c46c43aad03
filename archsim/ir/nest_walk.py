"""Walks the buffer tiles of a loop nest in execution order, as ranges and moves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from archsim.ir.nest_ranks import OPERANDS

if TYPE_CHECKING:
    from archsim.ir.nest import NestMapping

Ranges = dict[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class NestStep:
    """One tile of the buffer: index ranges by rank, and what moves.

    Attributes:
        case: ragged case.
        ranges: (low, high) by rank; those of B count on over ragged cases.
        enter, leave: by operand that the buffer keeps: its tile is brought in, or let go.
        opens, closes: first and last tile of the reduction of its outputs.
    """

    case: int
    ranges: dict[str, tuple[int, int]]
    enter: dict[str, bool]
    leave: dict[str, bool]
    opens: bool
    closes: bool


def walk(nest: NestMapping) -> Iterator[NestStep]:
    """Every tile of the buffer in execution order, cases one after the other."""
    base = 0
    for number, case in enumerate(nest.cases):
        ranges = {rank: (0, extent) for rank, extent in case.items()}
        ranges["B"] = (base, base + case["B"])
        yield from _inner(nest, number, ranges, [], [])
        base += case["B"]


def _inner(
    nest: NestMapping, number: int, ranges: Ranges, first: list[bool], last: list[bool]
) -> Iterator[NestStep]:
    """Tiles inside the loops whose places `first` and `last` are given."""
    if len(first) == len(nest.outer):
        yield _step(nest, number, ranges, first, last)
        return
    loop = nest.outer[len(first)]
    start, end = ranges[loop.rank]
    for low in range(start, end, loop.tile):
        high = min(low + loop.tile, end)
        place = [*first, low == start], [*last, high == end]
        yield from _inner(nest, number, {**ranges, loop.rank: (low, high)}, *place)


def _step(
    nest: NestMapping, number: int, ranges: Ranges, first: list[bool], last: list[bool]
) -> NestStep:
    enter, leave, order = {}, {}, nest.order
    for operand in OPERANDS:
        if operand in nest.levels[1].keeps:
            place = len(order) - len(nest.held_over(operand))
            enter[operand], leave[operand] = all(first[place:]), all(last[place:])
    sums = [i for i, rank in enumerate(order) if rank in nest.reduced]
    opens, closes = all(first[i] for i in sums), all(last[i] for i in sums)
    return NestStep(number, ranges, enter, leave, opens, closes)
