"""Minimal-adaptive routing with an escape: which output a waiting head asks for this cycle.

Duato's protocol ("A new theory of deadlock-free adaptive routing in wormhole networks", 1993): all
but the first VCs may be used on any shortest path; where none of those is free a head asks for the
first, which is routed in dimension order. On a torus two VCs are the escape: the second until the
packet has passed the wrap-around of its dimension, the first from there on.
"""

from __future__ import annotations

from typing import Any

from archsim.interconnect import flit_fields as f


def choose(
    router: int, x: int, config: Any, inputs: Any, free_vcs: Any, packets: Any, buffer: Any,
    where: Any,
) -> None:  # fmt: skip
    """Write output port and VCs of the waiting head in input VC `x`.

    The output with most free adaptive VCs is asked, ties going to the lower port.
    """
    at = x << 3
    packet = buffer[inputs[at | f.FIRST] * config[f.ALL_VCS] + x] >> 2 & 0xFFFFFFF
    if packets[packet << 3 | f.STEP] >= 0:
        return  # at its destination: the way out is the only one
    dest = packets[packet << 3 | f.DEST]
    vcs, escapes = config[f.VCS], 1 + config[f.WRAPS]
    best, most = -1, 0
    escape, escape_vc = -1, 0
    for d in range(config[f.DIMS]):
        own, there = where[router << 2 | d], where[dest << 2 | d]
        if own == there:
            continue
        plus = minus = 0
        if config[f.WRAPS]:
            extent = config[f.EXTENT + d]
            ahead = there - own
            if ahead < 0:
                ahead += extent
            plus = 1 if 2 * ahead <= extent else 0
            minus = 1 if 2 * ahead >= extent else 0
        elif there > own:
            plus = 1
        else:
            minus = 1
        if escape < 0:
            escape = 2 * d if plus else 2 * d + 1
            crosses = own > there if plus else own < there
            escape_vc = 1 if config[f.WRAPS] and crosses else 0
        for way in range(2):
            if (plus if way == 0 else minus) == 0:
                continue
            out = 2 * d + way
            free = free_vcs[router << config[f.PORT_SHIFT] | out]
            count = 0
            for v in range(escapes, vcs):
                count += free >> v & 1
            if count > most:
                best, most = out, count
    inputs[at | f.OUT] = best if best >= 0 else escape
    inputs[at | f.MAY] = (1 << vcs) - (1 << escapes) if best >= 0 else 1 << escape_vc
