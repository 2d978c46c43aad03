"""An array that looks products up: tables of sums of activations, chosen by bits of weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from archsim.components._by_bits import Blocks, ByBits, ByBitsSpec, Ints
from archsim.core.spec import PositiveInt
from archsim.ir.tensor import DType

if TYPE_CHECKING:
    from archsim.energy.table import EnergyTable


class LutArray(ByBits):
    """Rows x columns of lookups into tables of partial sums, one bit of `group` weights at a time.

    A column holds a token's table for `group` activations: their sums under every pattern of signs,
    of which half are kept, as the others are their negatives. A row picks, for its output channel
    and one bit of each of the weights, one entry and adds it. While one table is in use the next is
    built, so that b products of m x n x k take

        b * ceil(n / rows) * ceil(m / cols) * ceil(k / group)
          * max(bits, ceil(2^(group-1) / adders))

    Sources: T-MAC (Wei et al., EuroSys 2025) for bit planes and tables, LUT Tensor Core (Mo et al.,
    ISCA 2025) for halved tables and arrays that are long in output channels.
    """

    kind = "lut_array"
    ACTIONS = (("lut", "lookup"), ("lut", "build"), ("sram", "read"), ("sram", "write"))

    class Spec(ByBitsSpec):
        """Lookups, and how large tables are and how fast they are built."""

        kind: Literal["lut_array"] = "lut_array"

        group: int = Field(default=4, ge=1, le=8)
        """Weights that one lookup covers, a bit of each."""

        adders: PositiveInt = 8
        """Entries of its next table that a column builds in a cycle."""

    spec: Spec

    @classmethod
    def example(cls) -> dict[str, Any]:
        """Sixteen output channels of two tokens."""
        return {"kind": cls.kind, "rows": 16, "cols": 2, "clock": "core"}

    @property
    def entries(self) -> int:
        """Entries of a table, of which one sign is kept."""
        return 1 << (self.spec.group - 1)

    def steps(self, weight: DType) -> int:
        """Cycles that a table is in use: its lookups, or as long as the next takes to build."""
        return max(weight.bits, -(-self.entries // self.spec.adders))

    def peak(self, weight: DType) -> float:
        """Peak multiply-accumulates per second by weights of a form; 0 for one it refuses."""
        s = self.spec
        if not self.takes(weight):
            return 0.0
        return s.rows * s.cols * s.count * s.group * self.clock_hz / self.steps(weight)

    def work(self, size: Mapping[str, int], weight: DType) -> dict[str, int]:
        """MACs, lookups of those, and entries of tables, built anew for a block of channels."""
        tables = size["b"] * size["m"] * -(-size["k"] // self.spec.group)
        _, high = self.block_cycles(size, weight)
        return self.macs(size, weight) | {
            "lut.lookup": tables * size["n"] * weight.bits,
            "lut.build": tables * high * self.entries,
        }

    def blocks(self, size: Mapping[str, Ints], weight: DType) -> Blocks:
        """Cycles, and blocks along output channels and along tokens."""
        s = self.spec
        high, wide = -(-size["n"] // s.rows), -(-size["m"] // s.cols)
        reduction = -(-size["k"] // s.group) * self.steps(weight)
        cycles = -(-(size["b"] * high * wide) // s.count) * reduction
        return np.asarray(cycles), np.asarray(high), np.asarray(wide)

    def area_mm2(self, table: EnergyTable) -> float:
        """Lookups with their accumulators, and the tables with their adders."""
        s = self.spec
        tables = s.cols * s.count * (2 * self.entries + s.adders)  # two tables, one of them filled
        return (
            s.rows * s.cols * s.count * table.area("lut", "lookup").mm2
            + tables * table.area("lut", "entry").mm2
        )

    def leakage_w(self, table: EnergyTable) -> float:
        """Static power of its area."""
        return self.area_mm2(table) * table.leakage("logic", "mm2").w
