"""Sizes and order of the buffer's tiles around given inner levels: the best of all candidates.

What each candidate costs is in `_nest_cost`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from math import inf

import numpy as np

from archsim.core.errors import Unmappable
from archsim.dataflows._nest_cost import MAX_TILES, Candidates, Floats, evaluate, fewest_tiles, grid
from archsim.dataflows._nest_rank import Shape
from archsim.ir.nest import NestLevel, NestLoop, NestMapping
from archsim.ir.nest_check import NestTarget
from archsim.ir.nest_ranks import OPERANDS
from archsim.ir.op import Kind
from archsim.ir.problem import Problem

Key = tuple[float, ...]
NEAR = 1.02  # times this close are equal: the closed form is no finer; then cycles, then bytes


@dataclass(frozen=True)
class Fit:
    """The best nest found, and of how many.

    Attributes:
        mapping: the nest.
        candidates: nests whose cost was computed.
        key: what it was chosen by, less is better: the objective, seconds, bytes off chip.
        cycles, fed_bytes: of the array, and between it and the buffer.
    """

    mapping: NestMapping
    candidates: int
    key: Key
    cycles: float
    fed_bytes: float


def best(
    inner: Iterable[Sequence[NestLevel]], problem: Problem, target: NestTarget, dataflow: str
) -> Fit:
    """The best fit over several proposals for the levels inside the array.

    Raises:
        Unmappable: when no tile of any fits the buffer.
    """
    found: list[Fit] = []
    refused, tried, proposed = None, 0, list(dict.fromkeys(tuple(levels) for levels in inner))
    for levels in proposed:
        try:
            fitted = fit(levels, problem, target, dataflow=dataflow)
        except Unmappable as error:
            refused = error
            continue
        tried += fitted.candidates
        found.append(fitted)
    if not found:
        raise refused or Unmappable(
            f"{problem.op.name}: {dataflow} finds no room for its operand in the registers of "
            f"{target.engine}",
            code="E401",
        )
    return replace(least(found, target.objective), candidates=tried)


def least(found: Sequence[Fit], objective: str) -> Fit:
    """The best of several fits, by the objective first, then by array cycles and bytes moved."""
    columns = {
        "first": [f.key[0] for f in found],
        "time_s": [f.key[1] for f in found],
        "moved": [f.key[2] for f in found],
        "cycles": [f.cycles for f in found],
        "fed": [f.fed_bytes for f in found],
        "tiles": [float(len(f.mapping.order)) for f in found],
    }
    return found[_least({name: np.array(v) for name, v in columns.items()}, objective)]


def fit(
    inner: Sequence[NestLevel],
    problem: Problem,
    target: NestTarget,
    objective: str = "",
    dataflow: str = "fitted",
) -> Fit:
    """Loops over tiles of the buffer for given levels inside the array.

    Args:
        inner: the levels `buffer` and, where elements have any, `registers`.
        problem: the op; sizes are chosen for the largest of its ragged cases.
        target: the machine.
        objective: latency | compute | energy | edp | traffic; the target's where it is empty.
        dataflow: name that the mapping carries.

    Raises:
        Unmappable: when not even the smallest tiles fit the buffer.
    """
    shape = Shape(problem, tuple(inner))
    sizes = grid(shape, problem, target)
    fewest = {order: fewest_tiles(shape, sizes, order, target) for order in _orders(problem)}
    least_tiles = min(fewest.values())
    most = max(MAX_TILES, least_tiles)  # a small buffer may ask for more than ever paid
    found = [
        some
        for order in fewest
        if (some := evaluate(shape, sizes, order, target, most)) is not None
    ]
    if least_tiles == inf:
        need = " x ".join(f"{sizes.least[r]} {r}" for r in sizes.ranks)
        raise Unmappable(
            f"{problem.op.name}: no tile of at least {need} fits the {target.buffer_bytes} bytes "
            "that are free on chip",
            code="E401",
            help="a larger on-chip memory, or fewer activations held there",
        )
    chosen, place, key = _pick(found, objective or target.objective)
    order, tile = chosen.order, {r: int(v[place]) for r, v in chosen.sizes.items()}
    loops = tuple(NestLoop(r, tile[r]) for r in order)
    dram = NestLevel("dram", frozenset(OPERANDS), loops)
    depth = dict.fromkeys(OPERANDS, target.depth)
    mapping = NestMapping(problem, target.engine, dataflow, (dram, *inner), depth)
    tried = sum(c.tried for c in found)
    return Fit(mapping, tried, key, float(chosen.cycles[place]), float(chosen.fed[place]))


def _orders(problem: Problem) -> Iterator[tuple[str, ...]]:
    """Orders that differ in what is held: pixels of an image, and rows of one, step together."""
    if problem.op.kind is not Kind.CONV:
        for order in permutations("MNK"):
            yield ("B", *order)
        return
    blocks = (("B", "OH", "OW"), ("OC",), ("IC", "FH", "FW"))
    for some in permutations(blocks):
        yield ("G", *(r for block in some for r in block))


def _pick(found: list[Candidates], objective: str) -> tuple[Candidates, int, Key]:
    """The best candidate: its order, its place there, and what it was chosen by."""
    columns = {
        name: np.concatenate([getattr(c, name) for c in found])
        for name in ("time_s", "cycles", "moved", "tiles", "fed", "energy_pj")
    }
    columns["first"] = {
        "latency": columns["time_s"],
        "compute": columns["cycles"],
        "energy": columns["energy_pj"],
        "edp": columns["energy_pj"] * columns["time_s"],
        "traffic": columns["moved"],
    }[objective]
    place = _least(columns, objective)
    first, time_s, moved = (float(columns[n][place]) for n in ("first", "time_s", "moved"))
    for chosen in found:
        if place < len(chosen.time_s):
            break
        place -= len(chosen.time_s)
    return chosen, place, (first, time_s, moved)


def _least(columns: Mapping[str, Floats], objective: str) -> int:
    """Place of the best: the least by the objective, where the closed form tells them apart.

    Then whatever takes less time, keeps the array free, moves fewer bytes, has fewer tiles.
    """
    first, cycles, moved = columns["first"], columns["cycles"], columns["moved"]
    near = first > (NEAR if objective in ("latency", "edp") else 1.0) * first.min()
    late = columns["time_s"] > NEAR * columns["time_s"][~near].min()
    slow = cycles > NEAR * cycles[~near & ~late].min()
    heavy = moved > NEAR * moved[~near & ~late & ~slow].min()
    ties = (columns["time_s"], columns["fed"], columns["tiles"], heavy, slow, late, near)
    return int(np.lexsort(ties)[0])
