"""In the network: switches add up what devices send and give the sum to all.

After Graham et al., "Scalable hierarchical aggregation protocol (SHArP)", COMHPC 2016. A device
sends its buffer once and gets the sum once, while they pass through the switch.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from archsim.core.units import PS_PER_S
from archsim.interconnect.collectives.base import Algorithm, Round, Site
from archsim.ir.collective import Collective


class Switched(Algorithm):
    """An all-reduce by switches."""

    kind = "switched"
    PATTERNS: ClassVar = ("all_reduce",)

    def fits(self, site: Site, collective: Collective) -> str | None:
        """Only where switches reduce, and where it saves anything: two devices just swap."""
        if not site.fabric.reduces:
            return "the network does not reduce"
        return None if collective.devices > 2 else "two devices have nothing to gain"

    def rounds(self, site: Site, collective: Collective) -> tuple[Round, ...]:
        """One round, in which the network sums.

        Its messages go from each device to the next, as the links of a tree over switches are used:
        each once up and once down for all devices below it.
        """
        n = collective.devices
        src = np.arange(n, dtype=np.int64)
        size = np.full(n, collective.size_bytes)
        every = [(i, 0, collective.size_bytes) for i in range(n)]
        return (Round(src, (src + 1) % n, size, 1, size, lambda _: every, True, sums=True),)

    def closed_form_ps(
        self,
        collective: Collective,
        latency_ps: float,
        bytes_per_s: float,
        dims: tuple[int, ...] = (),
    ) -> float:
        """Latency + buffer / bandwidth."""
        return latency_ps + collective.size_bytes * PS_PER_S / bytes_per_s
