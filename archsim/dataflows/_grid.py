"""Tile extents that are worth trying for a MAC op, and what of their cost no loop order changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from archsim.ir.problem import Extents, Problem
from archsim.ir.target import Target, Tiles

if TYPE_CHECKING:
    from archsim.dataflows.base import Dataflow

Ints = NDArray[np.int64]
OPERANDS = ("in", "weight", "out")


@dataclass(frozen=True)
class Grid:
    """Every combination of tile extents, one array element each.

    Attributes:
        extents: of the largest ragged case.
        tile, steps: extents and number of tiles, by rank.
        sizes: bytes of a tile, by operand.
        tiles: tiles of the whole op.
        cycles: array cycles of the whole op when every tile fills the array anew.
        streamed: the same when the streaming rank is innermost and goes on from tile to tile.
        folds, streamed_folds: fillings of the array in either case.
        vector_s: seconds of fused vector work per output tile.
    """

    extents: Extents
    tile: dict[str, Ints]
    steps: dict[str, Ints]
    sizes: dict[str, Ints]
    tiles: Ints
    cycles: Ints
    streamed: Ints
    folds: Ints
    streamed_folds: Ints
    vector_s: NDArray[np.float64]

    def holds_weights(self, slots: Ints, kept: bool) -> NDArray[np.bool_]:
        """Whether so many slots hold all weights, which come in once."""
        steps = self.steps
        once = (steps["m"] == 1) | kept
        whole = once & (slots >= steps["b"] * steps["n"] * steps["k"])
        return np.asarray(whole | (self.sizes["weight"] == 0))


def grid(flow: Dataflow, problem: Problem, target: Target, smallest: int) -> Grid:
    """The grid of a problem; spatial tiles are no smaller than the array or `smallest`."""
    e = problem.largest
    tile = tile_sizes(flow, problem, target, e, smallest)
    steps = {r: -(-e.of(r) // tile[r]) for r in "bmnk"}
    vector_s = np.zeros(len(tile["b"]))
    if target.vector_cycles is not None:
        points = tile["b"] * tile["m"] * tile["n"]
        vector_s = target.vector_cycles(points, tile["b"] * tile["m"]) / target.vector_clock_hz
    cycles, folds = _array_work(flow, target, e, tile, steps, goes_on=False)
    streamed, streamed_folds = _array_work(flow, target, e, tile, steps, goes_on=True)
    return Grid(
        e,
        tile,
        steps,
        tile_bytes(flow, problem, target, tile, steps),
        steps["b"] * steps["m"] * steps["n"] * steps["k"],
        cycles,
        streamed,
        folds,
        streamed_folds,
        vector_s,
    )


def tile_sizes(
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
        "b": ladder(e.b, 1),
        "m": _windows(problem, e.m, unit["m"]) if problem.op.window else ladder(e.m, unit["m"]),
        "n": np.array([e.n]) if target.whole_rows else ladder(e.n, unit["n"]),
        "k": ladder(e.k, unit["k"]),
    }
    if target.whole_k:  # what a tile may hold is a share of the reduction's length: any number
        axes |= {"k": np.array([e.k])}
        for rank in "mn":
            if len(axes[rank]) > 1 and not problem.op.window:
                axes[rank] = np.union1d(axes[rank], _pieces(e.of(rank), unit[rank]))
    if e.b > 1:  # batched problems are small: cut the batch first
        axes["b"] = np.unique(np.append(axes["b"], min(e.b, target.count)))
    for rank, whole in flow.uncut(problem).items():
        axes[rank] = axes[rank][axes[rank] % whole == 0]
    grid = np.meshgrid(*axes.values(), indexing="ij")
    return {rank: g.ravel().astype(np.int64) for rank, g in zip("bmnk", grid, strict=True)}


def ladder(extent: int, unit: int) -> Ints:
    """The extent itself and its halvings, rounded up to whole units, down to one unit."""
    sizes = {extent}
    size = extent
    while size > unit:
        size = -(-size // 2)
        sizes.add(min(-(-size // unit) * unit, extent))
    if unit < extent:
        sizes.add(unit)
    return np.array(sorted(sizes), dtype=np.int64)


def _pieces(extent: int, unit: int) -> Ints:
    """Equal parts of an extent in whole units, any number of them; and parts of a few elements."""
    units = -(-extent // unit)
    whole = {min(-(-units // parts) * unit, extent) for parts in range(1, units + 1)}
    small = {size for n in range(1, extent + 1) if (size := -(-extent // n)) < 2 * unit}
    return np.array(sorted(whole | small), dtype=np.int64)


def _windows(problem: Problem, extent: int, unit: int) -> Ints:
    """Tiles of whole output rows, or of whole array units; none straddles two images."""
    r = problem.op.ranks
    rows = {-(-r["OH"] >> i) for i in range(r["OH"].bit_length())} | {1}
    if r["B"] > 1:
        rows = {n for n in rows if r["OH"] % n == 0} | {r["OH"] * int(i) for i in ladder(r["B"], 1)}
        return np.array(sorted({min(n * r["OW"], extent) for n in rows}), dtype=np.int64)
    sizes = {min(n * r["OW"], extent) for n in rows} | {int(n) for n in ladder(extent, unit)}
    return np.array(sorted(sizes), dtype=np.int64)


def tile_bytes(
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
    weight_bytes = problem.weight_bytes(tile["b"] * tile["k"] * tile["n"])
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


def _array_work(
    flow: Dataflow,
    target: Target,
    e: Extents,
    tile: dict[str, Ints],
    steps: dict[str, Ints],
    *,
    goes_on: bool,
) -> tuple[Ints, Ints]:
    """Array cycles and folds of the whole op: full tiles and the remainders of each rank apart."""
    (stream,) = set("mnk") - {flow.row_rank, flow.col_rank}
    total = np.zeros((2, len(tile["b"])), dtype=np.int64)
    edge = {r: e.of(r) - (steps[r] - 1) * tile[r] for r in "bmnk"}
    for mask in range(16):
        last = {r: bool(mask >> i & 1) for i, r in enumerate("bmnk")}
        count = np.ones_like(total[0])
        for r in "bmnk":
            count = count * (1 if last[r] else steps[r] - 1)
        if not count.any():
            continue
        shape = {r: edge[r] if last[r] else tile[r] for r in "bmnk"}
        no = np.zeros(len(count), dtype=bool)
        yes = ~no
        fresh = _cost(flow, target, shape, no)
        if goes_on:  # a stream in several tiles fills the array once: count it in its last tile
            more = _cost(flow, target, shape, yes)
            if last[stream]:
                total += count * np.where(steps[stream] > 1, more, fresh)
            else:
                per = np.maximum(steps[stream] - 1, 1)
                runs = (count // per) * (steps[stream] > 1)
                total += runs * (fresh + (per - 1) * more)
        else:
            total += count * fresh
    return total[0], total[1]


def _cost(
    flow: Dataflow, target: Target, shape: dict[str, Ints], resumed: NDArray[np.bool_]
) -> Ints:
    """Cycles and folds of each tile, one row each."""
    assert target.cost is not None
    flags = np.zeros(len(resumed), dtype=bool)
    tiles = Tiles(
        flow.stationary, shape["b"], shape["m"], shape["n"], shape["k"],
        first=flags, resumed=resumed, opens=~flags, closes=~flags,
    )  # fmt: skip
    cost = target.cost(tiles)
    return np.stack([cost.cycles, cost.folds])
