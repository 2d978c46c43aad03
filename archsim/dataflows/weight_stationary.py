"""Weight-stationary: filter tiles stay in the array, inputs stream past."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archsim.dataflows._nest_base import stationary_fit
from archsim.dataflows.base import Dataflow

if TYPE_CHECKING:
    from archsim.dataflows._nest_fit import Fit
    from archsim.ir.nest_check import NestTarget
    from archsim.ir.problem import Problem


class WeightStationary(Dataflow):
    """Filter tiles stay in the array, inputs stream past, partial sums leave each fold."""

    kind = "weight_stationary"
    stationary = "weight"
    row_rank = "k"
    col_rank = "n"

    def search_nest(self, problem: Problem, target: NestTarget) -> Fit:
        """The best nest on a spatial array: one element of the operand in each of its elements.

        Raises:
            Unmappable: when no tile fits the buffer, or none the registers.
        """
        return stationary_fit(problem, target, "weight", ("IC", "FH", "FW"), ("OC", "G"), self.kind)
