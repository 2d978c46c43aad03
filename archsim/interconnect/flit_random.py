"""Random numbers inside the flit kernel: our own generator, and the reference's for exact replay.

Each is a list of integers. Ours is a linear congruential generator of 63 bits whose high bits are
folded (Knuth's MMIX multiplier, TAOCP 3.3.4). The reference's is started in `replay_rng`.
"""

from __future__ import annotations

from math import log
from typing import Any

from archsim.interconnect import flit_fields as f

LAGS = (100, 37)  # Knuth, TAOCP 3.6: x[n] = x[n-100] - x[n-37], or the sum for fractions
MADE, KEPT = 1009, 100  # numbers made at a time, and how many of them are used
RING = 2 + KEPT + MADE  # position, sign, the last hundred, a batch


def refill(ring: Any, mask: int) -> None:
    """Make the next batch; the hundred after it start the batch to come."""
    sign = ring[1]
    for i in range(100):
        ring[102 + i] = ring[2 + i]
    for i in range(100, 1009):
        ring[102 + i] = (ring[2 + i] + sign * ring[65 + i]) & mask
    for i in range(37):
        ring[2 + i] = (ring[1011 + i] + sign * ring[1074 + i]) & mask
    for i in range(37, 100):
        ring[2 + i] = (ring[1011 + i] + sign * ring[i - 35]) & mask
    ring[0] = 0


def replayed(ring: Any, mask: int) -> int:
    """The next number of one of the reference's generators."""
    if ring[0] == 100:
        refill(ring, mask)
    ring[0] += 1
    number: int = ring[101 + ring[0]]
    return number


def word(state: Any) -> int:
    """32 random bits of our own generator."""
    x = (state[0] * 6364136223846793005 + 1442695040888963407) & 0x7FFFFFFFFFFFFFFF
    state[0] = x
    folded: int = ((x >> 31) ^ (x >> 45)) & 0xFFFFFFFF
    return folded


def below(limit: int, config: Any, integers: Any) -> int:
    """A whole number from 0 to `limit` - 1, of either generator."""
    if config[f.RANDOM] == f.REPLAY:
        return replayed(integers, 0x3FFFFFFF) % limit
    return word(integers) * limit >> 32


def gap(state: Any, rate: Any) -> int:
    """Failures before the next success of a trial a cycle: geometric, rate[0] is 1 / log(1 - p)."""
    return int(log((word(state) + 1) / 4294967296.0) * rate[0])
