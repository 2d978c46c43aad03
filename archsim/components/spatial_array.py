"""A spatial array: processing elements with registers of their own, any two ranks unrolled on them.

Here live its description, peak rates and area. What a loop nest costs on it is counted from the
nest: the cells have no skew, so a step of every cell takes one cycle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Tag

from archsim.components.base import EngineSpec, MacEngine
from archsim.core.spec import Bytes, PositiveInt
from archsim.ir.op import Kind

if TYPE_CHECKING:
    from archsim.energy.table import EnergyTable

OPERANDS = ("in", "weight", "out")

Registers = Annotated[
    Annotated[dict[Literal["in", "weight", "out"], Bytes], Tag("by operand")]
    | Annotated[Bytes, Tag("one file")],
    Discriminator(lambda value: "by operand" if isinstance(value, dict) else "one file"),
]
"""Bytes by operand, or of one file for all operands."""


class SpatialArray(MacEngine):
    """Processing elements in rows and columns, each with registers, fed over a network.

    A nest that gives every element `s` steps takes ceil(s / rate) cycles: values reach the
    elements while they work on those before, and there is no skew to fill or drain.
    Source of the organisation: Chen et al., Eyeriss (ISCA 2016).
    """

    kind = "spatial_array"
    KINDS = frozenset({Kind.GEMM, Kind.CONV})
    ACTIONS = (
        ("mac", "*"),
        ("register", "read"),
        ("register", "write"),
        ("network", "transfer"),
        ("sram", "read"),
        ("sram", "write"),
    )
    KNOBS: ClassVar = {"busy": {"count": 2}}

    class Spec(EngineSpec):
        """Elements, their registers and rates, and how values reach them."""

        kind: Literal["spatial_array"] = "spatial_array"

        rows: PositiveInt
        """Rows of processing elements of one array."""

        cols: PositiveInt
        """Columns of processing elements of one array."""

        count: PositiveInt = 1
        """Alike arrays; the parts of a nest are dealt to them."""

        rates: dict[str, PositiveInt] = {"bf16": 1, "fp16": 1, "int8": 1}
        """MACs an element performs per cycle, by dtype; a dtype not listed cannot run."""

        registers: Registers
        """Register bytes of an element that hold tiles of operands: one file for all of them, or
        one by operand, where an operand that is not listed has none."""

        cycles_per_primitive: dict[
            Literal["add", "mul", "max", "exp", "div", "rsqrt", "gather"], PositiveInt
        ] = {}
        """Cycles an element spends on arithmetic beside MACs; empty: it only multiplies and
        accumulates."""

        multicast: bool = True
        """Whether one read of the buffer feeds every element that needs the value; else each has
        a read of its own."""

    spec: Spec

    @classmethod
    def example(cls) -> dict[str, Any]:
        """An 8 x 8 array of elements with 256 bytes each."""
        return {"kind": cls.kind, "rows": 8, "cols": 8, "registers": "256 B", "clock": "core"}

    @property
    def grid(self) -> tuple[int, int, int]:
        """Rows, columns and arrays."""
        return self.spec.rows, self.spec.cols, self.spec.count

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Those that have a rate."""
        return tuple(self.spec.rates)

    @property
    def register_bytes(self) -> int | dict[str, int]:
        """Register bytes of an element: of all operands together, or by operand."""
        given = self.spec.registers
        return given if isinstance(given, int) else {o: given.get(o, 0) for o in OPERANDS}  # type: ignore[call-overload]

    def macs_per_s(self, dtype: str) -> float:
        """Peak multiply-accumulates per second at a dtype; 0 when it has no rate."""
        s = self.spec
        return s.rows * s.cols * s.count * s.rates.get(dtype, 0) * self.clock_hz

    def area_mm2(self, table: EnergyTable) -> float:
        """Multiply-accumulate cells and registers; the network lies within the cells' figure."""
        s = self.spec
        held = self.register_bytes
        size = held if isinstance(held, int) else sum(held.values())
        one = table.area("mac", "cell").mm2 + size * table.area("register", "byte").mm2
        return s.rows * s.cols * s.count * one

    def leakage_w(self, table: EnergyTable) -> float:
        """Static power of the elements' area."""
        return self.area_mm2(table) * table.leakage("logic", "mm2").w
