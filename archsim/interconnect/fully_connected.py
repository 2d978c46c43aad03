"""Fully connected: a link of its own between every two devices."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from archsim.energy.table import EnergyTable
from archsim.interconnect._wires import wired
from archsim.interconnect.base import Topology, WiredSpec
from archsim.interconnect.fabric import Fabric, Ints


class FullyConnected(Topology):
    """Every two devices are joined directly."""

    kind = "fully_connected"

    class Spec(WiredSpec):
        """Devices, and links between every two of them."""

        kind: Literal["fully_connected"] = "fully_connected"

        devices: Annotated[int, Field(ge=1, le=1024)]
        """Devices: copies of this machine."""

    spec: Spec

    @classmethod
    def example(cls) -> dict[str, Any]:
        """Four devices."""
        return {"kind": cls.kind, "devices": 4, "bandwidth": "100 GB/s", "latency": "0.8 us"}

    def fabric(self, table: EnergyTable | None = None) -> Fabric:
        """Links by the device they leave, then by the one they reach."""
        count = self.devices
        src = np.repeat(np.arange(count, dtype=np.int64), count - 1)
        dst = np.concatenate([np.delete(np.arange(count, dtype=np.int64), i) for i in range(count)])

        def routes(start: Ints, end: Ints) -> Ints:
            link = start * (count - 1) + end - (end > start)
            return np.where(start == end, -1, link)[:, None]

        return wired(self, count, src, dst, routes, table=table)

    def bisection_bytes_per_s(self) -> float:
        """A link from each device of one half to each of the other; a shared wire counts once."""
        small = self.devices // 2
        return small * (self.devices - small) * self.spec.bandwidth

    def link_count(self) -> int:
        """Both ways of every two."""
        return self.devices * (self.devices - 1)

    def mean_hops(self) -> float:
        """One, but to itself."""
        return (self.devices - 1) / self.devices

    def diameter(self) -> int:
        """One link."""
        return 1 if self.devices > 1 else 0
