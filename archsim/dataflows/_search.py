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
from archsim.ir.mapping import REUSED, Buffer, Mapping
from archsim.ir.problem import Extents, Problem
from archsim.ir.target import Target, Tiles

if TYPE_CHECKING:
    from archsim.dataflows.base import Dataflow

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
OPERANDS = ("in", "weight", "out")
MAX_TILES = 1 << 15  # of one op; more tiles than that never paid in time
TOLERANCE = 1.005  # times this close are equal: the closed form is no finer


Key = tuple[float, ...]


def choose(flow: Dataflow, problem: Problem, target: Target) -> tuple[Key, Mapping]:
    """The best mapping of a template for a problem on a target, and what it was chosen by.

    Raises:
        Unmappable: when not even the smallest tiles fit the buffer.
    """
    e = problem.largest
    for smallest in (1 << 30, 16, 1):  # tiles below the array's size only where no other fits
        tile = _sizes(flow, problem, target, e, smallest)
        found = [
            some
            for order in permutations("mnk")
            for keep in _keeps(order)
            for spare in ((1, 0) if target.objective == "compute" else (1,))
            if (some := _evaluate(flow, problem, target, e, tile, order, keep, spare)) is not None
        ]
        if found:
            return _pick(flow, problem, target, found)
    raise Unmappable(
        f"{problem.op.name}: no tile of {e.m} x {e.n} x {e.k} fits the "
        f"{target.buffer_bytes} bytes that are free on chip",
        code="E401",
        help="a larger on-chip memory, or fewer activations held there",
    )


@dataclass(frozen=True)
class _Candidates:
    """Mappings of one loop order and set of held operands, one array element each."""

    order: tuple[str, ...]
    keep: frozenset[str]
    tile: dict[str, Ints]
    sizes: dict[str, Ints]
    slots: dict[str, Ints]
    time_s: Floats
    cycles: Ints
    traffic: Ints
    tiles: Ints


def _pick(
    flow: Dataflow, problem: Problem, target: Target, found: list[_Candidates]
) -> tuple[Key, Mapping]:
    """The fastest; of those within half a percent of it, the one with the fewest tiles.

    With the objective `compute`: fewest array cycles, then least traffic, then fewest tiles.
    """
    time_s = np.concatenate([c.time_s for c in found])
    cycles = np.concatenate([c.cycles for c in found])
    traffic = np.concatenate([c.traffic for c in found])
    tiles = np.concatenate([c.tiles for c in found])
    if target.objective == "compute":
        rank = np.lexsort((time_s, tiles, traffic, cycles))
    else:
        rank = np.lexsort((time_s, traffic, tiles, time_s > TOLERANCE * time_s.min()))
    place = int(rank[0])
    first = float(cycles[place]) if target.objective == "compute" else 0.0
    key = (first, float(time_s[place]), float(traffic[place]), float(tiles[place]))
    for chosen in found:
        if place < len(chosen.time_s):
            break
        place -= len(chosen.time_s)
    tile = {r: int(v[place]) for r, v in chosen.tile.items()}
    buffers = {
        t: Buffer(int(chosen.sizes[t][place]), int(chosen.slots[t][place]))
        for t in OPERANDS
        if chosen.sizes[t][place]
    }
    if "out" not in chosen.keep and tile["k"] < problem.largest.k:
        buffers["partial"] = Buffer(int(chosen.sizes["out"][place]), 4)
    return key, Mapping(
        problem=problem,
        engine=target.engine,
        dataflow=flow.kind,
        stationary=flow.stationary,
        order=("b", *chosen.order),
        tile=tile,
        keep=chosen.keep,
        buffers=buffers,
        spatial=flow.spatial(tile, target),
    )


def _sizes(
    flow: Dataflow, problem: Problem, target: Target, e: Extents, smallest: int
) -> dict[str, Ints]:
    """All combinations of candidate tile extents, one array a rank."""
    unit = dict.fromkeys("mnk", min(128, smallest))
    unit[flow.row_rank] = min(target.rows, smallest)
    unit[flow.col_rank] = min(target.cols, smallest)
    if target.objective == "compute":  # a finer stream keeps the stationary tile whole
        (stream,) = set("mnk") - {flow.row_rank, flow.col_rank}
        unit[stream] = min(16, smallest)
    axes = {
        "b": _ladder(e.b, 1),
        "m": _windows(problem, e.m, unit["m"]) if problem.op.window else _ladder(e.m, unit["m"]),
        "n": np.array([e.n]) if target.whole_rows else _ladder(e.n, unit["n"]),
        "k": _ladder(e.k, unit["k"]),
    }
    if e.b > 1:  # batched problems are small: cut the batch first
        axes["b"] = np.unique(np.append(axes["b"], min(e.b, target.count)))
    grid = np.meshgrid(*axes.values(), indexing="ij")
    return {rank: g.ravel().astype(np.int64) for rank, g in zip("bmnk", grid, strict=True)}


