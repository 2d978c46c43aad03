"""Level by level: reduce inside the nearest level first, so that less goes over the further ones.

After Cho et al., "BlueConnect: decomposing all-reduce for deep learning on heterogeneous network
hierarchy", MLSys 2019; an all-to-all goes to the right place of each level in turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import numpy as np

from archsim.core.units import PS_PER_S
from archsim.interconnect.collectives._nested import Nested, Part
from archsim.interconnect.collectives.base import Algorithm, Round, Site
from archsim.interconnect.fabric import Fabric
from archsim.ir.collective import Collective


class Hierarchical(Algorithm):
    """Rings in each level of a network of several."""

    kind = "hierarchical"
    PATTERNS: ClassVar = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all")

    def fits(self, site: Site, collective: Collective) -> str | None:
        """Only in groups that span several levels, as many devices in each branch, in order."""
        if not site.fabric.level.any():
            return "the network has one level"
        found = {level_extents(site.fabric, group) for group in site.groups}
        if () in found or len(found) > 1:
            return "groups do not branch alike at every level"
        if len(next(iter(found))) == 1:
            return "groups lie in one level"
        return None

    def rounds(self, site: Site, collective: Collective) -> tuple[Round, ...]:
        """The innermost level is the fastest dimension."""
        extents = level_extents(site.fabric, site.groups[0])
        return Nested(collective, extents, (Part(0, 1, 1, tuple(range(len(extents)))),)).rounds()

    def closed_form_ps(
        self,
        collective: Collective,
        latency_ps: float,
        bytes_per_s: float,
        dims: tuple[int, ...] = (),
    ) -> float:
        """Reductions and gathers where all levels are alike: the ring's form at each of them."""
        block = -(-collective.size_bytes // collective.devices)
        turns = 2 if collective.pattern == "all_reduce" else 1
        total, held = 0.0, collective.devices
        for e in dims:
            held //= e
            total += (e - 1) * (latency_ps + held * block * PS_PER_S / bytes_per_s)
        return turns * total


def level_extents(fabric: Fabric, group: Sequence[int]) -> tuple[int, ...]:
    """Branches of a group at each level where it has several, the innermost first; or empty.

    Neighbours in the group's order meet at a level; where those of a level are evenly spaced, and
    further ones at multiples of that, it branches alike.
    """
    n = len(group)
    meet = np.array([_level(fabric, int(a), int(b)) for a, b in pairwise(group)])
    extents: list[int] = []
    block = 1
    for level in sorted(set(meet.tolist())):
        above = np.flatnonzero(meet > level) + 1  # where a new branch of a further level begins
        size = int(above[0]) if len(above) else n
        if size % block or not np.array_equal(above, np.arange(size, n, size)):
            return ()
        extents.append(size // block)
        block = size
    if block != n or not _apart(fabric, group, extents):
        return ()
    return tuple(extents)


def _level(fabric: Fabric, a: int, b: int) -> int:
    return max(int(fabric.level[link]) for link in fabric.route(a, b))


def _apart(fabric: Fabric, group: Sequence[int], extents: Sequence[int]) -> bool:
    """Whether first and last branch of each level meet no nearer than neighbours do."""
    block = 1
    for e in extents:
        near, far = _level(fabric, group[block - 1], group[block]), block * e - 1
        if _level(fabric, group[0], group[far]) != near:
            return False
        block *= e
    return True
