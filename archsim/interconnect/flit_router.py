"""VC allocation and switch allocation of input-queued routers, one round of iSLIP each.

One router for one cycle; flits that win the switch are put on their wires.
McKeown, "The iSLIP scheduling algorithm for input-queued switches", 1999; pipeline and order as in
BookSim2. Written so that numba compiles it and plain Python runs the same text.
"""

from __future__ import annotations

from typing import Any

from archsim.interconnect import flit_fields as f
from archsim.interconnect.flit_adaptive import choose
from archsim.interconnect.flit_bits import lowest
from archsim.interconnect.flit_route import route


def in_order(found: Any, n: int, order: Any) -> None:
    """Sort VCs as they joined: routes that are drawn take their random numbers so."""
    for i in range(1, n):
        x = found[i]
        j = i
        while j > 0 and order[found[j - 1]] > order[x]:
            found[j] = found[j - 1]
            j -= 1
        found[j] = x


def grant(
    t: int, n: int, shared: int, base: int, config: Any, inputs: Any, outputs: Any, free_vcs: Any,
    found: Any, offered: Any,
) -> None:  # fmt: skip
    """Every free VC of outputs that more than one head may want grants the nearest to its pointer.

    `shared` has a bit for each such output, modulo 32: the others do no harm.
    """
    vc_shift = config[f.VC_SHIFT]
    local = (1 << (vc_shift + config[f.PORT_SHIFT])) - 1
    for again in range(2):
        for i in range(n):
            x = found[i]
            at = x << 3
            out = inputs[at | f.OUT]
            if shared >> (out & 31) & 1 == 0 or inputs[at | f.READY] > t:
                continue
            bits = free_vcs[base >> vc_shift | out] & inputs[at | f.MAY]
            while bits:
                y = out << vc_shift | lowest(bits)
                bits &= bits - 1
                far = (x - outputs[(base | y) << 1 | f.GRANTS]) & local
                offered[y] = min(offered[y], far << 32 | x) if again else f.FARTHEST


def accept(
    t: int, r: int, x: int, rank: int, shared: int, config: Any, inputs: Any, outputs: Any,
    free_vcs: Any, waiting: Any, fresh: Any, order: Any, offered: Any,
) -> None:  # fmt: skip
    """A head takes the first VC granted to it at or after its pointer, if there is one."""
    vc_shift, port_shift = config[f.VC_SHIFT], config[f.PORT_SHIFT]
    shift = vc_shift + port_shift
    mask = (1 << shift) - 1
    at = x << 3
    out = inputs[at | f.OUT]
    port = r << port_shift | out
    got = free_vcs[port] & inputs[at | f.MAY]
    if shared >> (out & 31) & 1:
        bits = got
        while bits:
            v = lowest(bits)
            bits &= bits - 1
            got ^= 0 if offered[out << vc_shift | v] & 0xFFFFFFFF == x else 1 << v
    if got == 0:
        return
    turn = inputs[at | f.ASKS]
    start = turn & ((1 << vc_shift) - 1) if turn >> vc_shift == out else 0
    later = got >> start << start
    chosen = lowest(later if later else got)
    y = out << vc_shift | chosen
    owned = r << shift | y
    inputs[at | f.OWNS] = owned
    inputs[at | f.ASKS] = (y + 1) & mask
    inputs[at | f.READY] = t + config[f.VC_DELAY]
    outputs[owned << 1 | f.GRANTS] = (x + 1) & mask
    outputs[owned << 1 | f.USED] += config[f.HOLDS]
    free_vcs[port] ^= 1 << chosen
    order[x] = (-1 - t << 16) + rank  # in front of those that bid already
    word, bit = (r << config[f.WORD_SHIFT]) + ((x & mask) >> 6), 1 << (x & mask & 63)
    waiting[word] ^= bit
    fresh[word] |= bit


