"""A crossbar: a wire for every input and output, and a crosspoint where each two meet."""

from __future__ import annotations

from typing import Any, Literal

from archsim.core.spec import PositiveInt
from archsim.energy.table import EnergyTable
from archsim.interconnect._star import Star
from archsim.interconnect.base import FLIT_BITS, WiredSpec


class Crossbar(Star):
    """Every end reaches every other at once; only those that share an end wait."""

    kind = "crossbar"

    class Spec(WiredSpec):
        """Ends of the crossbar."""

        kind: Literal["crossbar"] = "crossbar"

        devices: PositiveInt
        """Inputs, and as many outputs."""

        medium: Literal["chip", "package", "board", "cable"] = "chip"
        """What wires are made of: their energy and area where none is given."""

    spec: Spec

    @classmethod
    def example(cls) -> dict[str, Any]:
        """Four ends on a chip."""
        return {"kind": cls.kind, "devices": 4, "bandwidth": "64 GB/s", "latency": "2 ns"}

    def area_mm2(self, table: EnergyTable) -> float:
        """On a chip its crosspoints: the square of its ends, times its width.

        Raises:
            InputError: E108 for a table without such rows.
        """
        if self.spec.medium != "chip":
            return super().area_mm2(table)
        point = table.area("crossbar", "point").mm2 * self.spec.width / FLIT_BITS
        return point * self.devices**2
