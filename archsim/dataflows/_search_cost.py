"""Closed-form cost of mappings of a MAC op: all loop orders over all tiles of a grid at once.

One row a nest (a loop order with what it holds), one column a set of tile extents: room on chip,
traffic, array cycles; then the time of those that fit. Which of them is chosen is in `_search`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsim.dataflows._grid import OPERANDS, Grid
from archsim.ir.mapping import REUSED
from archsim.ir.problem import Problem
from archsim.ir.target import Target

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Nest = tuple[tuple[str, ...], frozenset[str], int]  # order, held operands, spare tiles
MAX_TILES = {"latency": 1 << 15, "compute": 1 << 20}  # of one op; more never paid in time


@dataclass(frozen=True, eq=False)
class Candidates:
    """Mappings that fit, with all of their cost but time: one array element each, nest after nest.

    Attributes:
        nest: its place in the table of nests.
        at: its place in the grid.
        cycles, folds, traffic: of the whole op; traffic in bytes.
        in_times, weight_times: how often a tile of inputs, or of weights, enters.
        in_slots, weight_slots: tiles that there is room for.
    """

    nest: Ints
    at: Ints
    cycles: Ints
    folds: Ints
    traffic: Ints
    in_times: Ints
    in_slots: Ints
    weight_times: Ints
    weight_slots: Ints

    @staticmethod
    def joined(some: Sequence[Candidates]) -> Candidates:
        """Those of several parts, one behind the other."""
        columns = zip(*(vars(one).values() for one in some), strict=True)
        return some[0] if len(some) == 1 else Candidates(*map(np.concatenate, columns))

    def part(self, own: slice | Ints) -> Candidates:
        """Some of them."""
        return Candidates(*(column[own] for column in vars(self).values()))


@dataclass(frozen=True, eq=False)
class Nests:
    """Loop orders with what they hold, as columns: one row a nest, one column for all tiles.

    Attributes:
        table: order, held operands and tiles beside those in use, of each nest.
        innermost: its innermost rank.
        kept: whether it holds an operand, by operand.
        inside: whether an operand is held over the loop of a rank, by operand and rank.
        spare: tiles beside those in use.
    """

    table: tuple[Nest, ...]
    innermost: NDArray[np.str_]
    kept: dict[str, Bools]
    inside: dict[tuple[str, str], Bools]
    spare: Ints

    @classmethod
    def of(cls, table: Sequence[Nest]) -> Nests:
        """The columns of a table."""
        inside = {}
        for operand, rank in REUSED.items():
            for inner in sorted(set("mnk") - {rank}):
                inside[operand, inner] = _column(
                    operand in keep and order.index(inner) > order.index(rank)
                    for order, keep, _ in table
                )
        kept = {t: _column(t in keep for _, keep, _ in table) for t in OPERANDS}
        innermost = _column(order[-1] for order, *_ in table)
        return cls(tuple(table), innermost, kept, inside, _column(spare for *_, spare in table))

    def part(self, low: int, high: int) -> Nests:
        """Those of the table from `low` to `high`."""
        whole = low == 0 and high >= len(self.table)
        return self if whole else Nests.of(self.table[low:high])


@dataclass(frozen=True)
class _Held:
    """An operand under each nest: whether it is held, slots, and times that a tile enters."""

    kept: Bools
    slots: Ints
    times: Ints


def candidates(
    problem: Problem,
    target: Target,
    of: Grid,
    nests: Nests,
    low: int = 0,
) -> Candidates:
    """Cost of those tiles of a grid that fit under some nests, the first of which is number `low`.

    Places of nests count from there.
    """
    held = {t: _held(t, nests, of.tiles, of.steps) for t in OPERANDS}
    small = _fits(problem, target, of, held, nests.spare)
    columns = np.flatnonzero(small.any(axis=0))
    if len(columns) < len(of.tiles):  # leave out tiles that fit under none
        of, small = of.part(columns), small[:, columns]
        held = {t: _Held(h.kept, h.slots[:, columns], h.times[:, columns]) for t, h in held.items()}
    streams = nests.innermost == of.stream
    cycles = np.where(streams, of.streamed, of.cycles)
    folds = np.where(streams, of.streamed_folds, of.folds)
    traffic = _traffic(problem, target, of, held)
    nest, at = np.nonzero(small)
    moved = (column[small] for t in ("in", "weight") for column in (held[t].times, held[t].slots))
    return Candidates(low + nest, columns[at], cycles[small], folds[small], traffic[small], *moved)


def _column(values: Any) -> NDArray[Any]:
    return np.array(list(values))[:, None]


def _held(operand: str, nests: Nests, tiles: Ints, steps: dict[str, Ints]) -> _Held:
    """Tiles on chip at once: those held, and one more that is filled meanwhile if there is one."""
    rank, kept = REUSED[operand], nests.kept[operand]
    one, other = sorted(set("mnk") - {rank})
    held = np.where(nests.inside[operand, one], steps[one], 1)
    held = held * np.where(nests.inside[operand, other], steps[other], 1)
    times = np.where(kept, tiles // steps[rank], tiles)
    return _Held(kept, held + nests.spare * (times > held), times)


def _fits(problem: Problem, target: Target, of: Grid, held: dict[str, _Held], spare: Ints) -> Bools:
    """Which tiles have room under which nest."""
    # partial sums that leave and come back: as many slots again, and those they come back into
    again = held["out"].slots + 1 + spare
    spilled = of.sizes["out"] * again * (of.steps["k"] > 1) * ~held["out"].kept
    room = sum(of.sizes[t] * held[t].slots for t in OPERANDS) + spilled
    outputs = of.tile["b"] * of.tile["m"] * of.tile["n"]
    room = room + target.depth * (outputs * target.fused_bits // 8)
    small = (room <= target.buffer_bytes) & (of.tiles <= MAX_TILES[target.objective])
    if target.weights_first:
        small &= of.holds_weights(held["weight"].slots, held["weight"].kept)
    for operand, most in target.operand_bytes.items():
        small &= of.sizes[operand] * held[operand].slots <= most
    return np.asarray(small)


def times_s(target: Target, of: Grid, found: Candidates) -> Floats:
    """Seconds of the whole op, by each of some candidates."""
    rate, sizes, steps, at = target.dram_bytes_per_s, of.sizes, of.steps, found.at
    outs = steps["b"] * steps["m"] * steps["n"]
    busy_s = np.maximum(found.cycles / target.clock_hz, (of.vector_s * outs)[at])
    tile_s = busy_s / of.tiles[at]
    feed_s = _feed_s(target, of, found, tile_s)
    first = int(target.weights_first)  # then time is counted once all weights have come
    before = first * sizes["weight"] * (of.tiles // steps["m"])
    moved_s = np.maximum((found.traffic - before[at]) / rate, feed_s)
    # the array waits for the first tile, and the last result is stored after it
    head_s = (sizes["in"] + (1 - first) * sizes["weight"]) / rate
    tail_s = (sizes["out"] / rate + of.vector_s)[at] + tile_s
    return np.asarray(np.maximum(busy_s + head_s[at], moved_s) + tail_s)


def _feed_s(target: Target, of: Grid, found: Candidates, tile_s: Floats) -> Floats:
    """Least time that latency allows: a slot is taken from the request until its tile is used."""
    least = np.zeros_like(tile_s)
    for operand, times, room in (
        ("in", found.in_times, found.in_slots),
        ("weight", found.weight_times, found.weight_slots),
    ):
        size = of.sizes[operand]
        held_s = (size / target.dram_bytes_per_s + target.dram_latency_s)[found.at] + tile_s
        waits = (times > room) & (size > 0)[found.at]
        least = np.maximum(least, np.where(waits, times * held_s / room, 0.0))
    return least


def _traffic(problem: Problem, target: Target, of: Grid, held: dict[str, _Held]) -> Ints:
    """DRAM bytes of the op over all its cases, partial sums included, tiles at their full size."""
    steps, tile = of.steps, of.tile
    total = sum(of.sizes[operand] * held[operand].times for operand in ("in", "weight"))
    out = steps["b"] * steps["m"] * steps["n"] * tile["b"] * tile["m"] * tile["n"]
    if target.fused:
        total = total + out * target.fused_bits // 8
    elif problem.op.writes[0].tensor not in target.resident:
        total = total + out * problem.bits["out"] // 8
    again = 2 * out * problem.bits["partial"] // 8 * (steps["k"] - 1)
    return np.asarray(total + again * ~held["out"].kept)