def allocate(
    t: int, r: int, config: Any, inputs: Any, outputs: Any, packets: Any, buffer: Any, where: Any,
    free_vcs: Any, waiting: Any, fresh: Any, asks: Any, bids: Any, order: Any, found: Any,
    offered: Any,
) -> None:  # fmt: skip
    """Heads that wait ask for free VCs of their output; who gets one bids for the switch later.

    Every free output VC grants the first asker at or after its pointer, every asker accepts the
    first grant at or after its own; on accept both move to one past the partner.
    """
    shift, word_shift = config[f.VC_SHIFT] + config[f.PORT_SHIFT], config[f.WORD_SHIFT]
    n = seen = shared = 0
    for w in range(1 << word_shift):
        bits = waiting[(r << word_shift) + w]
        while bits:
            x = (r << shift) + (w << 6) + lowest(bits)
            bits &= bits - 1
            found[n] = x
            n += 1
            if config[f.ROUTING] == f.ADAPTIVE:
                choose(r, x, config, inputs, free_vcs, packets, buffer, where)
            wanted = 1 << (inputs[x << 3 | f.OUT] & 31)
            shared |= seen & wanted
            seen |= wanted
    if n > 1 and config[f.COINS]:
        in_order(found, n, order)
    if shared:
        grant(t, n, shared, r << shift, config, inputs, outputs, free_vcs, found, offered)
    for i in range(n):
        if config[f.SLOW] == 0 or inputs[found[i] << 3 | f.READY] <= t:
            accept(t, r, found[i], i, shared, config, inputs, outputs, free_vcs, waiting, fresh,
                   order, offered)  # fmt: skip
    left = 0
    for w in range(1 << word_shift):
        left |= waiting[(r << word_shift) + w]
    asks[r >> 6] ^= 0 if left else 1 << (r & 63)
    bids[r >> 6] |= 1 << (r & 63)


def contend(
    r: int, n: int, config: Any, inputs: Any, ports: Any, found: Any, stands: Any, granted: Any,
    accepted: Any,
) -> int:  # fmt: skip
    """Keep those of n bidders that win the switch, and say how many.

    One VC stands for each pair of ports: the first at or after its input's pointer. Outputs grant
    and inputs accept as in `allocate`.
    """
    vc_shift, port_shift = config[f.VC_SHIFT], config[f.PORT_SHIFT]
    vc_mask, port_mask = (1 << vc_shift) - 1, (1 << port_shift) - 1
    for i in range(n):
        x = found[i]
        into, out = x >> vc_shift & port_mask, inputs[x << 3 | f.OUT]
        granted[out] = accepted[into] = stands[into << port_shift | out] = f.FARTHEST
    for i in range(n):
        x = found[i]
        into, out = x >> vc_shift & port_mask, inputs[x << 3 | f.OUT]
        pair = into << port_shift | out
        far = (x - ports[(r << port_shift | into) << 4 | f.VC_TURN]) & vc_mask
        stands[pair] = min(stands[pair], far << 32 | x)
        far = (into - ports[(r << port_shift | out) << 4 | f.OUT_TURN]) & port_mask
        granted[out] = min(granted[out], far << 32 | into)
    for i in range(n):
        into, out = found[i] >> vc_shift & port_mask, inputs[found[i] << 3 | f.OUT]
        far = (out - ports[(r << port_shift | into) << 4 | f.IN_TURN]) & port_mask
        nearest = far << 32 | out if granted[out] & 0xFFFFFFFF == into else f.FARTHEST
        accepted[into] = min(accepted[into], nearest)
    kept = 0
    for i in range(n):
        x = found[i]
        into, out = x >> vc_shift & port_mask, inputs[x << 3 | f.OUT]
        stood = stands[into << port_shift | out] & 0xFFFFFFFF
        found[kept] = x
        kept += 1 if (stood ^ x) | (accepted[into] & 0xFFFFFFFF ^ out) == 0 else 0
    return kept


