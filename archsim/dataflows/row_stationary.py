"""Row-stationary (Eyeriss): a row of a filter stays in an element, output rows run diagonally."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import ceil, prod
from typing import TYPE_CHECKING, ClassVar

from archsim.core.errors import Unmappable
from archsim.dataflows._nest_base import NestDataflow
from archsim.dataflows._nest_parts import (
    Extents,
    Inner,
    divisors,
    held_bytes,
    kept,
    names,
    passes,
)
from archsim.ir.nest import NestLevel, NestLoop
from archsim.ir.nest_ranks import OPERANDS, largest_extents
from archsim.ir.problem import Problem

if TYPE_CHECKING:
    from archsim.ir.nest_check import NestTarget


@dataclass(frozen=True)
class Fold:
    """How a set of filter rows x output rows lies on an array.

    Attributes:
        high: passes over the filter's rows, where the array has fewer.
        wide: passes over the output's rows.
        pieces: of a pass, stacked on top of each other where the array is high enough.
        sets_high, sets_wide: sets side by side, of other channels and filters.
    """

    high: int
    wide: int
    pieces: int
    sets_high: int
    sets_wide: int


def fold(filter_rows: int, output_rows: int, rows: int, cols: int) -> Fold:
    """Fold a set to the array, then fill what is left with further sets.

    Output rows that are too many for the columns first go to free rows of the array, and only then
    to another pass. Source: Chen et al. (JSSC 2017), section IV.A; Gao et al., nn-dataflow.
    """
    high, sets_high = ceil(filter_rows / rows), max(1, rows // filter_rows)
    wide, sets_wide = ceil(output_rows / cols), max(1, cols // output_rows)
    pieces = min(sets_high, wide)
    return Fold(high, ceil(wide / pieces), pieces, sets_high // pieces, sets_wide)


class RowStationary(NestDataflow):
    """Row-stationary: an element convolves one filter row with one input row.

    A set of elements (filter rows x output rows) makes one plane; sets beside each other take other
    channels, whose sums meet, or other filters, which share inputs. Channels of different groups
    share neither, so a depthwise convolution has one set at work at a time.
    """

    kind = "row_stationary"
    groups: ClassVar[bool] = False

    def inner(self, problem: Problem, target: NestTarget) -> Iterator[Inner]:
        """Levels with as many taps, channels and filters in an element as its registers hold."""
        e = largest_extents(problem.op)
        group, image, out, pixel, filters, channels, high, wide = _ranks(problem)
        rows, cols = target.axes["rows"], target.axes["cols"]
        f = fold(e.get(high, 1), e.get(out, 1), rows, cols)
        sets = self._sets(e, f, (group, filters, channels))
        span = ceil(e.get(out, 1) / f.wide)
        spatial = [(high, 1, "rows"), (out, ceil(span / f.pieces), "rows"), (out, 1, "cols")]
        for held in _held(problem, target, e, sets, (filters, channels, wide)):
            keeps = kept(problem, target, held, "weight")
            if "weight" not in keeps:
                continue
            loops, covered = [], {}
            for rank, steps in sets.items():
                covered[rank] = held.get(rank, 1) * prod(steps)
                deep = covered[rank]
                for axis, n in zip(("rows", "cols"), steps, strict=True):
                    deep //= n
                    loops.append((rank, deep, axis))
            covered |= {out: span, high: ceil(e.get(high, 1) / f.high), wide: held.get(wide, 1)}
            order = [r for r in (group, image, out, filters, channels, high, wide, pixel) if r in e]
            turns = {r: (e[r], covered.get(r, 1)) for r in order}
            buffer = passes(turns, (channels, high, wide), target.axes["count"])
            buffer += [NestLoop(r, tile, axis) for r, tile, axis in (*spatial, *loops) if r in e]
            inside = [NestLoop(r, 1) for r in (filters, channels, wide) if held.get(r, 1) > 1]
            yield (
                NestLevel("buffer", frozenset(OPERANDS), tuple(buffer)),
                NestLevel("registers", frozenset(keeps), tuple(inside)),
            )

    def check(self, problem: Problem, target: NestTarget) -> None:
        """Refuse an array whose registers do not hold one weight.

        Raises:
            Unmappable: with what they hold.
        """
        if "weight" not in kept(problem, target, {}, "weight"):
            raise Unmappable(
                f"{problem.op.name}: {self.kind} keeps filter rows in registers, and those of "
                f"{target.engine} hold no weight",
                code="E401",
            )

    def _sets(self, e: Extents, f: Fold, ranks: tuple[str, ...]) -> dict[str, tuple[int, int]]:
        """Sets along rows and columns by rank, so that the fewest passes are left.

        Sets beside each other along the columns differ in filters only: sums go up a column.
        """
        group, filters, channels = ranks
        best: tuple[tuple[int, ...], dict[str, tuple[int, int]]] | None = None
        free = divisors if self.groups else _one
        for g, g_wide in product(free(f.sets_high), free(f.sets_wide)):
            for c in divisors(f.sets_high // g):
                n, n_wide = f.sets_high // g // c, f.sets_wide // g_wide
                asked = {group: (g, g_wide), channels: (c, 1), filters: (n, n_wide)}
                found = {r: _clip(e.get(r, 1), *steps) for r, steps in asked.items()}
                passes = prod(ceil(e.get(r, 1) / prod(steps)) for r, steps in found.items())
                used = prod(prod(steps) for steps in found.values())
                if best is None or (passes, used) < best[0]:
                    best = (passes, used), found
        assert best is not None
        return best[1]


def _one(_: int) -> list[int]:
    return [1]


def _clip(extent: int, high: int, wide: int) -> tuple[int, int]:
    """No more sets than the rank has, the columns' first."""
    wide = min(wide, extent)
    return min(high, ceil(extent / wide)), wide


def _ranks(problem: Problem) -> tuple[str, ...]:
    """Group, image, output row and pixel, filter, channel, tap row and tap; "" where there is none.

    A product is one row high: its rows are the pixels of it.
    """
    ranks = ("G", "B", "OH", "OW", "OC", "IC", "FH", "FW")
    given = [names(problem, r) for r in ranks]
    image = "B" if problem.op.window is not None else ""
    return tuple(
        image if r == "B" else (name[0] if name else "")
        for r, name in zip(ranks, given, strict=True)
    )


def _held(
    problem: Problem,
    target: NestTarget,
    e: Extents,
    sets: dict[str, tuple[int, int]],
    ranks: tuple[str, str, str],
) -> Iterator[dict[str, int]]:
    """What an element holds: a row of taps of as many channels, then filters, as fit.

    And the other way round, and of one channel or filter only, for small buffers. Numbers that
    divide an element's share leave no remainder.
    """
    filters, channels, wide = ranks
    for some in ((channels, filters), (filters, channels), (channels,), (filters,), ()):
        held = {wide: e.get(wide, 1)}
        if not _fits(problem, target, held):
            held = {}
        for rank in some:
            fit = [
                n
                for n in divisors(ceil(e[rank] / prod(sets[rank])))
                if n == 1 or _fits(problem, target, {**held, rank: n})
            ]
            held[rank] = max(fit)
        yield held


def _fits(problem: Problem, target: NestTarget, held: dict[str, int]) -> bool:
    """True where the registers keep every operand that they keep of single elements."""
    least = [o for o in OPERANDS if o in kept(problem, target, {}, "weight")]
    room = target.register_bytes
    sizes = {o: held_bytes(problem, held, o) for o in least}
    if isinstance(room, int):
        return sum(sizes.values()) <= room
    return all(size <= room.get(o, 0) for o, size in sizes.items())
