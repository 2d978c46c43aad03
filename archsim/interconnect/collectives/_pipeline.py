"""Into how many parts a buffer is cut that passes several devices one behind the other."""

from __future__ import annotations

from math import sqrt

from archsim.interconnect.collectives.base import Site

MOST_PARTS = 512  # of a buffer (assumed)


def best_parts(size_bytes: int, stages: int, transfer_ps: float, latency_ps: float) -> int:
    """Parts that take the least time: more fill the stages, and each costs a latency.

    That is of (parts + stages - 1) x (latency + transfer / parts).

    Args:
        size_bytes: of what is cut, in parts of a byte or more.
        stages: that each part passes.
        transfer_ps: of the whole, through one stage.
        latency_ps: of a step.
    """
    most = max(1, min(MOST_PARTS, size_bytes))
    if stages < 2:
        return 1
    if latency_ps <= 0:
        return most
    return max(1, min(most, round(sqrt((stages - 1) * transfer_ps / latency_ps))))


def first_way(site: Site) -> tuple[int, float]:
    """Latency in ps and bandwidth in bytes/s from the first device of a group to the second."""
    first, second = (int(device) for device in site.groups[0][:2])
    way = list(site.fabric.route(first, second))
    return int(site.fabric.latency_ps[way].sum()), float(site.fabric.bytes_per_s[way].min())
