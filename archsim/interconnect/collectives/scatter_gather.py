"""Scatter, then gather: a long broadcast as a part to each device, and a gather of these by all.

After Barnett et al., "Interprocessor collective communication library (InterCom)", SHPCC 1994.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from archsim.core.units import PS_PER_S
from archsim.interconnect.collectives.base import Algorithm, Round, Site, algorithms, cuts, round_of
from archsim.ir.collective import Collective


class ScatterGather(Algorithm):
    """A broadcast whose first device sends its buffer once, not once to each."""

    kind = "scatter_gather"
    PATTERNS: ClassVar = ("broadcast",)

    def rounds(self, site: Site, collective: Collective) -> tuple[Round, ...]:
        """A round to scatter, and an all-gather: along the dimensions of a grid, else direct."""
        n = collective.devices
        edges = [int(x) for x in cuts(collective.size_bytes, n)]
        scatter = round_of([(0, i, [(edges[i], edges[i + 1])]) for i in range(1, n)], adds=False)
        return (scatter, *self._gather(site).rounds(site, _gathered(collective)))

    def fits(self, site: Site, collective: Collective) -> str | None:
        """Where the gather does."""
        return self._gather(site).fits(site, _gathered(collective))

    def closed_form_ps(
        self,
        collective: Collective,
        latency_ps: float,
        bytes_per_s: float,
        dims: tuple[int, ...] = (),
    ) -> float:
        """Latency + all parts but one / bandwidth, and the gather."""
        n, size = collective.devices, collective.size_bytes
        scatter_ps = latency_ps + (size - -(-size // n)) * PS_PER_S / bytes_per_s
        gather = algorithms.get("direct")()
        return scatter_ps + gather.closed_form_ps(_gathered(collective), latency_ps, bytes_per_s)

    def _gather(self, site: Site) -> Algorithm:
        return algorithms.get("bucket" if site.fabric.dims else "direct")()


def _gathered(collective: Collective) -> Collective:
    return replace(collective, pattern="all_gather")
