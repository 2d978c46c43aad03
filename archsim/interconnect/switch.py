"""A switch: every device has one link to it and one back, and none waits for another inside."""

from __future__ import annotations

from typing import Any, Literal

from archsim.core.spec import PositiveInt
from archsim.energy.table import EnergyTable
from archsim.interconnect._star import Star
from archsim.interconnect._wires import star
from archsim.interconnect.base import WiredSpec
from archsim.interconnect.fabric import Fabric


class Switch(Star):
    """Devices around one switch that never blocks; it may reduce what passes it."""

    kind = "switch"

    class Spec(WiredSpec):
        """Ports and what the switch can do."""

        kind: Literal["switch"] = "switch"

        devices: PositiveInt
        """Devices around the switch: copies of this machine."""

        reduces: bool = False
        """Whether the switch adds messages up and sends copies (in-network reduction)."""

    spec: Spec

    @classmethod
    def example(cls) -> dict[str, Any]:
        """Eight devices."""
        return {"kind": cls.kind, "devices": 8, "bandwidth": "450 GB/s", "latency": "0.8 us"}

    def fabric(self, table: EnergyTable | None = None) -> Fabric:
        """A star: links up first, in the order of devices, then links down."""
        return star(self, table, reduces=self.spec.reduces)