def forward(
    t: int, r: int, x: int, rank: int, config: Any, inputs: Any, outputs: Any, ports: Any,
    packets: Any, buffer: Any, where: Any, paths: Any, integers: Any, free_vcs: Any, waiting: Any,
    bidding: Any, asks: Any, order: Any, wheel_to: Any, wheel_flit: Any, wheel_n: Any,
    back_to: Any, back_n: Any,
) -> None:  # fmt: skip
    """The front flit of an input VC goes on its wire, and its credit back."""
    vc_shift, port_shift = config[f.VC_SHIFT], config[f.PORT_SHIFT]
    shift = vc_shift + port_shift
    vc_mask, port_mask = (1 << vc_shift) - 1, (1 << port_shift) - 1
    at = x << 3
    into, out, owned = x >> vc_shift & port_mask, inputs[at | f.OUT], inputs[at | f.OWNS]
    in_port, port = (r << port_shift | into) << 4, (r << port_shift | out) << 4
    ports[in_port | f.VC_TURN] = (x + 1) & vc_mask
    ports[in_port | f.IN_TURN] = (out + 1) & port_mask
    ports[port | f.OUT_TURN] = (into + 1) & port_mask
    ports[port | f.NEXT] = t + ports[port | f.PERIOD]
    ports[port | f.SENT] += 1
    first = inputs[at | f.FIRST]
    flit = buffer[first * config[f.ALL_VCS] + x]
    first += 1
    left = inputs[at | f.COUNT] - 1
    inputs[at | f.FIRST] = 0 if first == config[f.BUFFER] or left == 0 else first
    inputs[at | f.COUNT] = left
    to = ports[port | f.TO]
    if flit & 1:
        packet = flit >> 2 & 0xFFFFFFF
        packets[packet << 3 | f.HOPS] += 1
        if to >= 0:
            route(to >> shift, packet, out, config, packets, where, paths, integers)
    slot = (t + ports[port | f.FLIT_DELAY]) & config[f.WHEEL]
    event = slot * config[f.SLOT] + wheel_n[slot]
    wheel_n[slot] += 1
    wheel_to[event] = -1 - owned if to < 0 else to | (owned & vc_mask)
    wheel_flit[event] = flit
    slot = (t + ports[in_port | f.BACK_DELAY]) & config[f.WHEEL]
    back_to[slot * config[f.SLOT] + back_n[slot]] = ports[in_port | f.BACK] | (x & vc_mask)
    back_n[slot] += 1
    tail = flit >> 1 & 1
    outputs[owned << 1 | f.USED] += 1 - (tail & config[f.HOLDS])
    word = (r << config[f.WORD_SHIFT]) + ((x & ((1 << shift) - 1)) >> 6)
    bit = 1 << (x & ((1 << shift) - 1) & 63)
    if tail or left == 0:
        bidding[word] ^= bit
    if tail == 0 or config[f.HOLDS]:
        return
    free_vcs[port >> 4] |= 1 << (owned & vc_mask)
    if left:  # the packet behind it waits from the next cycle on
        flit = buffer[inputs[at | f.FIRST] * config[f.ALL_VCS] + x]
        step = packets[(flit >> 2 & 0xFFFFFFF) << 3 | f.STEP]
        inputs[at | f.OUT] = step >> 32
        inputs[at | f.MAY] = step & 0xFFFFFFFF
        inputs[at | f.READY] = t + 1 + config[f.ROUTE_DELAY]
        order[x] = (2 * t + 1 << 16) + rank
        waiting[word] |= bit
        asks[r >> 6] |= 1 << (r & 63)


def switch(
    t: int, r: int, config: Any, stats: Any, inputs: Any, outputs: Any, ports: Any, packets: Any,
    buffer: Any, where: Any, paths: Any, integers: Any, free_vcs: Any, waiting: Any, bidding: Any,
    fresh: Any, asks: Any, bids: Any, order: Any, found: Any, stands: Any, granted: Any,
    accepted: Any, wheel_to: Any, wheel_flit: Any, wheel_n: Any, back_to: Any, back_n: Any,
) -> None:  # fmt: skip
    """VCs with a flit and a credit bid; one flit an input and an output goes on its wire."""
    vc_shift, port_shift = config[f.VC_SHIFT], config[f.PORT_SHIFT]
    word_shift, slow, limit = config[f.WORD_SHIFT], config[f.SLOW], config[f.LIMIT]
    base, word = r << (vc_shift + port_shift), r << word_shift
    n = ins = outs = clash = 0
    for w in range(1 << word_shift):
        bits = bidding[word + w]
        bidding[word + w] = bits | fresh[word + w]
        fresh[word + w] = 0
        while bits:
            x = base + (w << 6) + lowest(bits)
            bits &= bits - 1
            at = x << 3
            out = inputs[at | f.OUT]
            if outputs[inputs[at | f.OWNS] << 1 | f.USED] >= limit:
                continue
            if ports[(r << port_shift | out) << 4 | f.NEXT] > t:
                continue
            if slow and inputs[at | f.READY] > t:
                continue
            found[n] = x
            n += 1
            by, to = 1 << (x >> vc_shift & (1 << port_shift) - 1 & 31), 1 << (out & 31)
            clash |= ins & by | outs & to
            ins |= by
            outs |= to
    if clash:
        n = contend(r, n, config, inputs, ports, found, stands, granted, accepted)
    if n > 1 and config[f.COINS]:
        in_order(found, n, order)
    for i in range(n):
        forward(t, r, found[i], i, config, inputs, outputs, ports, packets, buffer, where,
                paths, integers, free_vcs, waiting, bidding, asks, order, wheel_to, wheel_flit,
                wheel_n, back_to, back_n)  # fmt: skip
    stats[f.CREDITS] += n
    left = 0
    for w in range(1 << word_shift):
        left |= bidding[word + w]
    bids[r >> 6] ^= 0 if left else 1 << (r & 63)
