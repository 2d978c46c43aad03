"""Where a packet's head goes next, decided as it leaves the router before.

Dimension order on meshes and toruses, or along a path that was laid before the run. Written so that
numba compiles it and plain Python runs the same text. Adaptive choices are in `flit_router`, which
makes them anew each cycle.
"""

from __future__ import annotations

from typing import Any

from archsim.interconnect import flit_fields as f
from archsim.interconnect.flit_random import below


def route(
    router: int, packet: int, came: int, config: Any, packets: Any, where: Any, paths: Any,
    integers: Any,
) -> None:  # fmt: skip
    """Write a packet's output port and VCs in a router into its record.

    It came by an output port of the router before, or by -1 from a source; `where` has coordinates
    of nodes at `node << 2 | dimension`.
    """
    at = packet << 3
    routing = config[f.ROUTING]
    if routing == f.ALONG_PATHS:
        packets[at | f.STEP] = paths[packets[at | f.PATH]]
        packets[at | f.PATH] += 1
        return
    dest = packets[at | f.DEST]
    dims = config[f.DIMS]
    everything = (1 << config[f.VCS]) - 1
    if routing == f.DIMENSION_ORDER and config[f.WRAPS] == 0:
        out = 2 * dims
        for d in range(dims - 1, -1, -1):  # no branches: where packets turn cannot be predicted
            own, there = where[router << 2 | d], where[dest << 2 | d]
            out = out if there == own else 2 * d + (1 if there < own else 0)
        packets[at | f.STEP] = out << 32 | everything
        return
    if dest == router:
        packets[at | f.STEP] = 2 * dims << 32 | everything
        return
    if routing == f.ADAPTIVE:
        packets[at | f.STEP] = -1
        return
    d = 0
    while where[router << 2 | d] == where[dest << 2 | d]:
        d += 1
    if came >= 0 and came >> 1 == d:
        return  # a direction and its half of the VCs are kept
    own, there = where[router << 2 | d], where[dest << 2 | d]
    extent = config[f.EXTENT + d]
    ahead = there - own
    if ahead < 0:
        ahead += extent
    plus = 1 if 2 * ahead < extent else 0
    if 2 * ahead == extent:
        plus = below(2, config, integers)
    vcs = config[f.VCS]
    lower = (1 << ((vcs + 1) >> 1)) - 1
    may = lower << (vcs >> 1) if own > there else lower
    packets[at | f.STEP] = (2 * d + 1 - plus) << 32 | may
