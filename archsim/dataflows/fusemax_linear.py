"""Linear layers beside FuseMax: weights stay in the buffer while tokens pass, tile by tile.

Source: FuseMax's artifact (FPSG-UIUC/micro24-fusemax-artifact) maps its linear layers so: a tile of
tokens by a tile of outputs on the elements, the reduction innermost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from archsim.core.errors import Unmappable
from archsim.dataflows.base import Dataflow
from archsim.ir.op import Kind
from archsim.ir.problem import Extents, Problem

if TYPE_CHECKING:
    from archsim.ir.mapping import Mapping
    from archsim.ir.target import Target


class FuseMaxLinear(Dataflow):
    """Products whose weights stay on chip; where they do not fit, as many rows of the input do.

    Weights fit where they do beside one tile of rows. Otherwise the rows that stay are the largest
    power of two that fits beside one tile of columns, and all weights pass once for each of them.
    """

    kind = "fusemax_linear"
    stages: ClassVar[str] = "linear"

    def search(self, problem: Problem, target: Target) -> tuple[tuple[float, ...], Mapping]:
        """Refuses an array that is no spatial one.

        Raises:
            Unmappable: always.
        """
        raise Unmappable(
            f"{problem.op.name}: {self.kind} is a dataflow of a spatial_array, and "
            f"{target.engine} is none",
            code="E302",
            help="weight_stationary, output_stationary or input_stationary",
        )

    def rows_kept(self, view: Problem, e: Extents, tile: tuple[int, int], room_bytes: int) -> int:
        """Rows of the input that stay on chip; 0 where all weights do.

        Raises:
            Unmappable: for anything but a matrix product, and where no rows fit.
        """
        if view.op.kind is not Kind.GEMM:
            raise Unmappable(f"{view.op.name}: {self.kind} maps matrix products", code="E302")
        high, wide = tile
        row, column = e.k * view.bits["in"] / 8, e.k * view.weight_bits / 8
        if e.n * column + high * row <= room_bytes:
            return 0
        rows = 1
        while 2 * rows * row + wide * column <= room_bytes:
            rows *= 2
        if rows * row + wide * column > room_bytes:
            raise Unmappable(
                f"{view.op.name}: a row of {e.k} inputs and {wide} columns of weights do not fit "
                f"the {room_bytes} B that are free on chip",
                code="E401",
                help="a larger on-chip memory",
            )
        return rows
