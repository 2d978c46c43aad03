"""Bruck: what goes the same way is joined, so that log2 n messages do; of any number of devices.

An all-gather sends the least bytes so, an all-to-all about half of log2 n times as many. After
Bruck et al., "Efficient algorithms for all-to-all communications in multiport message-passing
systems", IEEE Trans. Parallel Distrib. Syst. 8 (1997).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from archsim.core.units import PS_PER_S
from archsim.interconnect.collectives.base import (
    Algorithm,
    Round,
    Site,
    Span,
    block_cuts,
    block_sizes,
    cuts,
)  # fmt: skip
from archsim.ir.collective import Collective


class Bruck(Algorithm):
    """All-gather and all-to-all over distances of 1, 2, 4, ..."""

    kind = "bruck"
    PATTERNS: ClassVar = ("all_gather", "all_to_all")

    def rounds(self, site: Site, collective: Collective) -> tuple[Round, ...]:
        """One round for each power of two below n."""
        form = _gathered if collective.pattern == "all_gather" else _dealt
        steps = (collective.devices - 1).bit_length()
        return tuple(form(collective, 1 << bit) for bit in range(steps))

    def closed_form_ps(
        self,
        collective: Collective,
        latency_ps: float,
        bytes_per_s: float,
        dims: tuple[int, ...] = (),
    ) -> float:
        """Latency each step; blocks as large as the largest, where the size divides exactly so."""
        n = collective.devices
        block = -(-collective.size_bytes // n)
        total, far = 0.0, 1
        while far < n:
            if collective.pattern == "all_gather":
                blocks = min(far, n - far)
            else:
                blocks = sum(1 for away in range(n) if away & far)
            total += latency_ps + blocks * block * PS_PER_S / bytes_per_s
            far *= 2
        return total


def _gathered(collective: Collective, far: int) -> Round:
    """Each device has `far` blocks from its own on, and sends what the one so far back lacks."""
    n = collective.devices
    edges = cuts(collective.size_bytes, n)
    src, count = np.arange(n, dtype=np.int64), min(far, n - far)
    twice = np.concatenate([edges[:-1], edges + edges[-1]])  # two turns of the blocks
    size = twice[src + count] - twice[src]

    def spans(_: int) -> Iterator[Span]:
        for i in range(n):
            for block in range(i, i + count):
                yield i, int(edges[block % n]), int(edges[block % n + 1])

    return Round(src, (src - far) % n, size, 1, size, spans)


def _dealt(collective: Collective, far: int) -> Round:
    """Each device passes on, by `far`, the blocks whose distance has that bit.

    A block from s to s + d has come by the lower bits of d.
    """
    n = collective.devices
    src = np.arange(n, dtype=np.int64)
    sizes = block_sizes(collective)
    away = np.array([d for d in range(n) if d & far], np.int64)

    by = away & (far - 1)  # that a block has come before
    if len(sizes) == 1:  # senders are alike: how often each distance is left to go
        left = np.bincount(away - by, minlength=n)
        total = np.correlate(np.tile(sizes[0], 2)[:-1], left, "valid")
    else:
        start = (src[:, None] - by) % n
        total = sizes[start, (start + away) % n].sum(axis=1)

    def spans(_: int) -> Iterator[Span]:
        blocks = block_cuts(collective)
        for i in range(n):
            start = (i - by) % n
            for block in start * n + (start + away) % n:
                yield i, int(blocks[block]), int(blocks[block + 1])

    return Round(src, (src + far) % n, total, 1, total, spans)
