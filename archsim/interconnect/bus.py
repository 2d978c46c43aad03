"""A bus: one wire that all devices share, one message at a time."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from archsim.core.spec import PositiveInt
from archsim.energy.table import EnergyTable
from archsim.interconnect._wires import latency_of, wired
from archsim.interconnect.base import Topology, WiredSpec
from archsim.interconnect.fabric import Fabric, Ints


class Bus(Topology):
    """One wire for all: what one device sends, no other can send meanwhile."""

    kind = "bus"

    class Spec(WiredSpec):
        """Devices on the bus."""

        kind: Literal["bus"] = "bus"

        devices: PositiveInt
        """Devices on the bus."""

        duplex: Literal["half"] = "half"
        """A bus carries one message at a time, whichever way."""

        medium: Literal["chip", "package", "board", "cable"] = "chip"
        """What the wire is made of: its energy and area where none is given."""

    spec: Spec

    @classmethod
    def example(cls) -> dict[str, Any]:
        """Four devices on a chip."""
        return {"kind": cls.kind, "devices": 4, "bandwidth": "32 GB/s", "latency": "4 ns"}

    def fabric(self, table: EnergyTable | None = None) -> Fabric:
        """Taps onto the bus, taps off it, and the bus itself as the last link.

        Taps cost nothing and are as fast as the bus: time, energy and load are the last link's.
        """
        count = self.devices
        ends = np.arange(count, dtype=np.int64)
        onto, off = np.full(count, count, np.int64), np.full(count, count + 1, np.int64)
        last = np.array([latency_of(self)], np.int64)

        def routes(start: Ints, end: Ints) -> Ints:
            found = np.stack([start, np.full_like(start, 2 * count), end + count], axis=1)
            return np.where((start == end)[:, None], -1, found)

        whole = wired(
            self, count + 2, np.concatenate([ends, off, onto[:1]]),
            np.concatenate([onto, ends, off[:1]]), routes,
            np.concatenate([np.zeros(2 * count, np.int64), last]), table=table,
        )  # fmt: skip
        whole.pj_per_bit[:-1] = 0.0
        return whole

    def bisection_bytes_per_s(self) -> float:
        """The bus."""
        return self.spec.bandwidth if self.devices > 1 else 0.0

    def link_count(self) -> int:
        """Taps and the bus."""
        return 2 * self.devices + 1

    def mean_hops(self) -> float:
        """Three, but to itself."""
        return 3 * (self.devices - 1) / self.devices

    def diameter(self) -> int:
        """Onto the bus, along it, off it."""
        return 3 if self.devices > 1 else 0

    def area_mm2(self, table: EnergyTable) -> float:
        """A port of each device.

        Raises:
            InputError: E108 for a table without such rows.
        """
        if self.spec.medium == "chip":
            return super().area_mm2(table) / 2  # a tap on and a tap off are one port
        per_gb_per_s = table.area("phy", self.spec.medium).mm2
        return per_gb_per_s * self.devices * self.spec.bandwidth / 1e9
