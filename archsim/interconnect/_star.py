"""Devices around one switch: what a switch and a crossbar have in common."""

from __future__ import annotations

from archsim.energy.table import EnergyTable
from archsim.interconnect._wires import star
from archsim.interconnect.base import Topology
from archsim.interconnect.fabric import Fabric


class Star(Topology):
    """One link from every device to the middle and one back; none waits for another inside."""

    centred = True

    def fabric(self, table: EnergyTable | None = None) -> Fabric:
        """A star: links up first, in the order of devices, then links down."""
        return star(self, table)

    def bisection_bytes_per_s(self) -> float:
        """Links of the smaller half."""
        bytes_per_s: float = self.spec.bandwidth
        return self.devices // 2 * bytes_per_s

    def link_count(self) -> int:
        """Up and down of each device."""
        return 2 * self.devices

    def mean_hops(self) -> float:
        """Up and down, but to itself."""
        return 2 * (self.devices - 1) / self.devices

    def diameter(self) -> int:
        """Up and down."""
        return 2 if self.devices > 1 else 0
