"""Tiles that are worth trying for a MAC op, with what of their cost no loop order changes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache, partial
from itertools import accumulate, combinations, pairwise
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from archsim.core.asked import Asked
from archsim.dataflows._tile_sizes import tile_sizes
from archsim.ir.problem import Extents, Problem
from archsim.ir.target import Target, Tiles

if TYPE_CHECKING:
    from archsim.dataflows.base import Dataflow

Ints = NDArray[np.int64]
OPERANDS = ("in", "weight", "out")
KEPT = 128  # grids: those of a study's ops on some array shapes, 30 to 200 KB each (measured; of
# arrays of any number of pieces up to 5 MB)


@dataclass(frozen=True)
class Grid:
    """Every combination of tile extents, one array element each.

    Attributes:
        tile, steps: extents and number of tiles, by rank.
        sizes: bytes of a tile, by operand.
        tiles: tiles of the whole op.
        cycles: array cycles of the whole op when every tile fills the array anew.
        streamed: the same when the streaming rank is innermost and goes on from tile to tile.
        folds, streamed_folds: fillings of the array in either case.
        vector_s: seconds of fused vector work per output tile.
        stream: the rank that streams through the array.
        ends: of each template's tiles.
        content: equal for grids that are alike but for `vector_s`; None where that is not known.
    """

    tile: dict[str, Ints]
    steps: dict[str, Ints]
    sizes: dict[str, Ints]
    tiles: Ints
    cycles: Ints
    streamed: Ints
    folds: Ints
    streamed_folds: Ints
    vector_s: NDArray[np.float64]
    stream: NDArray[np.str_]
    ends: tuple[int, ...]
    content: Hashable = None

    def holds_weights(self, slots: Ints, kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether so many slots hold all weights, which come in once."""
        steps = self.steps
        once = (steps["m"] == 1) | kept
        whole = once & (slots >= steps["b"] * steps["n"] * steps["k"])
        return np.asarray(whole | (self.sizes["weight"] == 0))

    def part(self, at: Ints) -> Grid:
        """The grid of those tiles alone."""
        return _mapped(lambda column: column[at], [self], ())

    @property
    def parts(self) -> Iterator[tuple[int, int]]:
        """Where the tiles of each template begin and end."""
        return pairwise((0, *self.ends))


COLUMNS = tuple(f.name for f in fields(Grid) if f.name not in ("ends", "content"))


def _mapped(
    make: Callable[..., NDArray[Any]], grids: Sequence[Grid], ends: tuple[int, ...]
) -> Grid:
    """A grid whose columns are made of those of others."""
    columns: dict[str, Any] = {}
    for name in COLUMNS:
        own: list[Any] = [getattr(one, name) for one in grids]
        by_rank = isinstance(own[0], dict)
        columns[name] = (
            {key: make(*(some[key] for some in own)) for key in own[0]} if by_rank else make(*own)
        )
    return Grid(**columns, ends=ends)


def grid(flows: Sequence[Dataflow], problem: Problem, target: Target, smallest: int) -> Grid:
    """The grids of a problem for some templates, one behind the other.

    Spatial tiles are no smaller than the array or `smallest`. What fused work does not change is
    kept for the next machine on which the array costs the same.
    """
    op = problem.op
    content = (
        tuple(map(type, flows)), smallest, target.rows, target.cols, target.count,
        target.objective, target.whole_rows, target.whole_k, target.fused, target.cost_key,
        _here(problem, target), op.kind, op.window, op.repeated, tuple(sorted(op.ranks.items())),
        problem.cases, tuple(sorted(problem.bits.items())), problem.weight,
    )  # fmt: skip
    made = partial(_joined, flows, problem, target, smallest)
    found = made() if target.cost_key is None else _kept(Asked.of(content, made))
    if target.vector_cycles is None:
        return found
    tile = found.tile
    points = tile["b"] * tile["m"] * tile["n"]
    cycles = target.vector_cycles(points, tile["b"] * tile["m"])
    return replace(found, vector_s=cycles / target.vector_clock_hz)


@lru_cache(maxsize=KEPT)
def _kept(asked: Asked[Grid]) -> Grid:
    return replace(asked.answer(), content=asked.content)


