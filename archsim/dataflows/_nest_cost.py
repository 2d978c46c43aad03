"""Cost of all candidates of a fit: room on chip, bytes moved, cycles, time and energy, vectorised.

Sums over tiles factor by rank (`ir.nest_traffic`): whatever a rank contributes is computed once for
each size of its tiles (`_nest_rank`) and looked up by candidate here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsim.dataflows._nest_rank import Rank, Shape, tile_ladder
from archsim.ir.nest_check import NestTarget
from archsim.ir.nest_ranks import OPERANDS, largest_extents
from archsim.ir.problem import Problem

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
MAX_TILES = 1 << 15  # of one op; more never paid in time
MOST = 12_000  # candidates of one order; ladders are thinned beyond that


@dataclass(frozen=True)
class FitTarget(NestTarget):
    """A target with what the ops that take the output tiles on ask for.

    Attributes:
        whole_rows: a reduction over filters follows: tiles hold all of them.
        fused_bits: bits beside each output element that fused ops hold on chip.
        buffer_bytes_per_cycle: that the on-chip memory delivers and takes.
        fixed_pj: energy that no nest changes, in place of `mac_pj`: arithmetic, fused ops.
        leakage_w: static power of the machine.
    """

    whole_rows: bool = False
    fused_bits: int = 0
    buffer_bytes_per_cycle: float = float("inf")
    fixed_pj: float = 0.0
    leakage_w: float = 0.0


@dataclass(frozen=True)
class Grid:
    """All combinations of tile sizes: for each rank the place in its ladder, by candidate."""

    ranks: dict[str, Rank]
    at: dict[str, Ints]
    least: dict[str, int]

    def of(self, rank: str, values: NDArray[Any]) -> Floats:
        """What a rank contributes, by candidate."""
        return np.asarray(values[self.at[rank]], dtype=np.float64)


def grid(shape: Shape, problem: Problem, target: NestTarget) -> Grid:
    e = largest_extents(problem.op)
    uncut = {"OC", "N"} if getattr(target, "whole_rows", False) else set()
    thin = 1
    while True:
        ladders = {
            r: np.array([n]) if r in ("FH", "FW") or r in uncut
            else tile_ladder(n, shape.unit(r), thin)
            for r, n in e.items()
        }  # fmt: skip
        if np.prod([len(v) for v in ladders.values()], dtype=float) <= MOST:
            break
        thin += 1
    ranks = {r: Rank(shape, r, ladders[r]) for r in e}
    grid = np.meshgrid(*(np.arange(len(v)) for v in ladders.values()), indexing="ij")
    at = {r: g.ravel() for r, g in zip(ladders, grid, strict=True)}
    return Grid(ranks, at, {r: int(v.min()) for r, v in ladders.items()})


@dataclass(frozen=True)
class Candidates:
    """Nests of one order, one array element each."""

    order: tuple[str, ...]
    sizes: dict[str, Ints]
    time_s: Floats
    cycles: Floats
    moved: Floats  # bytes behind the chip
    tiles: Floats
    fed: Floats  # bytes between the buffer and the array
    energy_pj: Floats
    tried: int


def fewest_tiles(shape: Shape, grid: Grid, order: tuple[str, ...], target: NestTarget) -> float:
    """Tiles of the candidate with the fewest of those that fit the buffer; inf where none fits."""
    steps = {r: grid.of(r, rank.steps) for r, rank in grid.ranks.items()}
    fits = _room(shape, grid, order, steps, target) <= target.buffer_bytes
    return float(_product(steps.values())[fits].min(initial=np.inf))


def evaluate(
    shape: Shape,
    grid: Grid,
    order: tuple[str, ...],
    target: NestTarget,
    most_tiles: float = MAX_TILES,
) -> Candidates | None:
    """All candidates of one order that fit the buffer, and are cut into no more tiles than that."""
    steps = {r: grid.of(r, rank.steps) for r, rank in grid.ranks.items()}
    tiles = _product(steps.values())
    times = {t: _fetches(shape, t, order, steps) for t in OPERANDS}
    room = _room(shape, grid, order, steps, target)
    ok = (room <= target.buffer_bytes) & (tiles <= most_tiles)
    if not ok.any():
        return None
    tried = len(ok)
    moved, energy, pj = np.zeros_like(tiles), np.zeros_like(tiles), target.energy
    for t in OPERANDS:
        once = shape.elements(t) if t != "in" else _product(
            grid.of(r, rank.touched) for r, rank in grid.ranks.items())  # fmt: skip
        if shape.resident(t, target):
            continue
        many = once * times[t] * shape.bytes(t)
        if t == "out":  # sums that are not complete leave and come back
            many = once * (shape.bytes(t) + 2 * (times[t] - 1) * shape.bytes("partial"))
        moved += many
        energy += many * pj.get(("dram", t), 0.0) / shape.bytes(t)
    cycles = _product(grid.of(r, rank.turns) for r, rank in grid.ranks.items())
    if target.macs_per_cycle > 1:  # a tile ends with a cycle that may be part-filled
        macs = target.macs_per_cycle
        part = _product(grid.of(r, rank.tile_turns) for r, rank in grid.ranks.items())
        cycles = np.ceil((cycles + tiles * (-part % macs)) / macs)
    feed = np.zeros_like(cycles)
    for t in OPERANDS:
        sent = _product(grid.of(r, rank.sent[t]) for r, rank in grid.ranks.items())
        width = shape.bytes("partial" if t == "out" and shape.partial_inside else t)
        feed += sent * (2 if t == "out" and shape.partial_inside else 1) * width
        both = 2 if t == "out" and shape.partial_inside else 1
        energy += sent * both * pj.get(("buffer", t), 0.0)
        copies = _product(grid.of(r, rank.received[t]) for r, rank in grid.ranks.items())
        energy += copies * pj.get(("network", t), 0.0)
        energy += shape.macs * pj.get(("registers", t), 0.0) * shape.registered(t)
    rate = getattr(target, "buffer_bytes_per_cycle", float("inf"))
    busy_s = np.maximum(cycles, feed / rate) / target.clock_hz
    head = _tile_bytes(shape, grid, "in") + _tile_bytes(shape, grid, "weight")
    out = _tile_bytes(shape, grid, "out")
    rate_s = target.dram_bytes_per_s
    latency_s = target.dram_latency_s
    time_s = np.maximum(busy_s + head / rate_s + latency_s, moved / rate_s)
    time_s = time_s + out / rate_s + busy_s / tiles
    energy += getattr(target, "leakage_w", 0.0) * 1e12 * time_s
    energy += getattr(target, "fixed_pj", 0.0) or target.mac_pj * shape.macs
    sizes = {r: rank.sizes[grid.at[r]][ok] for r, rank in grid.ranks.items()}
    return Candidates(
        order, sizes, time_s[ok], cycles[ok], moved[ok], tiles[ok], feed[ok],
        energy[ok], tried,
    )  # fmt: skip


def _product(parts: Iterable[Floats]) -> Floats:
    total: Floats | float = 1.0
    for part in parts:
        total = total * part
    return np.asarray(total, dtype=np.float64)


def _fetches(
    shape: Shape, operand: str, order: Sequence[str], steps: Mapping[str, Floats]
) -> Floats:
    """Times that each tile of an operand is brought in: steps further out that do not change it."""
    total = np.ones_like(next(iter(steps.values())))
    stepping = np.zeros(len(total), dtype=np.bool_)
    for rank in reversed(order):
        if rank in shape.own[operand]:
            stepping |= steps[rank] > 1
        else:
            total = total * np.where(stepping, steps[rank], 1.0)
    return total


def _room(
    shape: Shape,
    grid: Grid,
    order: Sequence[str],
    steps: Mapping[str, Floats],
    target: NestTarget,
) -> Floats:
    """Bytes that the tiles take together; never less than what the nest is checked for."""
    split = _product(steps[r] for r in shape.summed & set(order)) > 1
    total = np.zeros(len(split))
    for t in OPERANDS:
        several = _product(steps[r] for r in shape.own[t]) > 1
        size = _tile_bytes(shape, grid, t)
        if t == "out":
            spilled = _fetches(shape, t, order, steps) > 1
            wide = _tile_bytes(shape, grid, "partial")
            size = np.where(split | shape.partial_inside, wide, size) * np.where(spilled, 2, 1)
            if shape.resident(t, target):
                size = np.where(split, size, 0)
        elif shape.resident(t, target):
            continue
        total += size * np.where(several | (len(shape.problem.cases) > 1), target.depth, 1)
    points = _product(grid.of(r, grid.ranks[r].sizes) for r in shape.own["out"])
    return np.asarray(total + target.depth * points * getattr(target, "fused_bits", 0) / 8)


def _tile_bytes(shape: Shape, grid: Grid, operand: str) -> Floats:
    """Bytes of the largest tile of an operand."""
    tensor = "out" if operand == "partial" else operand
    size = _product(
        grid.of(r, rank.widest if tensor == "in" else rank.sizes)
        for r, rank in grid.ranks.items()
        if r in shape.own[tensor]
    )
    return np.ceil(size * shape.bytes(operand)) + (shape.scale_bytes if operand == "weight" else 0)
