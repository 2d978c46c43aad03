"""What a dataflow is: a pure function from a problem and a target to a mapping."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Mapping as Mapping_
from typing import TYPE_CHECKING, ClassVar

from archsim.core.errors import Unmappable
from archsim.core.registry import Registry
from archsim.dataflows._search import choose, choose_each
from archsim.ir.mapping import Loop, Mapping
from archsim.ir.problem import Problem
from archsim.ir.target import Target

if TYPE_CHECKING:
    from archsim.dataflows._nest_fit import Fit
    from archsim.ir.nest_check import NestTarget

Key = tuple[float, ...]


class Dataflow:
    """A mapping template for MAC ops; a subclass names the operand that stays in the array.

    `row_rank` and `col_rank` lie along the array's rows and columns, the remaining one streams.
    """

    kind: ClassVar[str]
    # what one mapping covers: a product | a whole attention | a product on a spatial array only
    # | a depthwise convolution with filters of one dimension
    stages: ClassVar[str] = "product"  # product | attention | cascade | nest | line | linear
    stationary: ClassVar[str]
    row_rank: ClassVar[str]
    col_rank: ClassVar[str]

    @classmethod
    def arrays(cls) -> str:
        """Kinds of array that this template is for, for people."""
        if cls.stages in ("nest", "cascade", "linear"):
            return "spatial_array"
        nests = cls.search_nest is not Dataflow.search_nest
        return "systolic_array" + (", spatial_array" if nests else "")

    def map(self, problem: Problem, target: Target) -> Mapping:
        """The best mapping of this template.

        Raises:
            Unmappable: when no tile fits the buffer.
        """
        return self.search(problem, target)[1]

    def search(self, problem: Problem, target: Target) -> tuple[Key, Mapping]:
        """The best mapping and what it was chosen by: less is better, templates compare.

        Raises:
            Unmappable: when no tile fits the buffer.
        """
        key, mapping = choose(self, problem, target)
        mapping.check(target)
        return key, mapping

    def search_nest(self, problem: Problem, target: NestTarget) -> Fit:
        """The best nest of this template on a spatial array.

        Raises:
            Unmappable: for a template that is not for those.
        """
        raise Unmappable(
            f"{problem.op.name}: {self.kind} is no dataflow of a spatial_array, and "
            f"{target.engine} is one",
            code="E302",
            help="row_stationary, channel_parallel, spatial, or weight_stationary, "
            "output_stationary, input_stationary",
        )

    def uncut(self, problem: Problem) -> Mapping_[str, int]:
        """What no tile cuts, by rank: its extents are multiples of it; without those cut anywhere.

        It divides the extent of its rank.
        """
        return {}

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


def searched(
    flows: Sequence[Dataflow], problem: Problem, target: Target
) -> dict[str, tuple[Key, Callable[[], Mapping]]]:
    """What `search` finds, by template: of those that search plainly, all at once.

    Others are left out, and so are those that need tiles below the array's size. Mappings are made,
    unchecked, when they are asked for.
    """
    plain = [flow for flow in flows if type(flow).search is Dataflow.search]
    found = zip(plain, choose_each(plain, problem, target), strict=True) if plain else ()
    return {flow.kind: one for flow, one in found if one is not None}


def covers_attention(kind: str | None) -> bool:
    """True for a template whose mapping covers a whole attention: scores, softmax and values."""
    return kind in dataflows and dataflows.get(str(kind)).stages in ("attention", "cascade")
