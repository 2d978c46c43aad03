"""Flash attention: scores stay on chip; the tiles of queries and keys with the least time.

Every candidate is one element of numpy arrays, as in `_search`: room on chip, traffic, cycles of
the array and of the vector unit. With two tiles of each operand the three overlap and the longest
decides; with one they add up, which only the smallest memories ask for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from archsim.core.errors import Unmappable
from archsim.dataflows._grid import ladder
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
            found = [
                some
                for depth in sorted({target.depth, 1})
                for held, n in product((False, True), parts)
                if (some := _evaluate(problem, target, smallest, depth, n, held=held))
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
class _Grid:
    """Candidates of one way to hold and split, one array element each.

    Attributes:
        b, q, kv: problems, rows, and keys of a part of a tile.
        tiles: tiles of queries of one problem, by ragged case.
        steps: steps of one problem, by ragged case.
        keys: keys of one problem that enter the chip, by ragged case.
        most: steps of the tile of queries that has most.
    """

    b: Ints
    q: Ints
    kv: Ints
    tiles: list[Ints]
    steps: list[Ints]
    keys: list[Ints]
    most: Ints


def _grid(
    p: AttentionProblem, target: AttentionTarget, smallest: int, split: int, *, held: bool
) -> _Grid:
    e = p.largest
    alike = ladder(e.b, 1)
    if e.b > 1:  # as many problems as there are arrays
        alike = np.unique(np.append(alike, min(e.b, -(-target.count // split))))
    axes = (
        alike,
        ladder(e.m, min(target.cols, smallest)),
        ladder(-(-e.keys // split), min(target.rows, smallest)),
    )
    b, q, kv = (g.ravel().astype(np.int64) for g in np.meshgrid(*axes, indexing="ij"))
    tiles, steps, keys, most = [], [], [], np.ones_like(b)
    for case in p.cases:
        rows = -(-case.m // q)
        if p.masked:
            each, top, whole = _masked(p, case, q, kv)
            entered = whole if held else each * kv
        else:
            passed = -(-case.keys // kv)
            top = -(-passed // split)
            each, entered = rows * top, case.keys * (np.ones_like(rows) if held else rows)
        tiles.append(rows)
        steps.append(each)
        keys.append(np.minimum(entered, case.keys * rows))
        most = np.maximum(most, top)
    return _Grid(b, q, kv, tiles, steps, keys, most)


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
    smallest: int,
    depth: int,
    split: int,
    *,
    held: bool,
) -> tuple[tuple[float, ...], FlashMapping] | None:
    """The best of a grid of tiles and what it was chosen by; None when nothing fits."""
    of = _grid(p, target, smallest, split, held=held)
    stay = of.most + (depth - 1) * (p.largest.b > of.b) if held else np.full_like(of.b, depth)
    slots = {"k": stay + p.one_cache, "v": stay}
    need = room(p, of.b, of.q, of.kv, split, depth, slots, target.resident)
    batches = [-(-c.b // of.b) for c in p.cases]
    steps = np.sum([n * s for n, s in zip(batches, of.steps, strict=True)], axis=0)
    fits = (need <= target.buffer_bytes) & (steps <= MAX_STEPS)
    for case in p.cases:
        fits = fits & fits_split(-(-case.keys // of.kv), split)
    if not fits.any():
        return None
    time_s, traffic, styles = _times(p, target, of, depth, split, slots["k"])
    time_s = np.where(fits, time_s, np.inf)
    # the fastest; of those that are as fast the one with fewest steps, then with least traffic
    i = int(np.lexsort((time_s, traffic, steps, time_s > TOLERANCE * time_s.min()))[0])
    key = (float(time_s[i]), float(traffic[i]), float(steps[i]))
    return key, FlashMapping(
        problem=p,
        engine=target.engine,
        tile={"b": int(of.b[i]), "q": int(of.q[i]), "kv": int(of.kv[i])},
        split=split,
        held=held,
        depth=depth,
        stationary=(STATIONARY[int(styles[0][i])], STATIONARY[int(styles[1][i])]),
        resident=target.resident,
    )


def _times(
    p: AttentionProblem, target: AttentionTarget, of: _Grid, depth: int, split: int, slots: Ints
) -> tuple[Floats, Floats, tuple[Ints, Ints]]:
    """Seconds and bytes of each candidate, and what stays in the array for either product."""
    wide, rate = of.b * split, target.dram_bytes_per_s
    scores, score_style = _least(target.score, wide, of.q, of.kv, p.key_dim)
    values, value_style = _least(target.value, wide, of.q, p.value_dim, of.kv)
    rows = wide * of.q
    outputs = rows * p.value_dim
    softmax = target.softmax(rows * of.kv, rows) + target.join(outputs, rows)
    finish = target.finish(of.b * of.q * p.value_dim, of.b * of.q)
    finish = finish + (split - 1) * target.join(of.b * of.q * p.value_dim, of.b * of.q)
    width = {word: dtype.stored_bits / 8 for word, dtype in p.dtypes.items()}
    moved = {word: 0.0 if word in target.resident else width[word] for word in "qkv"}
    per_key = moved["k"] * p.key_dim + (0.0 if p.one_cache else moved["v"] * p.value_dim)
    per_row = moved["q"] * p.key_dim
    per_row += 0.0 if "out" in target.resident else width["out"] * p.value_dim
    array_s = vector_s = traffic = enters = np.zeros(len(of.b))
    for case, tiles, steps, keys in zip(p.cases, of.tiles, of.steps, of.keys, strict=True):
        batches = case.b / of.b  # a smaller last tile is not a whole one
        array_s = array_s + batches * steps * (scores + values) / target.clock_hz
        vector_s = vector_s + batches * (steps * softmax + tiles * finish) / target.vector_clock_hz
        traffic = traffic + case.b * (keys * per_key + case.m * per_row)
        scored = np.minimum(batches * steps * rows * of.kv, case.b * case.m * case.keys)
        traffic = traffic + scored * p.extra_bits / 8
        enters = enters + batches * keys / of.kv
    steps_all = np.sum([s * (c.b / of.b) for c, s in zip(p.cases, of.steps, strict=True)], axis=0)
    size = of.b * split * of.kv * per_key
    step_s = np.maximum(array_s, vector_s) / steps_all
    # latency: a slot is taken from the request until its tile is used
    feed_s = enters / split * (size / rate + target.dram_latency_s + step_s) / slots
    feed_s = np.where((size > 0) & (enters > slots), feed_s, 0.0)
    head_s = (size + of.b * of.q * per_row) / rate + scores / target.clock_hz
    tail_s = values / target.clock_hz + finish / target.vector_clock_hz
    if depth == 1:
        return array_s + vector_s + traffic / rate, traffic, (score_style, value_style)
    longest = np.maximum(np.maximum(array_s, vector_s), np.maximum(traffic / rate, feed_s))
    return longest + head_s + tail_s, traffic, (score_style, value_style)


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
