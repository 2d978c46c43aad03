"""The ring: every device passes a part on to the next, n - 1 times, or twice that to reduce.

A broadcast goes along it in parts that follow each other.
Least bytes, most steps. After Patarasu and Yuan, "Bandwidth optimal all-reduce algorithms for
clusters of workstations", J. Parallel Distrib. Comput. 69 (2009).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from archsim.core.units import PS_PER_S
from archsim.interconnect.collectives._pipeline import best_parts, first_way
from archsim.interconnect.collectives.base import Algorithm, Round, Site, Span, cuts
from archsim.interconnect.fabric import Ints
from archsim.ir.collective import Collective


class Ring(Algorithm):
    """Round the group, in its order."""

    kind = "ring"
    PATTERNS: ClassVar = ("all_reduce", "all_gather", "reduce_scatter", "broadcast")

    def rounds(self, site: Site, collective: Collective) -> tuple[Round, ...]:
        """One round, n - 1 times over, for each half; of a broadcast as often as parts pass."""
        if collective.pattern == "broadcast":
            latency_ps, bytes_per_s = first_way(site)
            return (_chain(collective, _parts(collective, latency_ps + site.step_ps, bytes_per_s)),)
        edges = cuts(collective.size_bytes, collective.devices)
        reduced, gathered = _turn(edges, adds=True), _turn(edges, adds=False)
        if collective.pattern == "all_reduce":
            return (reduced, gathered)
        return (reduced if collective.pattern == "reduce_scatter" else gathered,)

    def closed_form_ps(
        self,
        collective: Collective,
        latency_ps: float,
        bytes_per_s: float,
        dims: tuple[int, ...] = (),
    ) -> float:
        """(n - 1) x (latency + part / bandwidth), twice for an all-reduce.

        A broadcast: (parts + n - 2) of these.
        """
        n = collective.devices
        if collective.pattern == "broadcast":
            parts = _parts(collective, latency_ps, bytes_per_s)
            part = -(-collective.size_bytes // parts)
            return (parts + n - 2) * (latency_ps + part * PS_PER_S / bytes_per_s)
        turns = 2 if collective.pattern == "all_reduce" else 1
        part = -(-collective.size_bytes // n)
        return turns * (n - 1) * (latency_ps + part * PS_PER_S / bytes_per_s)


def _turn(edges: Ints, adds: bool) -> Round:
    """Once round: in step t device i passes on the part that it got in the step before.

    That is part i - t - 1 where sums go round, so that device i ends with part i, and part i - t
    where results do.
    """
    n = len(edges) - 1
    src, sizes = np.arange(n, dtype=np.int64), np.diff(edges)
    last = (src if adds else src + 1) % n  # the one part that a device does not send

    def spans(step: int) -> Iterator[Span]:
        for i in range(n):
            part = (i - step - adds) % n
            yield i, int(edges[part]), int(edges[part + 1])

    largest = np.full(n, sizes.max())
    carried = edges[-1] - sizes[last]
    return Round(src, (src + 1) % n, largest, n - 1, carried, spans, adds)


def _parts(collective: Collective, latency_ps: float, bytes_per_s: float) -> int:
    """Parts of a broadcast."""
    size = collective.size_bytes
    transfer_ps = size * PS_PER_S / bytes_per_s
    return best_parts(size, collective.devices - 1, transfer_ps, latency_ps)


def _chain(collective: Collective, parts: int) -> Round:
    """Each device passes on the part that it got in the step before."""
    n, edges = collective.devices, cuts(collective.size_bytes, parts)
    src = np.arange(n - 1, dtype=np.int64)

    def spans(step: int) -> Iterator[Span]:
        for i in range(max(0, step - parts + 1), min(n - 1, step + 1)):
            yield i, int(edges[step - i]), int(edges[step - i + 1])

    largest = np.full(n - 1, np.diff(edges).max())
    carried = np.full(n - 1, collective.size_bytes)
    return Round(src, src + 1, largest, parts + n - 2, carried, spans)