def _joined(flows: Sequence[Dataflow], problem: Problem, target: Target, smallest: int) -> Grid:
    grids = [_bare(flow, problem, target, smallest) for flow in flows]
    ends = tuple(accumulate(len(one.tiles) for one in grids))
    return _mapped(lambda *columns: np.concatenate(columns), grids, ends)


def _bare(flow: Dataflow, problem: Problem, target: Target, smallest: int) -> Grid:
    """The grid of one template, without fused work."""
    e = problem.largest
    tile = tile_sizes(flow, problem, target, e, smallest)
    steps = {r: -(-e.of(r) // tile[r]) for r in "bmnk"}
    (stream,) = set("mnk") - {flow.row_rank, flow.col_rank}
    (cycles, folds), (streamed, streamed_folds) = _array_work(flow, target, e, tile, steps)
    return Grid(
        tile=tile,
        steps=steps,
        sizes=tile_bytes(flow, problem, target, tile, steps),
        tiles=steps["b"] * steps["m"] * steps["n"] * steps["k"],
        cycles=cycles,
        streamed=streamed,
        folds=folds,
        streamed_folds=streamed_folds,
        vector_s=np.zeros(len(tile["b"])),
        stream=np.full(len(tile["b"]), stream),
        ends=(),
    )


def _here(problem: Problem, target: Target) -> tuple[bool, ...]:
    """Which operands lie on chip as a whole."""
    op = problem.op
    names = op.reads[0].tensor, op.reads[1].tensor, op.writes[0].tensor
    return tuple(name in target.resident for name in names)


def tile_bytes(
    flow: Dataflow,
    problem: Problem,
    target: Target,
    tile: dict[str, Ints],
    steps: dict[str, Ints],
) -> dict[str, Ints]:
    """Room of one tile per operand; nothing for a tensor that lies on chip as a whole."""
    bits = problem.bits
    here = dict(zip(OPERANDS, _here(problem, target), strict=True))
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
    flow: Dataflow, target: Target, e: Extents, tile: dict[str, Ints], steps: dict[str, Ints]
) -> tuple[Ints, Ints]:
    """Array cycles and folds of the whole op: full tiles and the remainders of each rank apart.

    Both twice: when every tile fills the array anew, and when the streaming rank is innermost and
    goes on from tile to tile, which fills the array once.
    """
    (stream,) = set("mnk") - {flow.row_rank, flow.col_rank}
    before = {r: steps[r] - 1 for r in "bmnk"}  # full tiles, behind which the last one comes
    edge = {r: e.of(r) - before[r] * tile[r] for r in "bmnk"}
    some: list[Ints] = []
    shapes: list[dict[str, Ints]] = []
    lasts: list[bool] = []  # whether it is the last tile of the stream
    many = [r for r in "bmnk" if before[r].any()]
    for full in (ranks for n in range(len(many) + 1) for ranks in combinations(many, n)):
        count = prod((before[r] for r in full), start=np.ones_like(tile["b"]))
        if count.any():
            some.append(count)
            shapes.append({r: tile[r] if r in full else edge[r] for r in "bmnk"})
            lasts.append(stream not in full)
    fresh, more = _cost(flow, target, shapes)
    counts, last = np.stack(some), np.array(lasts)[:, None]
    per = np.maximum(before[stream], 1)
    streams = steps[stream] > 1
    runs = (counts // per) * streams * (fresh + (per - 1) * more)
    going_on = np.where(last, counts * np.where(streams, more, fresh), runs)
    return (counts * fresh).sum(axis=1), going_on.sum(axis=1)


def _cost(flow: Dataflow, target: Target, shapes: list[dict[str, Ints]]) -> tuple[Ints, Ints]:
    """Cycles and folds of tiles that fill the array, and of those that go on streaming.

    Each by quantity, by shape and by tile.
    """
    assert target.cost is not None
    b, m, n, k = (np.concatenate([shape[r] for shape in shapes] * 2) for r in "bmnk")
    flags = np.zeros(len(b), dtype=bool)
    resumed = np.arange(len(b)) >= len(b) // 2
    tiles = Tiles(
        flow.stationary, b, m, n, k, first=flags, resumed=resumed, opens=~flags, closes=~flags
    )
    cost = target.cost(tiles)
    both = np.stack([cost.cycles, cost.folds]).reshape(2, 2, len(shapes), -1)
    return both[:, 0], both[:, 1]
