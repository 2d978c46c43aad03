"""Row-broadcast: each row of the array works on a one-dimensional convolution of its own."""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from dataclasses import replace

from archsim.core.errors import Unmappable
from archsim.dataflows.base import Dataflow, Key
from archsim.ir.line import LINE, Line, line_of
from archsim.ir.mapping import Loop, Mapping
from archsim.ir.problem import Problem
from archsim.ir.target import Target


class RowBroadcast(Dataflow):
    """A line of a depthwise 1-D convolution a row of cells; a link brings each row its weights.

    Outputs stay in their cells while inputs pass along the row and the row's link brings the
    filter, one weight a cycle. Source: Selvam et al., FuSeConv (DATE 2021), section IV-C.
    """

    kind = "row_broadcast"
    stages = "line"
    stationary = LINE
    row_rank = "m"
    col_rank = "n"

    def search(self, problem: Problem, target: Target) -> tuple[Key, Mapping]:
        """The best mapping and what it was chosen by.

        Raises:
            Unmappable: for anything but a depthwise convolution with one-dimensional filters, and
                when no tile fits the buffer.
        """
        line = _line(problem)
        key, mapping = super().search(problem, target)
        mapping = replace(mapping, spatial=_spatial(line, mapping.tile, target))
        mapping.check(target)
        return key, mapping

    def uncut(self, problem: Problem) -> MappingType[str, int]:
        """No tile cuts a line, or the filter."""
        return {"m": _line(problem).unit, "k": problem.largest.k}


def _line(problem: Problem) -> Line:
    line = line_of(problem.op)
    if line is None:
        raise Unmappable(
            f"{problem.op.name}: row_broadcast maps depthwise convolutions with filters of one "
            f"dimension, and this is none",
            code="E302",
            help="a workload's `transform: {kind: fuseconv, variant: half}` makes some",
        )
    return line


def _spatial(line: Line, tile: dict[str, int], target: Target) -> tuple[Loop, ...]:
    """The loops inside the array, for one tile."""
    lines = tile["b"] * tile["m"] // line.outputs
    return (
        Loop("line", lines, min(lines, target.rows), True, "rows"),
        Loop("position", line.positions, min(line.positions, target.cols), True, "cols"),
        Loop("tap", tile["k"], tile["k"], False, "stream"),
    )
