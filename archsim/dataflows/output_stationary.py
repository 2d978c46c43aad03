"""Output-stationary: partial sums stay in the array until they are complete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archsim.dataflows._nest_base import stationary_fit
from archsim.dataflows.base import Dataflow

if TYPE_CHECKING:
    from archsim.dataflows._nest_fit import Fit
    from archsim.ir.nest_check import NestTarget
    from archsim.ir.problem import Problem


class OutputStationary(Dataflow):
    """Partial sums stay in the array until their whole reduction has streamed past."""

    kind = "output_stationary"
    stationary = "output"
    row_rank = "m"
    col_rank = "n"

    def search_nest(self, problem: Problem, target: NestTarget) -> Fit:
        """The best nest on a spatial array: one element of the operand in each of its elements.

        Raises:
            Unmappable: when no tile fits the buffer, or none the registers.
        """
        return stationary_fit(problem, target, "out", ("OW", "OH"), ("OC", "G"), self.kind)
