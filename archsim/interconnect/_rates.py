"""Max-min fair rates of messages on shared wires: the fullest wire is shared evenly, then the next.

One rule in two forms with equal answers to the bit: numpy over all hops at once, and a loop that
numba compiles, which pays where rates are worked out very often.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable

import numpy as np

from archsim.interconnect.fabric import Floats, Ints

SLACK = 1e-12  # of a share: what rounding of floats may add to an equal one
PAYS_MESSAGES = 1000  # from which loading numba (0.5 s) costs less than it saves (measured)

Rates = Callable[[Ints, Ints, Floats], Floats]


def rates_for(messages: int) -> Rates:
    """The form that pays for a simulation of so many messages."""
    if messages >= PAYS_MESSAGES or (messages > 1 and "numba" in sys.modules):
        return compiled() or fair_rates
    return fair_rates


@functools.cache
def compiled() -> Rates | None:
    """Machine code of `fill`, or None where numba is not installed."""
    try:
        from numba import njit
    except ImportError:
        return None
    result: Rates = njit(cache=True)(fill)
    return result


def fair_rates(first: Ints, wire: Ints, capacity: Floats) -> Floats:
    """Rates of messages, in the unit of the capacity; infinite for those without hops.

    Args:
        first: where the hops of each message begin, [messages + 1].
        wire: of each hop, [hops].
        capacity: of each wire, [wires].

    Returns:
        rate of each message, [messages].
    """
    messages, wires = len(first) - 1, len(capacity)
    owner = np.repeat(np.arange(messages), np.diff(first))
    rates, left = np.full(messages, np.inf), capacity.copy()
    live = np.ones(len(wire), bool)
    while live.any():
        count = np.bincount(wire[live], minlength=wires)
        shares = np.divide(left, count, out=np.full(wires, np.inf), where=count > 0)
        least = float(shares.min())
        full = shares <= least * (1 + SLACK)
        chosen = np.zeros(messages, bool)
        chosen[owner[live & full[wire]]] = True
        rates[chosen] = least
        taken = live & chosen[owner]
        left -= least * np.bincount(wire[taken], minlength=wires)
        live &= ~taken
    return rates


def fill(first: Ints, wire: Ints, capacity: Floats) -> Floats:
    """As `fair_rates`, hop by hop."""
    messages, wires = len(first) - 1, len(capacity)
    rates, left = np.full(messages, np.inf), capacity.copy()
    count, taken = np.zeros(wires, np.int64), np.zeros(wires, np.int64)
    full, live = np.zeros(wires, np.bool_), np.zeros(messages, np.bool_)
    for hop in wire:
        count[hop] += 1
    waiting = 0
    for m in range(messages):
        live[m] = first[m + 1] > first[m]
        waiting += live[m]
    while waiting > 0:
        least = math.inf
        for w in range(wires):
            taken[w] = 0
            if count[w] > 0:
                least = min(least, left[w] / count[w])
        for w in range(wires):
            full[w] = count[w] > 0 and left[w] / count[w] <= least * (1 + SLACK)
        for m in range(messages):
            hit = False
            if live[m]:
                for hop in range(first[m], first[m + 1]):
                    hit |= full[wire[hop]]
            if hit:
                rates[m], live[m] = least, False
                waiting -= 1
                for hop in range(first[m], first[m + 1]):
                    taken[wire[hop]] += 1
        for w in range(wires):
            left[w] -= least * taken[w]
            count[w] -= taken[w]
    return rates
