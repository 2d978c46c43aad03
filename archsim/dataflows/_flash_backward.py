"""Tiles of the backward pass of attention: those with the least time, and those that move least.

Every candidate is one element of numpy arrays. Array, vector unit and memory overlap, and the
longest decides. No template of a rule: `flash_attention` asks for it where an attention is trained.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsim.core.errors import Unmappable
from archsim.dataflows._tile_sizes import ladder
from archsim.ir.attention_problem import AttentionProblem
from archsim.ir.flash_backward import FlashBackwardMapping
from archsim.ir.flash_backward_room import (
    PRODUCTS,
    ROW_BITS,
    BackwardTarget,
    product_size,
    room,
)
from archsim.ir.target import Tiles

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
LEAST = 16  # rows and keys of a tile that is tried
FINE = 32  # least rows and keys of a tile that is tried before anything else
MAX_STEPS = 1 << 20  # of one op; more never paid in time
TOLERANCE = 1.005  # times this close are equal: the closed form is no finer
STATIONARY = ("weight", "output", "input")
DEPTH = 2  # the array scores the next tile while the vector unit is at this one


def fastest(p: AttentionProblem, target: BackwardTarget) -> FlashBackwardMapping:
    """The tiles with the least closed-form time.

    Raises:
        Unmappable: E401 when not even the smallest tiles fit the buffer.
    """
    for smallest in (FINE, 1):  # the finest tiles only where no other fits
        found = _best(p, target, smallest)
        if found:
            found.check(target.buffer_bytes)
            return found
    raise _no_tile(p, target.buffer_bytes)


def least_traffic(p: AttentionProblem, engine: str, buffer_bytes: int) -> FlashBackwardMapping:
    """The mapping that moves least; of several the one with the largest tiles.

    Raises:
        Unmappable: when no tile fits.
    """
    e = p.largest
    sizes = product(ladder(e.m, min(e.m, LEAST)), ladder(e.keys, min(e.keys, LEAST)))
    tried = [
        FlashBackwardMapping(p, engine, {"b": 1, "q": int(q), "kv": int(kv)}, DEPTH)
        for q, kv in sizes
    ]
    fitting = [one for one in tried if one.room_bytes() <= buffer_bytes]
    if not fitting:
        raise _no_tile(p, buffer_bytes)
    return min(fitting, key=lambda one: (sum(one.traffic().values()), -one.room_bytes()))


def _no_tile(p: AttentionProblem, buffer_bytes: int) -> Unmappable:
    return Unmappable(
        f"{p.name}: no tile of the backward pass fits {buffer_bytes} bytes on chip",
        code="E401",
        help="a larger on-chip memory, or fewer activations held there",
    )


def _best(
    p: AttentionProblem, target: BackwardTarget, smallest: int
) -> FlashBackwardMapping | None:
    """The best of a grid of tiles; None when nothing fits."""
    e, depth = p.largest, max(DEPTH, target.depth)
    axes = (
        np.unique(np.append(ladder(e.b, 1), min(e.b, target.count))),  # a problem an array
        ladder(e.m, min(target.cols, smallest)),
        ladder(e.keys, min(target.rows, smallest)),
    )
    b, q, kv = (g.ravel().astype(np.int64) for g in np.meshgrid(*axes, indexing="ij"))
    fits = room(p, b, q, kv, depth, target.resident) <= target.buffer_bytes
    b, q, kv = b[fits], q[fits], kv[fits]
    seen = _Seen(p, b, q, kv)
    few = seen.steps <= MAX_STEPS
    if not few.any():
        return None
    time_s, traffic, styles = _times(p, target, seen, depth)
    time_s = np.where(few, time_s, np.inf)
    # the fastest; of those that are as fast the one with least traffic, then with fewest steps
    slower = time_s > TOLERANCE * time_s.min()
    i = int(np.lexsort((time_s, seen.steps, traffic, slower))[0])
    return FlashBackwardMapping(
        problem=p,
        engine=target.engine,
        tile={"b": int(b[i]), "q": int(q[i]), "kv": int(kv[i])},
        depth=depth,
        stationary=tuple(STATIONARY[int(style[i])] for style in styles),
        resident=target.resident,
    )


class _Seen:
    """What tiles of each size meet, all cases together, one array element a candidate.

    Attributes:
        b, q, kv: problems, rows and keys of a tile.
        steps: pairs of a tile of queries and a tile of keys that it sees.
        rows: rows that pass by, each once a visit; `tiled` of them in one tile of problems.
        again: visits of rows that are not their last.
        keys: keys that some query sees.
        all_rows: rows of the whole attention.
    """

    def __init__(self, p: AttentionProblem, b: Ints, q: Ints, kv: Ints) -> None:
        self.b, self.q, self.kv = b, q, kv
        sizes, where = np.unique(np.stack([q, kv]), axis=1, return_inverse=True)
        self.steps = self.rows = self.again = self.keys = np.zeros(len(b), dtype=np.int64)
        self.all_rows = sum(c.b * c.m for c in p.cases)
        for case in p.cases:
            found = np.empty((4, sizes.shape[1]), dtype=np.int64)
            for i, (high, wide) in enumerate(sizes.T):
                low = np.arange(0, case.m, high)
                end = np.minimum(low + high, case.m)
                first, past = p.seen(case, low, end)
                visits = -(-past // wide) - first // wide
                keys = min(case.keys, -(-past.max() // wide) * wide) - first.min() // wide * wide
                rows = (end - low) * visits
                found[:, i] = visits.sum(), rows.sum(), (rows - (end - low)).sum(), keys
            steps, passing, again, keys_ = found[:, where.ravel()]
            self.steps = self.steps + -(-case.b // b) * steps
            self.rows = self.rows + case.b * passing
            self.again = self.again + case.b * again
            self.keys = self.keys + case.b * keys_


def _times(
    p: AttentionProblem, target: BackwardTarget, of: _Seen, depth: int
) -> tuple[Floats, Floats, list[Ints]]:
    """Seconds and bytes of each candidate, and what stays in the array for each product."""
    rate, styles = target.dram_bytes_per_s, []
    cycles: list[Ints] = []
    for cost, name in zip(target.products, PRODUCTS, strict=True):
        least, style = _least(cost, of.b, *product_size(p, name, of.q, of.kv))
        cycles.append(least)
        styles.append(style)
    first_s = (cycles[0] + cycles[1]) / target.clock_hz
    second_s = (cycles[2] + cycles[3] + cycles[4]) / target.clock_hz
    high = of.b * of.q
    vector_s = target.points(high * of.kv, high) / target.vector_clock_hz
    bits = {word: dtype.stored_bits for word, dtype in p.dtypes.items()}
    row = {"q": p.key_dim * bits["q"], "d_out": p.value_dim * bits["out"], "stats": ROW_BITS}
    row["delta"] = ROW_BITS
    key = {"k": p.key_dim * bits["k"], "v": p.value_dim * bits["v"]}
    key |= {f"d_{word}": n for word, n in key.items()}
    per_row, per_key = (
        sum(n for word, n in some.items() if word not in target.resident) / 8 for some in (row, key)
    )
    sum_bytes = p.key_dim * p.partial_bits / 8
    traffic = of.rows * per_row + of.keys * per_key + 2 * of.again * sum_bytes
    if "d_q" not in target.resident:
        traffic = traffic + of.all_rows * p.key_dim * bits["q"] / 8
    steps = of.rows / high  # a smaller last tile is not a whole one
    array_s, lanes_s = steps * (first_s + second_s), steps * vector_s
    step_s = np.maximum(array_s, lanes_s) / steps
    # latency: a slot is taken from the request until its tile is used the second time
    arrives_s = high * per_row / rate + target.dram_latency_s
    feed_s = np.where(per_row > 0, steps * (arrives_s + 2 * step_s) / (depth + 1), 0.0)
    head_s = (high * per_row + of.b * of.kv * per_key / 2) / rate + first_s + vector_s
    tail_s = second_s + of.b * of.kv * per_key / 2 / rate
    longest = np.maximum(np.maximum(array_s, lanes_s), np.maximum(traffic / rate, feed_s))
    return longest + head_s + tail_s, traffic, styles


def _least(cost: Any, b: Ints, m: Any, n: Any, k: Any) -> tuple[Ints, Ints]:
    """Fewest cycles of tiles over what may stay in the array, and which that is."""
    no = np.zeros(len(b), dtype=bool)
    m, n, k = (np.broadcast_to(np.asarray(x, dtype=np.int64), b.shape) for x in (m, n, k))
    every = np.stack([
        cost(Tiles(s, b, m, n, k, first=no, resumed=no, opens=no, closes=no)).cycles
        for s in STATIONARY
    ])  # fmt: skip
    return every.min(axis=0), every.argmin(axis=0)
