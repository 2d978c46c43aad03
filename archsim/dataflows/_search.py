"""Tile sizes, loop order and held operands of a MAC op, by closed-form cost of all candidates.

Every candidate is one element of numpy arrays: room on chip, traffic, array cycles. The choice is
the least time (or least array cycles first, where a rule asks for it), ties by traffic, then by
number of tiles, then by position, so that it never depends on anything but the inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from archsim.core.errors import Unmappable
from archsim.core.units import format_bytes
from archsim.dataflows._grid import OPERANDS, Grid, grid
from archsim.ir.mapping import REUSED, Buffer, Mapping
from archsim.ir.problem import Problem
from archsim.ir.target import Target

if TYPE_CHECKING:
    from archsim.dataflows.base import Dataflow

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
MAX_TILES = {"latency": 1 << 15, "compute": 1 << 20}  # of one op; more never paid in time
SIZES = (1 << 30, 16, 1)  # of tiles: the array's size, and below it where no other fits
TOLERANCE = 1.005  # times this close are equal: the closed form is no finer

Key = tuple[float, ...]
Slots = dict[tuple[str, frozenset[str] | None, int], Ints]  # by operand, ranks held over, spares


def choose(flow: Dataflow, problem: Problem, target: Target) -> tuple[Key, Mapping]:
    """The best mapping of a template for a problem on a target, and what it was chosen by.

    Raises:
        Unmappable: when not even the smallest tiles fit the buffer.
    """
    for smallest in SIZES:  # tiles below the array's size only where no other fits
        of = grid(flow, problem, target, smallest)
        known: Slots = {}
        found = [
            some
            for order in permutations("mnk")
            for keep in keeps(order)
            for spare in spares(target)
            if (some := _evaluate(flow, problem, target, of, order, keep, spare, known)) is not None
        ]
        if found:
            return _pick(flow, problem, target, found)
    raise _misfit(flow, problem, target)


def _misfit(flow: Dataflow, problem: Problem, target: Target) -> Unmappable:
    """The refusal of a problem of which no tile fits: it names the room that is too small."""
    e = problem.largest
    for operand, most in sorted(target.operand_bytes.items()):
        if (least := _least_room(flow, problem, target, operand)) > most:
            return Unmappable(
                f"{problem.op.name}: tiles of {operand} take {least} bytes or more, and "
                f"{target.engine} has {most} for them",
                code="E401",
                help=f"engines.{target.engine}.operands.{operand}: {format_bytes(least)} or more",
                details={"path": f"engines.{target.engine}.operands.{operand}"},
            )
    return Unmappable(
        f"{problem.op.name}: no tile of {e.m} x {e.n} x {e.k} fits the "
        f"{target.buffer_bytes} bytes that are free on chip",
        code="E401",
        help="a larger on-chip memory, or fewer activations held there",
    )


def _least_room(flow: Dataflow, problem: Problem, target: Target, operand: str) -> int:
    """Bytes of the tiles of an operand that are on chip at once, at the very least."""
    of = grid(flow, problem, target, SIZES[-1])
    known: Slots = {}
    return min(
        int((of.sizes[operand] * slots).min())
        for order in permutations("mnk")
        for keep in keeps(order)
        for spare in spares(target)
        for slots in [slots_of(operand, order, keep, of.tiles, of.steps, spare, known)]
    )


def spares(target: Target) -> tuple[int, ...]:
    """Tiles beside those in use; none as a last resort where cycles come first."""
    spare = target.depth - 1
    return (spare, 0) if target.objective == "compute" and spare else (spare,)


@dataclass(frozen=True)
class _Candidates:
    """Mappings of one loop order and set of held operands, one array element each."""

    order: tuple[str, ...]
    keep: frozenset[str]
    tile: dict[str, Ints]
    sizes: dict[str, Ints]
    slots: dict[str, Ints]
    spare: int
    time_s: Floats
    cycles: Ints
    folds: Ints
    traffic: Ints
    tiles: Ints


def _pick(
    flow: Dataflow, problem: Problem, target: Target, found: list[_Candidates]
) -> tuple[Key, Mapping]:
    """The fastest; of those within half a percent of it, the one with the fewest tiles.

    Where operands have memories apart, it is the one with the least traffic: those bound the tiles.
    With the objective `compute`: fewest array cycles, then folds, then least traffic, then fewest
    tiles. An array of one cell has no fill, so there cycles alone do not tell folds apart.
    """
    time_s = np.concatenate([c.time_s for c in found])
    cycles = np.concatenate([c.cycles for c in found])
    traffic = np.concatenate([c.traffic for c in found])
    tiles = np.concatenate([c.tiles for c in found])
    if target.objective == "compute":
        folds = np.concatenate([c.folds for c in found])
        rank = np.lexsort((time_s, tiles, traffic, folds, cycles))
    else:
        ties = (tiles, traffic) if target.operand_bytes else (traffic, tiles)
        rank = np.lexsort((time_s, *ties, time_s > TOLERANCE * time_s.min()))
    place = int(rank[0])
    first = float(cycles[place]) if target.objective == "compute" else 0.0
    key = (first, float(time_s[place]), float(traffic[place]), float(tiles[place]))
    for best in found:
        if place < len(best.time_s):
            break
        place -= len(best.time_s)
    at = {r: int(v[place]) for r, v in best.tile.items()}
    sizes = {t: int(v[place]) for t, v in best.sizes.items()}
    slots = {t: int(v[place]) for t, v in best.slots.items()}
    return key, built(flow, problem, target, best.order, best.keep, at, sizes, slots, best.spare)


def built(
    flow: Dataflow,
    problem: Problem,
    target: Target,
    order: tuple[str, ...],
    keep: frozenset[str],
    tile: dict[str, int],
    sizes: dict[str, int],
    slots: dict[str, int],
    spare: int,
) -> Mapping:
    """The mapping of one choice; `sizes` and `slots` are the room of each operand."""
    buffers = {t: Buffer(sizes[t], slots[t]) for t in OPERANDS if sizes[t]}
    if "out" not in keep and tile["k"] < problem.largest.k:
        buffers["partial"] = Buffer(sizes["out"], slots["out"] + 1 + spare)
    return Mapping(
        problem=problem,
        engine=target.engine,
        dataflow=flow.kind,
        stationary=flow.stationary,
        order=("b", *order),
        tile=tile,
        keep=keep,
        buffers=buffers,
        spatial=flow.spatial(tile, target),
    )


def keeps(order: tuple[str, ...]) -> list[frozenset[str]]:
    """Which operands may be held; one whose loop is innermost is held for nothing."""
    free = frozenset(t for t in OPERANDS if REUSED[t] == order[-1])
    rest = [t for t in OPERANDS if t not in free]
    subsets = [frozenset(s for i, s in enumerate(rest) if mask >> i & 1) for mask in range(4)]
    return [free | s for s in subsets]


def _evaluate(
    flow: Dataflow,
    problem: Problem,
    target: Target,
    of: Grid,
    order: tuple[str, ...],
    keep: frozenset[str],
    spare: int,
    known: Slots,
) -> _Candidates | None:
    """Cost of a grid at one order; None when nothing fits.

    `spare` is how many tiles may be filled while others are in use, `known` slots found before.
    """
    slots = {t: slots_of(t, order, keep, of.tiles, of.steps, spare, known) for t in OPERANDS}
    # partial sums that leave and come back: as many slots again, and those they come back into
    again = slots["out"] + 1 + spare
    spilled = of.sizes["out"] * again * (of.steps["k"] > 1) * ("out" not in keep)
    room = sum(of.sizes[t] * slots[t] for t in OPERANDS) + spilled
    outputs = of.tile["b"] * of.tile["m"] * of.tile["n"]
    room = room + target.depth * (outputs * target.fused_bits // 8)
    small = (room <= target.buffer_bytes) & (of.tiles <= MAX_TILES[target.objective])
    small &= (not target.weights_first) | of.holds_weights(slots["weight"], "weight" in keep)
    for operand, most in target.operand_bytes.items():
        small &= of.sizes[operand] * slots[operand] <= most
    fits = np.flatnonzero(small)
    if not len(fits):
        return None
    (stream,) = set("mnk") - {flow.row_rank, flow.col_rank}
    streams = order[-1] == stream
    cycles = (of.streamed if streams else of.cycles)[fits]
    folds = (of.streamed_folds if streams else of.folds)[fits]
    tile = {r: v[fits] for r, v in of.tile.items()}
    steps = {r: v[fits] for r, v in of.steps.items()}
    sizes = {t: v[fits] for t, v in of.sizes.items()}
    slots = {t: v[fits] for t, v in slots.items()}
    tiles = of.tiles[fits]
    traffic = _traffic(problem, target, steps, sizes, keep, tile, tiles)
    rate = target.dram_bytes_per_s
    vector_s = of.vector_s[fits]
    outs = steps["b"] * steps["m"] * steps["n"]
    busy_s = np.maximum(cycles / target.clock_hz, vector_s * outs)
    feed_s = feed(target, steps, sizes, slots, keep, tiles, busy_s)
    first = int(target.weights_first)  # then time is counted once all weights have come
    before = first * sizes["weight"] * (tiles // steps["m"])
    moved_s = np.maximum((traffic - before) / rate, feed_s)
    # the array waits for the first tile, and the last result is stored after it
    head_s = (sizes["in"] + (1 - first) * sizes["weight"]) / rate
    tail_s = sizes["out"] / rate + vector_s + busy_s / tiles
    time_s = np.maximum(busy_s + head_s, moved_s) + tail_s
    return _Candidates(
        order, keep, tile, sizes, slots, spare, time_s, cycles, folds, traffic, tiles
    )


def slots_of(
    operand: str,
    order: tuple[str, ...],
    keep: frozenset[str],
    tiles: Ints,
    steps: dict[str, Ints],
    spare: int,
    known: Slots,
) -> Ints:
    """Tiles on chip at once: those held, and one more that is filled meanwhile if there is one."""
    rank = REUSED[operand]
    inside = frozenset(order[order.index(rank) + 1 :]) if operand in keep else None
    if (operand, inside, spare) not in known:
        held = np.ones_like(tiles)
        for inner in sorted(inside or ()):
            held = held * steps[inner]
        every = tiles if inside is None else tiles // steps[rank]
        known[operand, inside, spare] = np.where(every > held, held + spare, held)
    return known[operand, inside, spare]


def feed(
    target: Target,
    steps: dict[str, Ints],
    sizes: dict[str, Ints],
    slots: dict[str, Ints],
    keep: frozenset[str],
    tiles: Ints,
    busy_s: Floats,
) -> Floats:
    """Least time that latency allows: a slot is taken from the request until its tile is used."""
    tile_s = busy_s / tiles
    least = np.zeros(len(tile_s))
    for operand in ("in", "weight"):
        times = tiles // steps[REUSED[operand]] if operand in keep else tiles
        room = slots[operand]
        held_s = sizes[operand] / target.dram_bytes_per_s + target.dram_latency_s + tile_s
        waits = (times > room) & (sizes[operand] > 0)
        least = np.maximum(least, np.where(waits, times * held_s / room, 0.0))
    return least


def _traffic(
    problem: Problem,
    target: Target,
    steps: dict[str, Ints],
    sizes: dict[str, Ints],
    keep: frozenset[str],
    tile: dict[str, Ints],
    tiles: Ints,
) -> Ints:
    """DRAM bytes of the op over all its cases, partial sums included, tiles at their full size."""
    total = np.zeros_like(steps["b"])
    for operand in ("in", "weight"):
        times = tiles // steps[REUSED[operand]] if operand in keep else tiles
        total = total + sizes[operand] * times
    out = steps["b"] * steps["m"] * steps["n"] * tile["b"] * tile["m"] * tile["n"]
    if target.fused:
        total = total + out * target.fused_bits // 8
    elif problem.op.writes[0].tensor not in target.resident:
        total = total + out * problem.bits["out"] // 8
    if "out" not in keep:
        total = total + 2 * out * problem.bits["partial"] // 8 * (steps["k"] - 1)
    return total