def _ladder(extent: int, unit: int) -> Ints:
    """The extent itself and its halvings, rounded up to whole units, down to one unit."""
    sizes = {extent}
    size = extent
    while size > unit:
        size = -(-size // 2)
        sizes.add(min(-(-size // unit) * unit, extent))
    if unit < extent:
        sizes.add(unit)
    return np.array(sorted(sizes), dtype=np.int64)


def _windows(problem: Problem, extent: int, unit: int) -> Ints:
    """Tiles of whole output rows, or of whole array units; none straddles two images."""
    r = problem.op.ranks
    rows = {-(-r["OH"] >> i) for i in range(r["OH"].bit_length())} | {1}
    if r["B"] > 1:
        rows = {n for n in rows if r["OH"] % n == 0} | {
            r["OH"] * int(i) for i in _ladder(r["B"], 1)
        }
        return np.array(sorted({min(n * r["OW"], extent) for n in rows}), dtype=np.int64)
    sizes = {min(n * r["OW"], extent) for n in rows} | {int(n) for n in _ladder(extent, unit)}
    return np.array(sorted(sizes), dtype=np.int64)


def _keeps(order: tuple[str, ...]) -> list[frozenset[str]]:
    """Which operands may be held; one whose loop is innermost is held for nothing."""
    free = frozenset(t for t in OPERANDS if REUSED[t] == order[-1])
    rest = [t for t in OPERANDS if t not in free]
    subsets = [frozenset(s for i, s in enumerate(rest) if mask >> i & 1) for mask in range(4)]
    return [free | s for s in subsets]


def _evaluate(
    flow: Dataflow,
    problem: Problem,
    target: Target,
    e: Extents,
    tile: dict[str, Ints],
    order: tuple[str, ...],
    keep: frozenset[str],
    spare: int,
) -> _Candidates | None:
    """Cost of all tile extents at one order; None when nothing fits.

    `spare` is 1 where a tile is filled while others are in use, 0 where there is no room for it.
    """
    steps = {r: -(-e.of(r) // tile[r]) for r in "bmnk"}
    sizes = _tile_bytes(flow, problem, target, tile, steps)
    slots = {t: _slots(t, order, keep, steps, spare) for t in OPERANDS}
    spilled = 4 * (sizes["out"] if "out" not in keep else 0) * (steps["k"] > 1)
    room = sum(sizes[t] * slots[t] for t in OPERANDS) + spilled
    room = room + 2 * (tile["b"] * tile["m"] * tile["n"] * target.fused_bits // 8)
    total = steps["b"] * steps["m"] * steps["n"] * steps["k"]
    fits = np.flatnonzero((room <= target.buffer_bytes) & (total <= MAX_TILES))
    if not len(fits):
        return None
    tile = {r: v[fits] for r, v in tile.items()}
    steps = {r: v[fits] for r, v in steps.items()}
    sizes = {t: v[fits] for t, v in sizes.items()}
    cycles = _array_cycles(flow, target, e, tile, steps, order)
    traffic = _traffic(problem, target, steps, sizes, keep, tile)
    dram_s = traffic / target.dram_bytes_per_s
    head_s = (sizes["in"] + sizes["weight"]) / target.dram_bytes_per_s
    tail_s = sizes["out"] / target.dram_bytes_per_s
    busy_s = cycles / target.clock_hz
    if target.vector_cycles is not None:
        points = tile["b"] * tile["m"] * tile["n"]
        vector = target.vector_cycles(points, tile["b"] * tile["m"]) / target.vector_clock_hz
        whole = vector * (steps["b"] * steps["m"] * steps["n"])
        busy_s, tail_s = np.maximum(busy_s, whole), tail_s + vector
    feed_s = _feed(target, steps, sizes, slots, keep, fits, busy_s / total[fits])
    dram_s = np.maximum(dram_s, feed_s)
    # the array waits for the first tile, and the last result is stored after it
    time_s = np.maximum(busy_s + head_s, dram_s) + tail_s + busy_s / total[fits]
    slots = {t: v[fits] for t, v in slots.items()}
    return _Candidates(order, keep, tile, sizes, slots, time_s, cycles, traffic, total[fits])


def _tile_bytes(
    flow: Dataflow,
    problem: Problem,
    target: Target,
    tile: dict[str, Ints],
    steps: dict[str, Ints],
) -> dict[str, Ints]:
    """Room of one tile per operand; nothing for a tensor that lies on chip as a whole."""
    op, bits = problem.op, problem.bits
    names = {"in": op.reads[0].tensor, "weight": op.reads[1].tensor, "out": op.writes[0].tensor}
    here = {t: names[t] in target.resident for t in OPERANDS}
    in_bytes = -(-problem.in_elements(tile["b"], tile["m"], tile["k"], tile["m"]) * bits["in"] // 8)
    weight_bytes = -(-tile["b"] * tile["k"] * tile["n"] * bits["weight"] // 8)
    # a reduction in several folds or tiles keeps partial sums at the accumulator's width
    folded = tile["k"] > target.rows if flow.row_rank == "k" else np.zeros(len(tile["k"]), bool)
    partial = (steps["k"] > 1) | folded
    done = 0 if here["out"] and not target.fused else bits["out"]
    width = np.where(partial, bits["partial"], done)
    out_bytes = -(-tile["b"] * tile["m"] * tile["n"] * width // 8)
    zero = np.zeros_like(in_bytes)
    return {
        "in": zero if here["in"] else in_bytes,
        "weight": zero if here["weight"] else weight_bytes,
        "out": out_bytes,
    }


def _slots(
    operand: str,
    order: tuple[str, ...],
    keep: frozenset[str],
    steps: dict[str, Ints],
    spare: int,
) -> Ints:
    """Tiles on chip at once: those held, and one more that is filled meanwhile if there is one."""
    rank = REUSED[operand]
    held = np.ones_like(steps["b"])
    if operand in keep:
        for inner in order[order.index(rank) + 1 :]:
            held = held * steps[inner]
    once = steps["b"] * np.prod([steps[r] for r in "mnk" if r != rank], axis=0)
    every = once if operand in keep else once * steps[rank]
    return np.where(every > held, held + spare, held)


def _array_cycles(
    flow: Dataflow,
    target: Target,
    e: Extents,
    tile: dict[str, Ints],
    steps: dict[str, Ints],
    order: tuple[str, ...],
) -> Ints:
    """Array cycles of the whole op: full tiles and the remainders of each rank apart."""
    assert target.cost is not None
    (stream,) = set("mnk") - {flow.row_rank, flow.col_rank}
    goes_on = order[-1] == stream
    total = np.zeros_like(tile["b"])
    edge = {r: e.of(r) - (steps[r] - 1) * tile[r] for r in "bmnk"}
    for mask in range(16):
        last = {r: bool(mask >> i & 1) for i, r in enumerate("bmnk")}
        count = np.ones_like(total)
        for r in "bmnk":
            count = count * (1 if last[r] else steps[r] - 1)
        if not count.any():
            continue
        shape = {r: edge[r] if last[r] else tile[r] for r in "bmnk"}
        no = np.zeros(len(total), dtype=bool)
        yes = ~no
        fresh = _cost(flow, target, shape, no)
        if goes_on:  # a stream in several tiles fills the array once: count it in its last tile
            more = _cost(flow, target, shape, yes)
            if last[stream]:
                many = steps[stream] > 1
                start = np.where(many, 0, fresh)
                total += count * np.where(many, more, start)
            else:
                per = np.maximum(steps[stream] - 1, 1)
                total += (count // per) * (fresh + (per - 1) * more) * (steps[stream] > 1)
        else:
            total += count * fresh
    return total


def _cost(
    flow: Dataflow, target: Target, shape: dict[str, Ints], resumed: NDArray[np.bool_]
) -> Ints:
    assert target.cost is not None
    flags = np.zeros(len(resumed), dtype=bool)
    tiles = Tiles(
        flow.stationary, shape["b"], shape["m"], shape["n"], shape["k"],
        first=flags, resumed=resumed, opens=~flags, closes=~flags,
    )  # fmt: skip
    return target.cost(tiles).cycles


def _feed(
    target: Target,
    steps: dict[str, Ints],
    sizes: dict[str, Ints],
    slots: dict[str, Ints],
    keep: frozenset[str],
    fits: Ints,
    tile_s: Floats,
) -> Floats:
    """Least time that latency allows: a slot is taken from the request until its tile is used."""
    least = np.zeros(len(fits))
    for operand in ("in", "weight"):
        rank = REUSED[operand]
        once = np.prod([steps[r] for r in "bmnk" if r != rank], axis=0)
        times = once if operand in keep else once * steps[rank]
        room = slots[operand][fits]
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
) -> Ints:
    """DRAM bytes of the op over all its cases, partial sums included, tiles at their full size."""
    total = np.zeros_like(steps["b"])
    for operand in ("in", "weight"):
        rank = REUSED[operand]
        once = np.prod([steps[r] for r in "bmnk" if r != rank], axis=0)
        times = once if operand in keep else once * steps[rank]
        total = total + sizes[operand] * times
    out = steps["b"] * steps["m"] * steps["n"] * tile["b"] * tile["m"] * tile["n"]
    if target.fused:
        total = total + out * target.fused_bits // 8
    elif problem.op.writes[0].tensor not in target.resident:
        total = total + out * problem.bits["out"] // 8
    if "out" not in keep:
        total = total + 2 * out * problem.bits["partial"] // 8 * (steps["k"] - 1)
    return total
