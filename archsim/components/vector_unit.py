"""A vector unit: lanes that apply arithmetic primitives to a stream of points."""

from __future__ import annotations

from fractions import Fraction as Ratio
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from archsim.components._lanes import lane_cycles, tile_cycles
from archsim.components.base import EngineSpec, VectorEngine
from archsim.core.spec import PositiveInt
from archsim.ir.op import Kind, Op

if TYPE_CHECKING:
    from archsim.energy.table import EnergyTable

Ints = NDArray[np.int64]


class VectorUnit(VectorEngine):
    """Alike vector units; every primitive has its own rate per lane.

    Cycles of a tile = ceil(sum over primitives of count / rate, divided by all lanes).
    """

    kind = "vector_unit"
    KINDS = frozenset({Kind.VECTOR, Kind.GATHER, Kind.MOVE})
    ACTIONS = (("vector", "*"), ("sram", "read"), ("sram", "write"))
    KNOBS: ClassVar = {"busy": {"lanes": 2}}

    class Spec(EngineSpec):
        """Lanes, instances and the rate of each primitive."""

        kind: Literal["vector_unit"] = "vector_unit"

        lanes: PositiveInt
        """Lanes of one unit."""

        count: PositiveInt = 1
        """Alike units; the points of a tile are dealt to them."""

        cycles_per_primitive: dict[
            Literal["add", "mul", "max", "exp", "div", "rsqrt", "gather"], PositiveInt
        ] = {}
        """Cycles a lane spends on a primitive; 1 where it is not listed."""

        latency_cycles: int = Field(default=8, ge=0)
        """Depth of the pipeline: delays a result, not the unit."""

    spec: Spec

    @classmethod
    def example(cls) -> dict[str, Any]:
        """Sixteen lanes."""
        return {"kind": cls.kind, "lanes": 16, "clock": "core"}

    @property
    def lag_cycles(self) -> int:
        """Depth of the pipeline."""
        return self.spec.latency_cycles

    def lane_cycles(self, op: Op) -> tuple[Ratio, Ratio]:
        """Lane-cycles per point and per row of an op."""
        return lane_cycles(self.spec.cycles_per_primitive, op)

    def cycles(self, point: Ratio, row: Ratio, points: Ints, rows: Ints) -> Ints:
        """Cycles of tiles of so many points and rows; one array element a tile."""
        return tile_cycles(self.spec.lanes * self.spec.count, point, row, points, rows)

    def area_mm2(self, table: EnergyTable) -> float:
        """Lanes only."""
        return self.spec.lanes * self.spec.count * table.area("vector", "lane").mm2

    def leakage_w(self, table: EnergyTable) -> float:
        """Static power of the lanes' area."""
        return self.area_mm2(table) * table.leakage("logic", "mm2").w
