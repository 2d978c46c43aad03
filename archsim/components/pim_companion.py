"""Arithmetic units near a memory: as many of each primitive as are built, side by side.

Here live their description, times and area. What they work on, and when, is not their business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction as Ratio
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from archsim.components._lanes import tile_cycles
from archsim.components.base import EngineSpec, VectorEngine
from archsim.core.errors import Unsupported
from archsim.core.spec import Bytes, PositiveInt, Seconds, Spec, problem
from archsim.ir.op import Kind, Op

if TYPE_CHECKING:
    from archsim.energy.table import EnergyTable

Ints = NDArray[np.int64]
Cycles = Annotated[float, Field(ge=0)]
Primitive = Literal["add", "mul", "max", "exp", "div", "rsqrt", "gather"]


class Routine(Spec):
    """How a class of ops is worked on, where that is known as a whole."""

    points: PositiveInt = 1
    """Points of a batch."""

    cycles: Cycles = 0
    """Cycles that a batch takes one companion, all its primitives together."""

    row_cycles: Cycles = 0
    """Cycles of every row besides."""

    row_time: Seconds = 0.0
    """Time of every row that passes elsewhere, as in banks, whatever the companion's clock."""

    passes: Cycles = 0
    """Times that a point crosses the port, before and behind what is computed of it."""


class PimCompanion(VectorEngine):
    """Softmax, norm, activation and reduction units beside a memory that computes.

    Units of each primitive work side by side, so a point takes the time of its busiest ones; a
    primitive without units of its own is a series of others. Cycles of a tile =
    ceil(points x cycles of a point + rows x cycles of a row).
    """

    kind = "pim_companion"
    KINDS = frozenset({Kind.VECTOR, Kind.GATHER, Kind.MOVE})
    ACTIONS = (("vector", "*"), ("sram", "read"), ("sram", "write"))
    KNOBS: ClassVar = {"busy": {"count": 2}}

    class Spec(EngineSpec):
        """Units by primitive, and how those without units are computed."""

        kind: Literal["pim_companion"] = "pim_companion"

        units: dict[Primitive, PositiveInt] = Field(min_length=1)
        """Units of each primitive in one companion."""

        series: dict[Primitive, dict[Primitive, PositiveInt]] = {}
        """Primitives computed from others: how many of each, such as an exponential as a series of
        multiplications and additions. A primitive with neither units nor a series cannot run."""

        cycles_per_primitive: dict[Primitive, PositiveInt] = {}
        """Cycles a unit spends on a primitive; 1 where it is not listed."""

        count: PositiveInt = 1
        """Alike companions, as one a stack; the points of a tile are dealt to them."""

        buffer: Bytes | None = None
        """Bytes of buffers of one companion, for their area. Default: none."""

        latency_cycles: int = Field(default=8, ge=0)
        """Depth of the pipeline: delays a result, not the units."""

        port: PositiveInt | None = None
        """Points that cross a companion's port to the memory in a cycle, for routines that pass it.
        Default: as many as there are."""

        routines: dict[str, Routine] = {}
        """Classes of ops whose cycles are stated, in place of those of their primitives."""

        @model_validator(mode="after")
        def _of_units(self) -> Self:
            for name, parts in self.series.items():
                missing = sorted(set(parts) - set(self.units))
                if missing:
                    raise problem(
                        "E202",
                        f"the series of {name} has {missing[0]}, which has no units",
                        f"units: {{{missing[0]}: 16}}",
                    )
                if name in self.units:
                    raise problem("E202", f"{name} has units and a series", "give one of the two")
            passing = next((name for name, r in self.routines.items() if r.passes), None)
            if passing is not None and self.port is None:
                raise problem("E202", f"{passing} passes a port, and there is none", "port: 16")
            return self

    spec: Spec

    @classmethod
    def example(cls) -> dict[str, Any]:
        """Sixteen units of each primitive of a softmax."""
        units = {"add": 16, "mul": 16, "max": 16, "exp": 16, "div": 1}
        return {"kind": cls.kind, "units": units, "buffer": "128 KiB", "clock": "core"}

    @property
    def lag_cycles(self) -> int:
        """Depth of the pipeline."""
        return self.spec.latency_cycles

    def can_run(self, op: Op) -> bool:
        """True for the kinds it runs, where each primitive has units or a series, or a routine."""
        has: Iterable[str] = {*self.spec.units, *self.spec.series}
        known = op.op_class in self.spec.routines
        return super().can_run(op) and (known or {*op.primitives, *op.row_primitives} <= set(has))

    def lane_cycles(self, op: Op) -> tuple[Ratio, Ratio]:
        """Cycles of one companion per point and per row of an op."""
        known = self.spec.routines.get(op.op_class)
        if known is not None:
            point, row = _steps(known, self.spec.port or 1)
            return point, row + Ratio(round(known.row_time * self.clock_hz)) * self.spec.count
        return self._busiest(op.primitives), self._busiest(op.row_primitives)

    def _busiest(self, counts: Mapping[str, int]) -> Ratio:
        """Cycles of the primitive whose units take longest."""
        steps: dict[str, int] = {}
        for name, n in counts.items():
            parts: Mapping[Any, int] = self.spec.series.get(name, {name: 1})  # type: ignore[call-overload]
            for part, times in parts.items():
                steps[part] = steps.get(part, 0) + n * times
        return max((Ratio(n) / self._rate(part) for part, n in steps.items()), default=Ratio(0))

    def _rate(self, primitive: Any) -> Ratio:
        """Of one primitive in one companion, a cycle.

        Raises:
            Unsupported: E302 where it has no units.
        """
        s = self.spec
        if primitive not in s.units:
            raise Unsupported(
                f"{self.name} has neither units nor a series for {primitive}",
                code="E302",
                help=f"engines.{self.name}.units: {{{primitive}: 16}}",
            )
        return Ratio(s.units[primitive], s.cycles_per_primitive.get(primitive, 1))

    def cycles(self, point: Ratio, row: Ratio, points: Ints, rows: Ints) -> Ints:
        """Cycles of tiles of so many points and rows; one array element a tile."""
        return tile_cycles(self.spec.count, point, row, points, rows)

    def area_mm2(self, table: EnergyTable) -> float:
        """Units by primitive, and buffers."""
        s = self.spec
        units = sum(n * table.area("vector", name).mm2 for name, n in s.units.items())
        return s.count * (units + (s.buffer or 0) * table.area("dram.pim", "byte").mm2)

    def leakage_w(self, table: EnergyTable) -> float:
        """Static power of their area."""
        return self.area_mm2(table) * table.leakage("logic", "mm2").w


def _steps(routine: Routine, port: int) -> tuple[Ratio, Ratio]:
    """Cycles of a point, passes included, and of a row."""
    computed = Ratio(routine.cycles).limit_denominator(1000) / routine.points
    passed = Ratio(routine.passes).limit_denominator(1000) / port
    return computed + passed, Ratio(routine.row_cycles).limit_denominator(1000)
