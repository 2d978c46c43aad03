"""What a dataflow is: a pure function from a problem and a target to a mapping."""

from __future__ import annotations

from typing import ClassVar

from archsim.core.registry import Registry
from archsim.dataflows._search import choose
from archsim.ir.mapping import Loop, Mapping
from archsim.ir.problem import Problem
from archsim.ir.target import Target


class Dataflow:
    """A mapping template for MAC ops; a subclass names the operand that stays in the array.

    `row_rank` and `col_rank` lie along the array's rows and columns, the remaining one streams.
    """

    kind: ClassVar[str]
    stages: ClassVar[str] = "product"  # what one mapping covers: a product | a whole attention
    stationary: ClassVar[str]
    row_rank: ClassVar[str]
    col_rank: ClassVar[str]

    def map(self, problem: Problem, target: Target) -> Mapping:
        """The best mapping of this template.

        Raises:
            Unmappable: when no tile fits the buffer.
        """
        return self.search(problem, target)[1]

    def search(self, problem: Problem, target: Target) -> tuple[tuple[float, ...], Mapping]:
        """The best mapping and what it was chosen by: less is better, templates compare.

        Raises:
            Unmappable: when no tile fits the buffer.
        """
        key, mapping = choose(self, problem, target)
        mapping.check(target)
        return key, mapping

    def spatial(self, tile: dict[str, int], target: Target) -> tuple[Loop, ...]:
        """The loops inside the array, for one tile."""
        (stream,) = set("mnk") - {self.row_rank, self.col_rank}
        rows, cols = tile[self.row_rank], tile[self.col_rank]
        return (
            Loop(self.row_rank, rows, min(rows, target.rows), True, "rows"),
            Loop(self.col_rank, cols, min(cols, target.cols), True, "cols"),
            Loop(stream, tile[stream], tile[stream], False, "stream"),
        )


dataflows: Registry[Dataflow] = Registry("archsim.dataflows", Dataflow)
