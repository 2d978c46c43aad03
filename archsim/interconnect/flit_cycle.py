"""The flit simulator's cycle: credits, sources, sinks, arrivals, VC allocation, switch.

Everything between routers takes two cycles or more, so their order is free. Written so that numba
compiles it and plain Python runs the same text; `flit_compile` links the parts, `flit_network` lays
the arrays out, `flit_measure` decides what is run for how long.
"""

from __future__ import annotations

from typing import Any

from archsim.interconnect import flit_fields as f
from archsim.interconnect.flit_bits import lowest
from archsim.interconnect.flit_router import allocate, switch
from archsim.interconnect.flit_source import make, send, take


def credit(config: Any, outputs: Any, free_vcs: Any, y: int) -> None:
    """A credit counts for an output VC; the last one of a packet frees it."""
    used = outputs[y << 1 | f.USED] - 1
    outputs[y << 1 | f.USED] = used
    if used == 0 and config[f.HOLDS]:
        shift = config[f.VC_SHIFT]
        free_vcs[y >> shift] |= 1 << (y & ((1 << shift) - 1))


def arrive(
    t: int, flit: int, x: int, config: Any, inputs: Any, packets: Any, buffer: Any, waiting: Any,
    bidding: Any, asks: Any, bids: Any, order: Any,
) -> None:  # fmt: skip
    """A flit gets into its buffer; a VC that had none waits or bids, behind lower ports of now."""
    at, depth = x << 3, config[f.BUFFER]
    count = inputs[at | f.COUNT]
    place = inputs[at | f.FIRST] + count
    if place >= depth:
        place -= depth
    buffer[place * config[f.ALL_VCS] + x] = flit
    inputs[at | f.COUNT] = count + 1
    if count:
        return
    shift = config[f.PORT_SHIFT] + config[f.VC_SHIFT]
    local = x & ((1 << shift) - 1)
    r = x >> shift
    word = (r << config[f.WORD_SHIFT]) + (local >> 6)
    bit = 1 << (local & 63)
    order[x] = (2 * t << 16) + local
    if flit & 1 == 0:
        bidding[word] |= bit
        bids[r >> 6] |= 1 << (r & 63)
        return
    step = packets[(flit >> 2 & 0xFFFFFFF) << 3 | f.STEP]
    inputs[at | f.OUT] = step >> 32
    inputs[at | f.MAY] = step & 0xFFFFFFFF
    inputs[at | f.READY] = t + config[f.ROUTE_DELAY]
    waiting[word] |= bit
    asks[r >> 6] |= 1 << (r & 63)


def advance(
    until: int, config: Any, stats: Any, sources: Any, packets: Any, spare: Any, targets: Any,
    trace: Any, integers: Any, fractions: Any, rate: Any, inputs: Any, outputs: Any, ports: Any,
    free_vcs: Any, buffer: Any, where: Any, paths: Any, waiting: Any, bidding: Any, fresh: Any,
    asks: Any, bids: Any, order: Any, found: Any, offered: Any, stands: Any, granted: Any,
    accepted: Any, wheel_to: Any, wheel_flit: Any, wheel_n: Any, back_to: Any, back_n: Any,
) -> None:  # fmt: skip
    """Run cycles until one, or until the drain, or the network, has nothing left to wait for."""
    t = stats[f.TIME]
    while t < until:
        state = stats[f.STATE]
        if state == f.DRAINING and stats[f.MEASURED] == 0 and stats[f.UNDRAINED] == 0:
            break
        if state == f.EMPTYING and stats[f.IN_FLIGHT] == 0 and stats[f.CREDITS] == 0:
            break
        slot = t & config[f.WHEEL]
        start = slot * config[f.SLOT]
        for i in range(back_n[slot]):
            credit(config, outputs, free_vcs, back_to[start + i])
        stats[f.CREDITS] -= back_n[slot]
        back_n[slot] = 0
        if state != f.EMPTYING:
            make(t, config, stats, sources, packets, spare, targets, trace, integers, fractions,
                 rate)  # fmt: skip
        send(t, config, sources, packets, ports, outputs, free_vcs, where, paths, integers,
             wheel_to, wheel_flit, wheel_n)  # fmt: skip
        for i in range(wheel_n[slot]):
            to, flit = wheel_to[start + i], wheel_flit[start + i]
            if to < 0:
                take(t, flit, -1 - to, config, stats, sources, packets, spare, back_to, back_n)
            else:
                arrive(t, flit, to, config, inputs, packets, buffer, waiting, bidding, asks, bids,
                       order)  # fmt: skip
        wheel_n[slot] = 0
        for k in range((config[f.ROUTERS] + 63) >> 6):
            bits = asks[k]
            while bits:
                allocate(t, k << 6 | lowest(bits), config, inputs, outputs, packets, buffer, where,
                         free_vcs, waiting, fresh, asks, bids, order, found,
                         offered)  # fmt: skip
                bits &= bits - 1
            bits = bids[k]
            while bits:
                switch(t, k << 6 | lowest(bits), config, stats, inputs, outputs, ports, packets,
                       buffer, where, paths, integers, free_vcs, waiting, bidding, fresh, asks,
                       bids, order, found, stands, granted, accepted, wheel_to, wheel_flit,
                       wheel_n, back_to, back_n)  # fmt: skip
                bits &= bits - 1
        t += 1
    stats[f.TIME] = t
