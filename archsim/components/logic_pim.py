"""Arithmetic on the logic die of a memory stack, fed by bundles of banks over vias of its own."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from archsim.components._pim import PimEngine, PimSpec
from archsim.core.spec import PositiveInt
from archsim.memory.pim.lane_rules import Sharing

if TYPE_CHECKING:
    from archsim.energy.table import EnergyTable

ROUNDING = 0.01
"""Share by which the ticks of a standard may miss its rate."""


class LogicPim(PimEngine):
    """MAC modules on the logic die, which read the banks of a bundle at once over added vias.

    Source of the organisation: Yun et al., Duplex (MICRO 2024).
    """

    kind = "logic_pim"
    KNOBS: ClassVar = {"busy": {"macs_per_stack": 2}}
    WHERE = "logic"
    UNITS = frozenset({"bundle"})
    MEMORY: ClassVar = {"kind": "dram", "standard": "HBM3_5.2Gbps"}

    class Spec(PimSpec):
        """MACs and vias of a stack."""

        kind: Literal["logic_pim"] = "logic_pim"

        macs_per_stack: PositiveInt
        """MACs on the logic die of one stack, dealt to its channels."""

        tsv_multiplier: PositiveInt = 4
        """Rate of the added vias, in rates of the stack's own bus; less than a bundle gives slows
        its reads."""

        tsvs: PositiveInt = 5625
        """Vias that carry the stack's own rate: for the area of as many for each of the multiplier.
        Default: 10.89 mm2 at a pitch of 22 um for four times as many, Duplex (MICRO 2024)."""

        sharing: Sharing = "bundle"
        """As of any engine inside a memory; by default it works in bundles of banks of its own."""

    spec: Spec

    @classmethod
    def example(cls) -> dict[str, Any]:
        """Thirty-two modules of 512 MACs on the logic die of each stack."""
        macs = {"macs_per_stack": 16384, "tsv_multiplier": 4, "buffer": "2304 KiB"}
        return {"kind": cls.kind, "inside": "dram", **macs, "clock": "core"}

    @property
    def macs(self) -> int:
        """MACs of all stacks."""
        return self.stacks * self.spec.macs_per_stack

    @property
    def mac_ticks(self) -> int:
        """Whole ticks of the memory in which what a command reads passes the vias of a channel."""
        device = self.standard.device
        assert device is not None
        read_bytes = self.parts * self.form.banks_at_once * device.access_bytes
        seconds = read_bytes / (self.spec.tsv_multiplier * self.memory.peak_bytes_per_s)
        return ceil(seconds / device.tick * (1 - ROUNDING))

    def vias_mm2(self, table: EnergyTable) -> float:
        """Area of the added vias, over all stacks."""
        one = table.area("dram.pim", "tsv").mm2
        return self.stacks * self.spec.tsv_multiplier * self.spec.tsvs * one

    def area_mm2(self, table: EnergyTable) -> float:
        """Area added to the logic die: vias, MACs and buffers."""
        return self.vias_mm2(table) + self.built_mm2(table)

    def leakage_w(self, table: EnergyTable) -> float:
        """Static power of MACs and buffers, in the logic die's process; vias have none."""
        return self.built_mm2(table) * table.leakage("logic", "mm2").w
