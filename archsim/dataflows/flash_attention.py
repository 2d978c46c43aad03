"""Flash attention: scores stay on chip; the tiles of queries and keys with the least time.

Every candidate is one element of numpy arrays, as in `_search`. With two tiles of each operand
traffic, array and vector unit overlap and the longest decides; with one they add up, which only the
smallest memories ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from archsim.core.errors import Unmappable
from archsim.dataflows._tile_sizes import every, ladder
from archsim.dataflows.base import Dataflow
from archsim.ir.attention_problem import AttentionProblem, AttentionTarget, Heads
from archsim.ir.flash import FlashMapping
from archsim.ir.flash_room import fits_split, room
from archsim.ir.mapping import Mapping
from archsim.ir.problem import Problem
from archsim.ir.target import Cost, Target, Tiles

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
FINE = 32  # least rows and keys of a tile that is tried before anything else
MAX_STEPS = 1 << 20  # of one op; more never paid in time
TOLERANCE = 1.005  # times this close are equal: the closed form is no finer
STATIONARY = ("weight", "output", "input")


class FlashAttention(Dataflow):
    """Scores, running softmax and values tile by tile: scores are no tensor."""

    kind = "flash_attention"
    stages: ClassVar[str] = "attention"

    def search(self, problem: Problem, target: Target) -> tuple[tuple[float, ...], Mapping]:
        """Refuses: one product is no attention.

        Raises:
            Unmappable: always.
        """
        raise Unmappable(
            f"{problem.op.name}: {self.kind} maps scores, softmax and values as one",
            code="E302",
            help="{ops: attention, dataflow: flash_attention}",
        )

    def map_attention(
        self, problem: AttentionProblem, target: AttentionTarget, split: int | None = None
    ) -> FlashMapping:
        """The tiles with the least closed-form time.

        Args:
            problem: the attention.
            target: the machine.
            split: parts of every context; default: as many as are fastest.

        Raises:
            Unmappable: when not even the smallest tiles fit the buffer.
        """
        parts = [split] if split else _splits(problem, target)
        for smallest in (FINE, 1):  # the finest tiles only where no other fits
            tiles = _tiles(problem, target, smallest, parts)
            costs = _costs(problem, target, tiles)
            found = [
                some
                for depth, held in product(sorted({target.depth, 1}), (False, True))
                for some in _evaluate(problem, target, tiles, costs, depth, held=held)
            ]
            if found:
                best = min(found, key=lambda f: f[0])[1]
                best.check(target)
                return best
        e = problem.largest
        raise Unmappable(
            f"{problem.name}: no tile of {e.m} queries x {e.keys} keys fits the "
            f"{target.buffer_bytes} bytes that are free on chip",
            code="E401",
            help="a larger on-chip memory, or fewer activations held there",
        )


def _splits(p: AttentionProblem, target: AttentionTarget) -> list[int]:
    """Parts of a context worth trying: only where a whole context is seen, up to the arrays."""
    if p.masked:
        return [1]
    return [1 << i for i in range(target.count.bit_length()) if 1 << i <= p.largest.keys]


@dataclass(frozen=True)
class _Tiles:
    """Candidates, one array element each, those that cut contexts alike side by side.

    Attributes:
        b, q, kv: problems, rows, and keys of a part of a tile.
        split: parts of every context; `alike` are the ranges of candidates with one.
    """

    b: Ints
    q: Ints
    kv: Ints
    split: Ints
    alike: tuple[slice, ...]


@dataclass(frozen=True)
class _Costs:
    """Cycles of a step, whatever is held, one a tile.

    Attributes:
        scores, values: of the array; `styles` says what then stays in it, for either.
        softmax, finish: of the vector unit, in a step and at the end of a tile of queries.
    """

    scores: Ints
    values: Ints
    styles: tuple[Ints, Ints]
    softmax: Ints
    finish: Ints


@dataclass(frozen=True)
class _Walk:
    """How candidates go over keys, for one way to hold them; lists are by ragged case.

    Attributes:
        tiles, steps: tiles of queries, and steps, of one problem.
        keys: keys of one problem that enter the chip.
        most: steps of the tile of queries that has most.
    """

    tiles: list[Ints]
    steps: list[Ints]
    keys: list[Ints]
    most: Ints


def _tiles(p: AttentionProblem, target: AttentionTarget, smallest: int, parts: list[int]) -> _Tiles:
    e = p.largest
    columns: list[list[Ints]] = []
    for split in parts:
        alike = ladder(e.b, 1)
        if e.b > 1:  # as many problems as there are arrays
            alike = np.unique(np.append(alike, min(e.b, -(-target.count // split))))
        axes = {
            "b": alike,
            "q": ladder(e.m, min(target.cols, smallest)),
            "kv": ladder(-(-e.keys // split), min(target.rows, smallest)),
        }
        grid = every(axes).values()
        columns.append([*grid, np.full_like(next(iter(grid)), split)])
    ends = np.cumsum([len(some[0]) for some in columns]).tolist()
    alike_at = tuple(slice(*ends) for ends in zip([0, *ends], ends, strict=False))
    b, q, kv, cuts = (np.concatenate(column) for column in zip(*columns, strict=True))
    return _Tiles(b, q, kv, cuts, alike_at)


def _costs(p: AttentionProblem, target: AttentionTarget, of: _Tiles) -> _Costs:
    wide = of.b * of.split
    scores, score_style = _least(target.score, wide, of.q, of.kv, p.key_dim)
    values, value_style = _least(target.value, wide, of.q, p.value_dim, of.kv)
    rows = wide * of.q
    softmax = target.softmax(rows * of.kv, rows) + target.join(rows * p.value_dim, rows)
    outs, own = of.b * of.q * p.value_dim, of.b * of.q
    finish = target.finish(outs, own) + (of.split - 1) * target.join(outs, own)
    return _Costs(scores, values, (score_style, value_style), softmax, finish)


def _walk(p: AttentionProblem, of: _Tiles, *, held: bool) -> _Walk:
    tiles, steps, keys, most = [], [], [], np.ones_like(of.b)
    for case in p.cases:
        rows = -(-case.m // of.q)
        if p.masked:
            each, top, whole = _masked(p, case, of.q, of.kv)
            entered = whole if held else each * of.kv
        else:
            passed = -(-case.keys // of.kv)
            top = -(-passed // of.split)
            each, entered = rows * top, case.keys * (np.ones_like(rows) if held else rows)
        tiles.append(rows)
        steps.append(each)
        keys.append(np.minimum(entered, case.keys * rows))
        most = np.maximum(most, top)
    return _Walk(tiles, steps, keys, most)


def _masked(p: AttentionProblem, case: Heads, q: Ints, kv: Ints) -> tuple[Ints, Ints, Ints]:
    """Steps of a problem, most steps of a tile of queries, and keys that any of them sees."""
    pairs, where = np.unique(np.stack([q, kv]), axis=1, return_inverse=True)
    found = []
    for rows, keys in pairs.T:
        low = np.arange(0, case.m, rows)
        first, end = p.seen(case, low, np.minimum(low + rows, case.m))
        steps = -(-end // keys) - first // keys
        found.append((steps.sum(), steps.max(), end[-1] - first[0]))
    table = np.array(found, dtype=np.int64)[where.ravel()]
    return table[:, 0], table[:, 1], table[:, 2]


def _evaluate(
    p: AttentionProblem,
    target: AttentionTarget,
    of: _Tiles,
    costs: _Costs,
    depth: int,
    *,
    held: bool,
) -> Iterator[tuple[tuple[float, ...], FlashMapping]]:
    """The best tiles of each way to cut contexts that fits, and what they were chosen by."""
    walk = _walk(p, of, held=held)
    stay = walk.most + (depth - 1) * (p.largest.b > of.b) if held else np.full_like(of.b, depth)
    slots = {"k": stay + p.one_cache, "v": stay}
    need = room(p, of.b, of.q, of.kv, of.split, depth, slots, target.resident)
    steps = np.sum([-(-c.b // of.b) * s for c, s in zip(p.cases, walk.steps, strict=True)], axis=0)
    fits = (need <= target.buffer_bytes) & (steps <= MAX_STEPS)
    for case in p.cases:
        fits = fits & fits_split(-(-case.keys // of.kv), of.split)
    if not fits.any():
        return
    time_s, traffic = _times(p, target, of, costs, walk, depth, slots["k"])
    time_s = np.where(fits, time_s, np.inf)
    for some in (some for some in of.alike if fits[some].any()):
        # the fastest; of those that are as fast the one with fewest steps, then least traffic
        late = time_s[some] > TOLERANCE * time_s[some].min()
        i = some.start + int(np.lexsort((time_s[some], traffic[some], steps[some], late))[0])
        key = (float(time_s[i]), float(traffic[i]), float(steps[i]))
        yield (
            key,
            FlashMapping(
                problem=p,
                engine=target.engine,
                tile={"b": int(of.b[i]), "q": int(of.q[i]), "kv": int(of.kv[i])},
                split=int(of.split[i]),
                held=held,
                depth=depth,
                stationary=(
                    STATIONARY[int(costs.styles[0][i])],
                    STATIONARY[int(costs.styles[1][i])],
                ),
                resident=target.resident,
            ),
        )


def _times(
    p: AttentionProblem,
    target: AttentionTarget,
    of: _Tiles,
    costs: _Costs,
    walk: _Walk,
    depth: int,
    slots: Ints,
) -> tuple[Floats, Floats]:
    """Seconds and bytes of each candidate."""
    rate, rows = target.dram_bytes_per_s, of.b * of.split * of.q
    scores, values, softmax, finish = costs.scores, costs.values, costs.softmax, costs.finish
    width = {word: dtype.stored_bits / 8 for word, dtype in p.dtypes.items()}
    moved = {word: 0.0 if word in target.resident else width[word] for word in "qkv"}
    per_key = moved["k"] * p.key_dim + (0.0 if p.one_cache else moved["v"] * p.value_dim)
    per_row = moved["q"] * p.key_dim
    per_row += 0.0 if "out" in target.resident else width["out"] * p.value_dim
    array_s = vector_s = traffic = enters = np.zeros(len(of.b))
    for case, tiles, steps, keys in zip(p.cases, walk.tiles, walk.steps, walk.keys, strict=True):
        batches = case.b / of.b  # a smaller last tile is not a whole one
        array_s = array_s + batches * steps * (scores + values) / target.clock_hz
        vector_s = vector_s + batches * (steps * softmax + tiles * finish) / target.vector_clock_hz
        traffic = traffic + case.b * (keys * per_key + case.m * per_row)
        scored = np.minimum(batches * steps * rows * of.kv, case.b * case.m * case.keys)
        traffic = traffic + scored * p.extra_bits / 8
        enters = enters + batches * keys / of.kv
    steps_all = np.sum([s * (c.b / of.b) for c, s in zip(p.cases, walk.steps, strict=True)], axis=0)
    size = of.b * of.split * of.kv * per_key
    step_s = np.maximum(array_s, vector_s) / steps_all
    # latency: a slot is taken from the request until its tile is used
    feed_s = enters / of.split * (size / rate + target.dram_latency_s + step_s) / slots
    feed_s = np.where((size > 0) & (enters > slots), feed_s, 0.0)
    head_s = (size + of.b * of.q * per_row) / rate + scores / target.clock_hz
    tail_s = values / target.clock_hz + finish / target.vector_clock_hz
    if depth == 1:
        return array_s + vector_s + traffic / rate, traffic
    longest = np.maximum(np.maximum(array_s, vector_s), np.maximum(traffic / rate, feed_s))
    return longest + head_s + tail_s, traffic


def _least(cost: Callable[[Tiles], Cost], b: Ints, m: Any, n: Any, k: Any) -> tuple[Ints, Ints]:
    """Fewest cycles of tiles over what may stay in the array, and which that is."""
    no = np.zeros(len(b), dtype=bool)
    m, n, k = (np.broadcast_to(np.asarray(x, dtype=np.int64), b.shape) for x in (m, n, k))
    cycles = [
        cost(Tiles(s, b, m, n, k, first=no, resumed=no, opens=~no, closes=~no)).cycles
        for s in STATIONARY
    ]
    every = np.stack(cycles)
    return every.min(axis=0), every.argmin(axis=0)
