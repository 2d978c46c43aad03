"""Tile extents that are worth trying for a MAC op: halvings of ranks in whole units of the array.

What tiles of these extents cost is in `_grid`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from archsim.ir.problem import Extents, Problem
from archsim.ir.target import Target

if TYPE_CHECKING:
    from archsim.dataflows.base import Dataflow

Ints = NDArray[np.int64]


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
    return every(axes)


def every(axes: Mapping[str, Ints]) -> dict[str, Ints]:
    """Every combination of values, one array a name; the last name changes first."""
    shape = tuple(len(values) for values in axes.values())
    found = {}
    for i, (name, values) in enumerate(axes.items()):
        along = values.reshape([-1 if i == j else 1 for j in range(len(shape))])
        found[name] = np.broadcast_to(along, shape).ravel().astype(np.int64)
    return found


@lru_cache(maxsize=1024)
def ladder(extent: int, unit: int) -> Ints:
    """The extent itself and its halvings, rounded up to whole units, down to one unit."""
    sizes = {extent}
    size = extent
    while size > unit:
        size = -(-size // 2)
        sizes.add(min(-(-size // unit) * unit, extent))
    if unit < extent:
        sizes.add(unit)
    found = np.array(sorted(sizes), dtype=np.int64)
    found.flags.writeable = False  # it is handed out again
    return found


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
