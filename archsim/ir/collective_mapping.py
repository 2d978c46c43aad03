"""How a collective is carried out: algorithm, time and bytes on links, as plain data.

What is exchanged is in `ir.collective`; how long an algorithm takes is found in
`interconnect.collectives`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from archsim.core.html import Rendered
from archsim.core.units import format_bytes
from archsim.ir.collective import Collective


@dataclass(frozen=True)
class CollectiveMapping(Rendered):
    """What a device waits for, and what its network carries meanwhile.

    Attributes:
        network: name of the network.
        collective: what is exchanged.
        algorithm: how; empty where nothing leaves the device.
        reason: why it is this one.
        time_ps: from the last device that comes to the first that leaves.
        latency_ps: of it, what does not grow with the bytes: launch, steps and ways.
        transfer_ps: of it, what the bytes take on the fullest links.
        least_ps: for the least bytes of any algorithm at the bandwidth of a device.
        counts: what all groups of the axis together count, by key such as `link.node.0`.
    """

    network: str
    collective: Collective
    algorithm: str
    reason: str
    time_ps: int
    latency_ps: int = 0
    transfer_ps: int = 0
    least_ps: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def dataflow(self) -> str:
        """What reports call it in the place of a dataflow."""
        return self.algorithm or "none"

    @property
    def order(self) -> tuple[str, ...]:
        """Loops over tiles: there are none."""
        return ()

    @property
    def tile(self) -> Mapping[str, int]:
        """Extents of a tile: there are none."""
        return {}

    @property
    def keep(self) -> frozenset[str]:
        """Tensors that are held on chip: none."""
        return frozenset()

    def render(self) -> str:
        """What is exchanged, how, and why so."""
        what = self.collective
        return (
            f"{what.pattern} over {what.axis}: {what.devices} devices, "
            f"{format_bytes(what.size_bytes)} on {self.network}   "
            f"[{self.time_ps / 1e6:.3g} us]\n  {self.reason}"
        )
