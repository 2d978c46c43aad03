"""What a part takes on a systolic array: its folds, for a peak rate knows no fill of the array."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from archsim.components.systolic_array import SystolicArray
from archsim.core.units import PS_PER_S
from archsim.ir.graph import OpGraph
from archsim.ir.op import Op
from archsim.ir.problem import problem
from archsim.ir.target import Tiles
from archsim.system.dispatch_work import PARTIAL_BITS

STATIONARY = ("weight", "output", "input")


def folds_ps(graph: OpGraph, array: SystolicArray, products: Sequence[Op]) -> int:
    """Picoseconds of products that follow each other, each with what stays put for the best."""
    cycles = 0
    for op in products:
        view = problem(op, graph.tensors, PARTIAL_BITS)
        b, m, n, k = (np.array([e.of(rank) for e in view.cases]) for rank in "bmnk")
        one = np.ones(len(b), dtype=np.bool_)
        cycles += min(
            int(array.cost_of(Tiles(what, b, m, n, k, ~one, ~one, one, one), view.weight)
                .cycles.sum())
            for what in STATIONARY
        )  # fmt: skip
    return round(cycles * PS_PER_S / array.clock_hz)
