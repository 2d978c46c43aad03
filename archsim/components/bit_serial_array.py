"""An array of dot-product units that take weights a few bits at a time: cycles follow from bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from archsim.components._by_bits import Blocks, ByBits, ByBitsSpec, Ints
from archsim.core.spec import PositiveInt, problem
from archsim.energy.pe_arrays import DesignName, design
from archsim.ir.tensor import DType

if TYPE_CHECKING:
    from archsim.energy.table import EnergyTable


class BitSerialArray(ByBits):
    """Rows x columns of units that add up a dot product each, weights in bit-serial form.

    A unit takes `width` pairs of an activation and a weight every ceil(bits / bits_per_cycle)
    cycles, with the whole bits of a weight: what its group shares is applied once, at the end. Rows
    hold output channels, columns tokens, and partial sums stay: b products of m x n x k take

        b * ceil(n / rows) * ceil(m / cols) * ceil(k / width) * ceil(bits / bits_per_cycle)

    Units whose `bits_per_cycle` is a weight's width take one cycle, as a plain multiplier does.
    Source of the form: BitMoD (Chen et al., HPCA 2025), its simulator.
    """

    kind = "bit_serial_array"
    ACTIONS = (("pe", "bit_serial"), ("sram", "read"), ("sram", "write"))

    class Spec(ByBitsSpec):
        """Units, what each takes in a cycle, and the forms they can be arranged in."""

        kind: Literal["bit_serial_array"] = "bit_serial_array"

        also: tuple[tuple[PositiveInt, PositiveInt], ...] = ()
        """Further rows and columns that the same units can be arranged in. A tile takes the
        arrangement with the fewest cycles."""

        width: PositiveInt = 4
        """Pairs of an activation and a weight that a unit multiplies at once."""

        bits_per_cycle: int = Field(default=2, ge=1, le=32)
        """Bits of each weight that a unit takes in a cycle."""

        pe: DesignName | None = Field(default=None, examples=["opt4c-pe-column-n32-1000mhz"])
        """A synthesised column of cells that take weights digit by digit, of which its units are
        made: their area, and the fastest clock. Default: units of the energy table's area."""

        @model_validator(mode="after")
        def _same_units(self) -> Self:
            for rows, cols in self.also:
                if rows * cols != self.rows * self.cols:
                    raise problem(
                        "E202",
                        f"{rows} x {cols} are {rows * cols} units, "
                        f"{self.rows} x {self.cols} are {self.rows * self.cols}",
                        "an arrangement has as many units",
                    )
            return self

    spec: Spec

    def __init__(self, name: str, spec: Any, clock_hz: float) -> None:
        """An array; its cells must be as fast as its clock.

        Raises:
            InputError: for a design that is unknown, or too slow.
        """
        super().__init__(name, spec, clock_hz)
        self.pe = design(spec.pe, clock_hz, name, serial=True) if spec.pe else None

    @classmethod
    def example(cls) -> dict[str, Any]:
        """Eight by eight units of width 4."""
        return {"kind": cls.kind, "rows": 8, "cols": 8, "clock": "core"}

    @property
    def limits(self) -> dict[str, Any]:
        """Partial sums stay in the units, so that a tile has its whole reduction."""
        return {**super().limits, "whole_k": True}

    def steps(self, weight: DType) -> int:
        """Cycles that a unit spends on `width` pairs with weights of a form."""
        return -(-weight.bits // self.spec.bits_per_cycle)

    def peak(self, weight: DType) -> float:
        """Peak multiply-accumulates per second by weights of a form; 0 for one it refuses."""
        s = self.spec
        if not self.takes(weight):
            return 0.0
        return s.rows * s.cols * s.count * s.width * self.clock_hz / self.steps(weight)

    def work(self, size: Mapping[str, int], weight: DType) -> dict[str, int]:
        """MACs, and cycles of all units: idle ones are clocked."""
        s, (cycles, _) = self.spec, self.block_cycles(size, weight)
        return self.macs(size, weight) | {"pe.bit_serial": cycles * s.rows * s.cols * s.count}

    def blocks(self, size: Mapping[str, Ints], weight: DType) -> Blocks:
        """Cycles, and blocks along output channels and along tokens, in the best arrangement."""
        found: Blocks | None = None
        for sides in self._arrangements:
            cycles, high, wide = self._arranged(sides, size, weight)
            if found is None:
                found = cycles, high, wide
                continue
            better = cycles < found[0]
            found = (
                np.where(better, cycles, found[0]),
                np.where(better, high, found[1]),
                np.where(better, wide, found[2]),
            )
        assert found is not None
        return found

    def sides(self, size: Mapping[str, int], weight: DType) -> tuple[int, int]:
        """Rows and columns of the arrangement that a tile takes: the first of the fastest."""
        one = {rank: np.array([size[rank]], dtype=np.int64) for rank in "bmnk"}
        return min(self._arrangements, key=lambda s: int(self._arranged(s, one, weight)[0][0]))

    @property
    def _arrangements(self) -> tuple[tuple[int, int], ...]:
        return (self.spec.rows, self.spec.cols), *self.spec.also

    def _arranged(self, sides: tuple[int, int], size: Mapping[str, Ints], weight: DType) -> Blocks:
        """Cycles and blocks of outputs in one arrangement."""
        s, (rows, cols) = self.spec, sides
        high, wide = -(-size["n"] // rows), -(-size["m"] // cols)
        steps = -(-size["k"] // s.width) * self.steps(weight)
        return -(-(size["b"] * high * wide) // s.count) * steps, high, wide

    def area_mm2(self, table: EnergyTable) -> float:
        """Units only."""
        s = self.spec
        each = self.pe.area_at(table.node_nm) * s.width if self.pe else None
        return s.rows * s.cols * s.count * (each or table.area("pe", "bit_serial").mm2)

    def leakage_w(self, table: EnergyTable) -> float:
        """Static power of the units' area."""
        return self.area_mm2(table) * table.leakage("logic", "mm2").w
