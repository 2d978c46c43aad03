"""What a template for spatial arrays promises: its nests compute the op and move what they say."""

from __future__ import annotations

from typing import Any, ClassVar

from archsim.core.errors import Unmappable
from archsim.dataflows._nest_cost import FitTarget
from archsim.dataflows.base import Dataflow
from archsim.ir.problem import problem
from archsim.testing.functional_nest import claimed, execute_nest
from archsim.testing.problems import conv, gemm


class NestContract:
    """A battery for one template, on plain, ragged-edged, windowed and depthwise ops."""

    plugin: ClassVar[type[Dataflow]]
    CASES: ClassVar[tuple[Any, ...]] = (
        gemm(1, 12, 9, 10),
        gemm(2, 5, 7, 11),
        conv(1, 1, 5, 3, (7, 6), 3, (2, 1, 1)),
        conv(1, 4, 1, 1, (6, 5), 3, (1, 1, 1)),
        conv(2, 1, 6, 5, (3, 4), 1, (1, 1, 0)),
    )
    ARRAYS: ClassVar[tuple[tuple[int, Any, int], ...]] = (
        (10**6, 64, 1),
        (400, {"in": 4, "weight": 6, "out": 16}, 2),
    )

    def target(self, buffer_bytes: int, registers: Any, count: int) -> FitTarget:
        """A 4 x 4 array, or several."""
        axes = {"rows": 4, "cols": 4, "count": count}
        return FitTarget("array", axes, buffer_bytes, registers)

    def test_its_nests_compute_the_op_and_move_what_they_say(self) -> None:
        """The same object that is timed is executed, element by element; every count agrees."""
        for op, tensors in self.CASES:
            view = problem(op, tensors, 32)
            for buffer_bytes, registers, count in self.ARRAYS:
                target = self.target(buffer_bytes, registers, count)
                refused = ""
                try:
                    nest = self.plugin().search_nest(view, target).mapping
                except Unmappable as error:
                    refused = error.code
                if refused:  # too little room, or an op that it says it is not for
                    assert buffer_bytes < 10**6 or refused == "E302"
                    continue
                nest.check(target)
                assert execute_nest(nest, target) == claimed(nest)

    def test_its_nests_say_how_many_were_weighed_and_never_use_more_than_the_array(self) -> None:
        """No more elements at work than there are."""
        op, tensors = self.CASES[1]
        fit = self.plugin().search_nest(problem(op, tensors, 32), self.target(10**6, 64, 1))
        assert fit.candidates >= 1
        case = fit.mapping.cases[0]
        assert fit.mapping.macs(case) <= 16 * fit.mapping.steps(case)

    def test_its_nest_prints(self) -> None:
        """`archsim map` shows it."""
        op, tensors = self.CASES[0]
        fit = self.plugin().search_nest(problem(op, tensors, 32), self.target(10**6, 64, 1))
        assert self.plugin.kind in fit.mapping.render()
