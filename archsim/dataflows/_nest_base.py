"""What a template for spatial arrays is: it proposes levels inside the array, a fit does the rest.

Here live the base class and the levels of plain stationary dataflows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

from archsim.core.errors import Unmappable
from archsim.dataflows._nest_fit import Fit, best
from archsim.dataflows._nest_parts import Inner, kept, names, nest, unroll
from archsim.dataflows.base import Dataflow, Key
from archsim.ir.mapping import Mapping
from archsim.ir.nest_ranks import REDUCED, RELEVANT, largest_extents
from archsim.ir.problem import Problem
from archsim.ir.target import Target

if TYPE_CHECKING:
    from archsim.ir.nest_check import NestTarget


class NestDataflow(Dataflow):
    """A template for spatial arrays only: it says what lies on the elements and in which order."""

    stages: ClassVar[str] = "nest"

    def search(self, problem: Problem, target: Target) -> tuple[Key, Mapping]:
        """Refuses: an array without registers of its own has no such levels.

        Raises:
            Unmappable: always.
        """
        raise Unmappable(
            f"{problem.op.name}: {self.kind} is a dataflow of a spatial_array, and "
            f"{target.engine} is none",
            code="E302",
            help="weight_stationary, output_stationary or input_stationary",
        )

    def search_nest(self, problem: Problem, target: NestTarget) -> Fit:
        """The best nest of this template.

        Raises:
            Unmappable: when no tile fits the buffer, or nothing the registers.
        """
        self.check(problem, target)
        return best(self.inner(problem, target), problem, target, self.kind)

    def inner(self, problem: Problem, target: NestTarget) -> Iterator[Inner]:
        """The levels inside the array that are worth trying."""
        raise NotImplementedError

    def check(self, problem: Problem, target: NestTarget) -> None:
        """Refuse an array that this dataflow cannot run on.

        Raises:
            Unmappable: with the reason.
        """


def stationary(
    problem: Problem,
    target: NestTarget,
    operand: str,
    along_rows: Sequence[str],
    along_cols: Sequence[str],
) -> Iterator[Inner]:
    """Levels in which an operand stays in the registers while everything else passes.

    Args:
        problem: the op.
        target: the array.
        operand: that stays: in | weight | out.
        along_rows: ranks unrolled over the rows, the first one as far as it goes.
        along_cols: the same of the columns.
    """
    e = largest_extents(problem.op)
    keeps = kept(problem, target, {}, operand)
    if operand not in keeps:
        return
    spatial = unroll(e, along_rows, "rows", target.axes["rows"])
    spatial += unroll(e, along_cols, "cols", target.axes["cols"])
    stays, summed = RELEVANT[problem.op.kind][operand], REDUCED[problem.op.kind]
    outer = [r for r in e if r in stays and r not in summed]
    outer += [r for r in e if r in stays and r in summed]
    inner = [r for r in e if r not in stays]
    yield nest(problem, (*outer, *inner), spatial, {}, keeps, target)


def stationary_fit(
    problem: Problem,
    target: NestTarget,
    operand: str,
    along_rows: Sequence[str],
    along_cols: Sequence[str],
    dataflow: str,
) -> Fit:
    """The best nest in which an operand stays; ranks are those of a convolution.

    Raises:
        Unmappable: when no tile fits the buffer, or none the registers.
    """
    rows, cols = names(problem, *along_rows), names(problem, *along_cols)
    levels = stationary(problem, target, operand, rows, cols)
    return best(levels, problem, target, dataflow)
