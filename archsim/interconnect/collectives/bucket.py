"""The bucket on rings, meshes and tori: rings along each dimension, of all dimensions at once.

The buffer is cut in a part for each dimension and way round, so that every link carries something
nearly all the time: where extents differ, parts do too, and all end their first phase together.
After Sack and Gropp, "Collective algorithms for multiported torus networks", ACM
Trans. Parallel Comput. 1 (2015).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import ClassVar

import numpy as np

from archsim.core.units import PS_PER_S
from archsim.interconnect.collectives._nested import Nested, Part
from archsim.interconnect.collectives.base import Algorithm, Round, Site
from archsim.interconnect.collectives.price import price
from archsim.ir.collective import Collective

SHARES = 1 << 12  # steps in which shares of the buffer are told apart
PROBE = 1 << 20  # bytes of each block for which the shares are found: ways count for nothing


class Bucket(Algorithm):
    """Reduces and gathers dimension by dimension; an all-to-all likewise."""

    kind = "bucket"
    PATTERNS: ClassVar = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all")

    def fits(self, site: Site, collective: Collective) -> str | None:
        """Only in groups that are blocks of a grid, alike and in its order."""
        if not site.fabric.dims:
            return "the network is no grid"
        found = {block_extents(site.fabric.dims, group) for group in site.groups}
        if () in found or len(found) > 1:
            return "groups are not alike blocks of the grid, in its order"
        return None

    def rounds(self, site: Site, collective: Collective) -> tuple[Round, ...]:
        """A part for each dimension to begin with; rings go both ways round."""
        extents = block_extents(site.fabric.dims, site.groups[0])
        if collective.pattern == "all_to_all":
            return Nested(collective, extents, _cut([1] * len(extents), (1,))).rounds()
        return Nested(collective, extents, _cut(_shares(site, collective, extents))).rounds()

    def closed_form_ps(
        self,
        collective: Collective,
        latency_ps: float,
        bytes_per_s: float,
        dims: tuple[int, ...] = (),
    ) -> float:
        """On closed rings of e devices each, e above 2, whose dimensions end a phase together.

        The part that begins with a ring of e has a share in proportion to e / (e - 1), half of it
        each way. In a phase, e - 1 steps along its dimension of a latency and of that half over
        all extents up to it, on every link; the longest counts.
        """
        d = len(dims)
        weights = [e / (e - 1) for e in dims]
        turns = 2 if collective.pattern == "all_reduce" else 1
        total = 0.0
        for phase in range(d):
            longest = 0.0
            for first, weight in enumerate(weights):
                ways = [dims[(first + i) % d] for i in range(phase + 1)]
                held = collective.size_bytes * weight / sum(weights) / 2 / prod(ways)
                step_ps = latency_ps + held * PS_PER_S / bytes_per_s
                longest = max(longest, (ways[-1] - 1) * step_ps)
            total += longest
        return turns * total


def _shares(site: Site, collective: Collective, extents: tuple[int, ...]) -> list[int]:
    """Parts of the buffer by the dimension that they begin with: all end their first phase at once.

    Each is in inverse proportion to the time of that phase with the whole buffer, on these links
    and with all groups at work. Whole numbers: of the greatest `SHARES`.
    """
    if len(set(extents)) == 1 and len(set(site.fabric.bytes_per_s.tolist())) == 1:
        return [1] * len(extents)
    whole = replace(collective, pattern="reduce_scatter", size_bytes=PROBE * collective.devices)
    d, taken = len(extents), []
    for first in range(d):
        order = tuple((first + i) % d for i in range(d))
        begun = Nested(whole, extents, (Part(0, 1, 2, order), Part(1, 2, 2, order, -1))).rounds()[0]
        taken.append(price(site.fabric, (begun,), site.groups).transfer_ps)
    return [max(1, round(SHARES * min(taken) / time)) for time in taken]


def _cut(shares: Sequence[int], ways: tuple[int, ...] = (1, -1)) -> tuple[Part, ...]:
    """Parts by the dimension that they begin with, in such shares, as many for each way round."""
    d, found, at = len(shares), [], 0
    for first, share in enumerate(shares):
        order = tuple((first + i) % d for i in range(d))
        for way in ways:
            found.append(Part(at, at + share, len(ways) * sum(shares), order, way))
            at += share
    return tuple(found)


def block_extents(dims: tuple[int, ...], group: object) -> tuple[int, ...]:
    """Extents above 1 of a group that is a block of a grid; empty where it is none.

    A block has evenly spaced places along each dimension, and its devices are in the grid's order.
    """
    numbers = np.asarray(group, np.int64)
    places = np.array(np.unravel_index(numbers, dims, order="F"), np.int64)
    lines = [np.unique(line) for line in places]
    extents = tuple(len(line) for line in lines)
    if int(np.prod(extents)) != len(numbers):
        return ()
    if any(len(set(np.diff(line).tolist())) > 1 for line in lines):
        return ()
    at = np.array(np.unravel_index(np.arange(len(numbers)), extents, order="F"), np.int64)
    same = all((line[at[i]] == places[i]).all() for i, line in enumerate(lines))
    return tuple(e for e in extents if e > 1) if same else ()
