"""On-chip SRAM: a software-managed scratchpad of banks behind a port of a given bandwidth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from archsim.core.spec import PositiveInt, Rate
from archsim.core.units import PS_PER_S
from archsim.memory.base import Memory, MemorySpec

if TYPE_CHECKING:
    from archsim.energy.table import EnergyTable


class Sram(Memory):
    """A scratchpad. Its bandwidth bounds the operand feed of the engines that read from it."""

    kind = "sram"
    off_chip = False
    ACTIONS = (("sram", "read"), ("sram", "write"))

    class Spec(MemorySpec):
        """Banks, ports and bandwidth."""

        kind: Literal["sram"] = "sram"

        bandwidth: Rate
        """Bytes that all banks deliver together, per second or per cycle of `clock`."""

        clock: str = "core"
        """Clock of the banks."""

        banks: PositiveInt = 1
        """Banks; energy and area are those of this many macros of capacity / banks."""

        ports: PositiveInt = 1
        """Ports a bank; the bandwidth counts them already."""

        width_bits: PositiveInt = 64
        """Bits of one access of one bank."""

        latency_cycles: int = 1
        """Cycles from address to data: delays a result, not the engine."""

    spec: Spec

    @classmethod
    def example(cls) -> dict[str, Any]:
        """Sixty-four kibibytes."""
        return {"kind": cls.kind, "capacity": "64 KiB", "bandwidth": "64 B/cycle"}

    @property
    def peak_bytes_per_s(self) -> float:
        """Bandwidth of all banks."""
        return self.spec.bandwidth.bytes_per_s(self.clock_hz)

    @property
    def bytes_per_s(self) -> float:
        """Same as the peak: bank conflicts are not modelled at this fidelity."""
        return self.peak_bytes_per_s

    @property
    def latency_ps(self) -> int:
        """Access latency."""
        return round(self.spec.latency_cycles * PS_PER_S / self.clock_hz)

    def energy_class(self) -> str:
        """Rows depend on size and width: see `macro`."""
        return "sram"

    def area_mm2(self, table: EnergyTable) -> float:
        """All macros."""
        s = self.spec
        return table.sram(s.capacity, s.width_bits, s.banks).area_mm2

    def leakage_w(self, table: EnergyTable) -> float:
        """All macros."""
        s = self.spec
        return table.sram(s.capacity, s.width_bits, s.banks).leakage_w
