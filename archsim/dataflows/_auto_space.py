"""Tile extents that a search may try: more than halvings, so that edges can be balanced.

Along a rank: the extent itself, its divisors, multiples of the array's sides, and for every number
of tiles the extent that makes them most even, plain and rounded up to the array's sides. The
templates' own sizes are among them, and the smallest that an op allows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from archsim.core.errors import Unmappable
from archsim.dataflows._search import choose
from archsim.dataflows._tile_sizes import ladder, tile_sizes
from archsim.ir.problem import Problem
from archsim.ir.target import Target

if TYPE_CHECKING:
    from archsim.dataflows.base import Dataflow

Ints = NDArray[np.int64]
Axes = tuple[Ints, Ints, Ints, Ints]  # sorted candidate extents of b, m, n, k
EVEN_STEPS = 24  # numbers of tiles whose even extent is tried, beyond which halvings follow
STEPS = (-8, -3, -2, -1, 1, 2, 3, 8)  # places along an axis that count as neighbours
MULTIPLES = 16  # of an array side that are tried one by one, beyond which doublings follow


def axes(flows: Sequence[Dataflow], problem: Problem, target: Target) -> Axes:
    """Candidate extents by rank, for all templates together."""
    e = problem.largest
    units = sorted({target.rows, target.cols})
    own = _templates(flows, problem, target)
    return (
        _sorted(e.b, {*_even(e.b), *_divisors(e.b), min(e.b, target.count)}, own["b"]),
        _sorted(e.m, _rows(problem, units), own["m"]),
        _sorted(e.n, {e.n} if target.whole_rows else _sizes(e.n, units), own["n"]),
        _sorted(e.k, {e.k} if target.whole_k else _reductions(problem, units), own["k"]),
    )


def templates_tiles(
    flows: Sequence[Dataflow], problem: Problem, target: Target, smallest: int
) -> Ints:
    """Tile extents that the templates' own search tries: one row each, columns b, m, n, k."""
    found = [tile_sizes(flow, problem, target, problem.largest, smallest) for flow in flows]
    rows = [np.stack([tile[r] for r in "bmnk"], axis=1) for tile in found]
    return np.unique(np.concatenate(rows), axis=0)


def templates_choice(flows: Sequence[Dataflow], problem: Problem, target: Target) -> Ints:
    """Tile extents that each template chooses by itself, the best template first; b, m, n, k."""
    # templates know two objectives: array cycles first, or time
    plain = target.objective if target.objective == "compute" else "latency"
    found: list[tuple[tuple[float, ...], list[int]]] = []
    for flow in flows:
        try:
            key, mapping = choose(flow, problem, replace(target, objective=plain))
        except Unmappable:
            continue
        found.append((key, [mapping.tile[rank] for rank in "bmnk"]))
    return np.array([row for _, row in sorted(found)], dtype=np.int64).reshape(-1, 4)


def _templates(flows: Sequence[Dataflow], problem: Problem, target: Target) -> dict[str, set[int]]:
    own: dict[str, set[int]] = {r: set() for r in "bmnk"}
    for smallest in (1 << 30, 1):
        columns = templates_tiles(flows, problem, target, smallest).T
        for rank, column in zip("bmnk", columns, strict=True):
            own[rank] |= {int(x) for x in np.unique(column)}
    return own


def _sorted(extent: int, sizes: Iterable[int], more: Iterable[int]) -> Ints:
    """Sizes in order, none larger than the extent."""
    return np.array(sorted({min(max(1, s), extent) for s in (*sizes, *more)}), dtype=np.int64)


def _even(extent: int) -> set[int]:
    """The extent of most even tiles, by number of tiles."""
    return {-(-extent // steps) for steps in range(1, min(EVEN_STEPS, extent) + 1)}


def _divisors(extent: int) -> set[int]:
    small = [d for d in range(1, int(extent**0.5) + 1) if extent % d == 0]
    return {*small, *(extent // d for d in small)}


def _sizes(extent: int, units: Sequence[int]) -> set[int]:
    """Along a rank without structure."""
    even = _even(extent)
    found = even | {int(s) for s in ladder(extent, 1)} | {1}
    if extent <= 4096:
        found |= _divisors(extent)
    for unit in units:
        found |= {unit * i for i in range(1, min(MULTIPLES, -(-extent // unit)) + 1)}
        found |= {unit << i for i in range((max(1, extent // unit)).bit_length())}
        found |= {-(-s // unit) * unit for s in even}
    return found


def _rows(problem: Problem, units: Sequence[int]) -> set[int]:
    """Along m: of a convolution whole output rows too, and none that straddles two images."""
    e, op = problem.largest, problem.op
    if not op.window:
        return _sizes(e.m, units)
    r = op.ranks
    if r["B"] > 1:
        whole = {r["OH"] * i for i in _even(r["B"]) | _divisors(r["B"])}
        return {n * r["OW"] for n in _divisors(r["OH"]) | whole}
    rows = {n * r["OW"] for n in _even(r["OH"]) | set(range(1, min(r["OH"], MULTIPLES) + 1))}
    return rows | _sizes(e.m, units)


def _reductions(problem: Problem, units: Sequence[int]) -> set[int]:
    """Along k: of a convolution whole channels too."""
    e, op = problem.largest, problem.op
    found = _sizes(e.k, units)
    if op.window:
        taps = op.ranks["FH"] * op.ranks["FW"]
        found |= {taps * c for c in _sizes(op.ranks["IC"], units)}
    return found


def product(space: Axes) -> Ints:
    """All tile extents of a space, one row each."""
    return np.stack([g.ravel() for g in np.meshgrid(*space, indexing="ij")], axis=1)


def some(rows: Ints, most: int, rng: np.random.Generator) -> Ints:
    """At most so many rows, drawn where there are more."""
    if len(rows) <= most:
        return rows
    return rows[np.sort(rng.choice(len(rows), most, replace=False))]


def draw(space: Axes, count: int, rng: np.random.Generator) -> Ints:
    """Random tile extents."""
    return np.stack([axis[rng.integers(0, len(axis), count)] for axis in space], axis=1)


def neighbours(space: Axes, row: Sequence[int], rng: np.random.Generator) -> Ints:
    """Tile extents a few places away along one axis, and some along two."""
    at = [int(np.searchsorted(axis, x)) for axis, x in zip(space, row, strict=True)]
    moves = [(i, d) for i, axis in enumerate(space) if len(axis) > 1 for d in STEPS]
    found = []
    for i, d in moves:
        found.append([min(max(p + d * (j == i), 0), len(space[j]) - 1) for j, p in enumerate(at)])
    for _ in range(len(moves)):
        two = [p + int(rng.integers(-4, 5)) for p in at]
        found.append([min(max(p, 0), len(space[j]) - 1) for j, p in enumerate(two)])
    picks = np.array(found, dtype=np.int64).reshape(-1, 4)
    return np.stack([axis[picks[:, j]] for j, axis in enumerate(space)], axis=1)
