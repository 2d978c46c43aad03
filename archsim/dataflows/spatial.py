"""Spatial: any two ranks unrolled over rows and columns, those that leave the fewest cycles."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from math import ceil, prod
from typing import TYPE_CHECKING

from archsim.dataflows._nest_base import NestDataflow, stationary
from archsim.dataflows._nest_parts import Inner
from archsim.ir.nest_ranks import largest_extents
from archsim.ir.problem import Problem

if TYPE_CHECKING:
    from archsim.ir.nest_check import NestTarget

PAIRS = 3  # that are tried to the end: those with the fewest cycles


class Spatial(NestDataflow):
    """Spatial: the best two ranks along rows and columns, with any operand held in the registers.

    Cycles of a pair in closed form: the extents' product, with ceil(extent / cells) for the two.
    """

    kind = "spatial"

    def inner(self, problem: Problem, target: NestTarget) -> Iterator[Inner]:
        """The best pairs, each with every operand in turn held longest."""
        e = largest_extents(problem.op)
        cells = target.axes["rows"], target.axes["cols"]
        pairs: list[tuple[float, tuple[str, ...]]] = []
        for pair in permutations(e, 2):
            passes = prod(ceil(e[r] / n) / e[r] for r, n in zip(pair, cells, strict=True))
            pairs.append((passes, pair))
        pairs.sort(key=lambda p: p[0])
        for _, (row, col) in pairs[:PAIRS]:
            for operand in ("weight", "out", "in"):
                yield from stationary(problem, target, operand, [row], [col])
