"""Runs the rounds of a collective on small buffers: is the result the collective, byte for byte?

Every byte of a device is a number, so that a sum that takes one in twice or leaves one out shows. A
byte that a device does not have is never sent, and messages must carry what they say.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from archsim.interconnect.collectives.base import Round, block_cuts, buffer_bytes, cuts
from archsim.ir.collective import Collective

Values = NDArray[np.float64]


def carried_out(collective: Collective, rounds: Sequence[Round]) -> Values:
    """Buffers of all devices after the rounds, [n, bytes]; nan where a device has nothing.

    Raises:
        AssertionError: for a message that sends what its sender lacks, or not what it says.
    """
    held = _before(collective)
    for one in rounds:
        carried = np.zeros(len(one.src), np.int64)
        for step in range(one.times):
            sizes = _step(held, one, step)
            assert (sizes <= one.size_bytes).all(), "a message is larger than its round says"
            carried += sizes
        assert (carried == one.carried_bytes).all(), "a round carries other bytes than it says"
    return held


def check(collective: Collective, rounds: Sequence[Round]) -> None:
    """The rounds are the collective.

    Raises:
        AssertionError: where a device ends with anything else.
    """
    got, want, whose = carried_out(collective, rounds), *_after(collective)
    wrong = whose & ~(np.abs(got - want) < 1e-6)
    assert not wrong.any(), f"{collective}: devices {sorted(set(np.nonzero(wrong)[0].tolist()))}"


def sent_bytes(collective: Collective, rounds: Sequence[Round]) -> NDArray[np.int64]:
    """Bytes that each device sends, [n]."""
    total = np.zeros(collective.devices, np.int64)
    for one in rounds:
        np.add.at(total, one.src, one.carried_bytes)
    return total


def _step(held: Values, one: Round, step: int) -> NDArray[np.int64]:
    """One repeat: all messages are read before any is written. Their sizes, [messages]."""
    before, sizes = held.copy(), np.zeros(len(one.src), np.int64)
    total = before.sum(axis=0)
    for message, first, end in one.spans(step):
        src, dst = int(one.src[message]), int(one.dst[message])
        came = total[first:end] if one.sums else before[src, first:end]
        assert not np.isnan(came).any(), f"device {src} sends what it does not have"
        sizes[message] += end - first
        if one.adds and not one.sums:
            held[dst, first:end] += came
        else:
            held[dst, first:end] = came
    return sizes


def _inputs(collective: Collective) -> Values:
    """What each device gives to a sum, [n, bytes]: whole numbers, so sums are exact."""
    shape = (collective.devices, buffer_bytes(collective))
    return np.random.default_rng(7).integers(1, 1 << 40, shape).astype(np.float64)


def _owner(collective: Collective) -> NDArray[np.int64]:
    """Device that has each byte before a gather or after a scatter, [bytes]."""
    n = collective.devices
    return np.repeat(np.arange(n), np.diff(cuts(collective.size_bytes, n)))


def _before(collective: Collective) -> Values:
    """Buffers of all devices at the start."""
    values, n = _inputs(collective), collective.devices
    if collective.pattern in ("all_reduce", "reduce_scatter"):
        return values
    held = np.full_like(values, np.nan)
    if collective.pattern == "all_to_all":
        owner = np.repeat(np.arange(n * n), np.diff(block_cuts(collective))) // n
    elif collective.pattern in ("all_gather", "gather"):
        owner = _owner(collective)
    else:
        owner = np.zeros(values.shape[1], np.int64)
    every = np.arange(values.shape[1])
    held[owner, every] = values[owner, every]
    return held


def _after(collective: Collective) -> tuple[Values, NDArray[np.bool_]]:
    """Buffers that devices must end with, and which bytes of them count, [n, bytes] each."""
    values, n, pattern = _inputs(collective), collective.devices, collective.pattern
    every, everywhere = np.arange(values.shape[1]), np.ones(values.shape, bool)
    devices = np.arange(n)[:, None]
    if pattern in ("all_reduce", "reduce_scatter"):
        want = np.broadcast_to(values.sum(axis=0), values.shape)
        return want, everywhere if pattern == "all_reduce" else devices == _owner(collective)
    if pattern == "all_to_all":
        block = np.repeat(np.arange(n * n), np.diff(block_cuts(collective)))
        return np.broadcast_to(values[block // n, every], values.shape), devices == block % n
    if pattern in ("all_gather", "gather"):
        want = np.broadcast_to(values[_owner(collective), every], values.shape)
        return want, everywhere & ((devices == 0) | (pattern == "all_gather"))
    return np.broadcast_to(values[0], values.shape), everywhere
