"""Direct: every device sends every other its part at once; fewest steps.

An all-reduce of two such rounds sends the least bytes too; on a network whose devices have one port
they leave it one behind the other. What a device sends and gets itself (broadcast, gather, send) is
direct as well.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from archsim.core.units import PS_PER_S
from archsim.interconnect.collectives.base import Algorithm, Round, Site, Span, block_cuts, cuts
from archsim.interconnect.fabric import Ints
from archsim.ir.collective import Collective

MOST_MESSAGES = 1 << 22  # of a round: more take longer to price than a run takes (assumed)


class Direct(Algorithm):
    """Each pair of devices that has something to say to each other, at once."""

    kind = "direct"
    PATTERNS: ClassVar = (
        "all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast", "gather", "send",
    )  # fmt: skip

    def fits(self, site: Site, collective: Collective) -> str | None:
        """Not with more messages than can be priced."""
        n = collective.devices
        many = (
            len(site.groups)
            * n
            * (n - 1 if collective.pattern.startswith(("all", "reduce")) else 1)
        )
        return f"{many} messages a round, above {MOST_MESSAGES}" if many > MOST_MESSAGES else None

    def rounds(self, site: Site, collective: Collective) -> tuple[Round, ...]:
        """One round; a reducing one and a gathering one for an all-reduce."""
        n, pattern = collective.devices, collective.pattern
        if pattern in ("broadcast", "send"):
            dst = np.arange(1, n, dtype=np.int64)
            first = np.zeros_like(dst)
            return (_round(first, dst, first, first + collective.size_bytes, False),)
        edges = cuts(collective.size_bytes, n)
        src, dst = pairs(n)
        if pattern == "gather":
            src, dst = src[dst == 0], dst[dst == 0]
        if pattern == "all_to_all":
            blocks = block_cuts(collective)
            return (_round(src, dst, blocks[src * n + dst], blocks[src * n + dst + 1], False),)
        reduced = _round(src, dst, edges[dst], edges[dst + 1], True)
        gathered = _round(src, dst, edges[src], edges[src + 1], False)
        if pattern == "all_reduce":
            return (reduced, gathered)
        return (reduced if pattern == "reduce_scatter" else gathered,)

    def closed_form_ps(
        self,
        collective: Collective,
        latency_ps: float,
        bytes_per_s: float,
        dims: tuple[int, ...] = (),
    ) -> float:
        """Latency + what the busiest port sends or gets / bandwidth, twice for an all-reduce."""
        n, size = collective.devices, collective.size_bytes
        if collective.pattern == "all_to_all":
            blocks = np.diff(block_cuts(collective)).reshape(n, n)
            np.fill_diagonal(blocks, 0)
            busiest = max(int(blocks.sum(0).max()), int(blocks.sum(1).max()))
        elif collective.pattern == "broadcast":
            busiest = (n - 1) * size
        elif collective.pattern == "send":
            busiest = size
        elif collective.pattern == "gather":
            busiest = size - -(-size // n)
        else:  # the port of one part: all but the own, or n - 1 of the largest
            largest = -(-size // n)
            busiest = max((n - 1) * largest, size - size // n)
        turns = 2 if collective.pattern == "all_reduce" else 1
        return turns * (latency_ps + busiest * PS_PER_S / bytes_per_s)


def pairs(n: int) -> tuple[Ints, Ints]:
    """All ordered pairs of two different places, [n * (n - 1)] each."""
    src, dst = (x.ravel() for x in np.divmod(np.arange(n * n, dtype=np.int64), n))
    apart = src != dst
    return src[apart], dst[apart]


def _round(src: Ints, dst: Ints, first: Ints, end: Ints, adds: bool) -> Round:
    """Messages of one span each; empty ones are not sent."""
    some = end > first
    src, dst, first, end = src[some], dst[some], first[some], end[some]

    def spans(_: int) -> list[Span]:
        return [(i, int(a), int(b)) for i, (a, b) in enumerate(zip(first, end, strict=True))]

    return Round(src, dst, end - first, 1, end - first, spans, adds)
