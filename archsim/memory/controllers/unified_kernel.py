"""The inner loop of the unified controller: requests in, commands out, from event to event.

Plain functions over flat integer arrays: numba compiles them, and plain Python runs the same text
on lists. Between two events nothing changes, so the clock jumps to the earliest of: a command is
legal, a refresh is due, a row is to be closed, a request may come. What a command does is in
`unified_issue`, how a request comes in `unified_accept`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from archsim.memory.controllers import unified_words as w
from archsim.memory.controllers.unified_accept import accept, retire
from archsim.memory.controllers.unified_choose import (
    searched,
    soonest_active,
    soonest_head,
    soonest_pair,
    soonest_queued,
    soonest_without_act,
)
from archsim.memory.controllers.unified_issue import issue, record
from archsim.memory.controllers.unified_upkeep import close_rows, refresh, rest

if TYPE_CHECKING:
    from collections.abc import MutableSequence

    Ints = MutableSequence[int]


def step(  # noqa: PLR0912, PLR0915 - every call costs compiled code its arrays
    st: Ints, cfg: Ints, rules: Ints, origin: int, c: int, tick: int, limit: int,
    latency: Ints, log: Ints,
) -> int:  # fmt: skip
    """One tick of one channel, or the first up to `limit` in which it issues something.

    Returns:
        That tick.
    """
    base = origin + c * cfg[w.WORDS]
    now = tick
    nb = cfg[w.BANKS]
    if now >= st[base + w.NEXT_REFRESH]:
        refresh(st, cfg, base, now)
    policy_at = w.NEVER
    if cfg[w.CLOSE_AFTER] > 0 or cfg[w.IDLE_LIMIT] > 0:
        policy_at = close_rows(st, cfg, base, now)
    horizon = min(limit, min(st[base + w.NEXT_REFRESH], policy_at) - 1)

    active = column = row = w.NEVER << w.PLACE_BITS
    t_head = w.NEVER
    head_key = 0
    forced = cfg[w.TWO_STEP] > 0 and (st[base + w.CAS_SOURCE] > 0 or st[base + w.DEADLINE] == now)
    if not forced:
        active = soonest_active(st, cfg, base, now)
        if st[base + w.N_FIFO] > 0:
            t_head, head_key = soonest_head(st, cfg, base, now)
        elif cfg[w.DUAL]:
            column, row = soonest_pair(st, cfg, base, now)
        elif active >> w.PLACE_BITS > now:
            if st[base + w.DEADLINE] < w.NEVER:
                column = soonest_without_act(st, cfg, base, now)
            else:
                column = soonest_queued(st, cfg, base, now)
        t = min(active >> w.PLACE_BITS, column >> w.PLACE_BITS, row >> w.PLACE_BITS, t_head)
        if t > now:
            if cfg[w.TWO_STEP] and st[base + w.DEADLINE] < w.NEVER:
                forced = True
            elif t > horizon:
                st[base + w.WAKE] = max(now + 1, min(t, policy_at, st[base + w.NEXT_REFRESH]))
                return now
            else:
                now = t
    source, place, key = 0, 0, 0
    if forced:
        source = st[base + w.CAS_SOURCE]
        place = st[base + w.CAS_PLACE]
        st[base + w.CAS_SOURCE] = 0
        if source == 0:
            source = w.SECOND_HALF
    elif active >> w.PLACE_BITS <= now:
        source, place = w.ACTIVE_LIST, active & w.PLACES
    elif column >> w.PLACE_BITS <= now:
        source, place = w.QUEUE, column & w.PLACES
    elif t_head <= now and not cfg[w.DUAL]:
        source, key = w.HEAD, head_key
    if source > 0:
        if source == w.ACTIVE_LIST:
            key = st[base + cfg[w.KEY] + st[base + cfg[w.ACTIVE_SLOT] + place]]
        elif source == w.QUEUE:
            key = st[base + cfg[w.KEY] + st[base + cfg[w.SLOT] + place]]
        command = key // nb
        b = key - command * nb
        if cfg[w.TWO_STEP] and not (forced and source != w.SECOND_HALF):
            clocked = command >= w.ACT or now < st[base + w.CAS_UNTIL]
            if source == w.SECOND_HALF or (not clocked and st[base + w.DEADLINE] <= now + 1):
                command, b = w.ACT2, st[base + w.STEP_BANK]
                st[base + w.DEADLINE] = w.NEVER
            elif not clocked:
                command = w.CAS
                st[base + w.CAS_SOURCE] = source
                st[base + w.CAS_PLACE] = place
        if (
            command < w.ACT
            and (not forced or cfg[w.UPGRADE] == 0)
            and st[base + cfg[w.COLUMNS] + b] >= cfg[w.UPGRADE]
            and st[base + cfg[w.READY] + (command + w.RDA) * nb + b] <= now
        ):
            command += w.RDA
        if len(log) > 0:
            record(st, origin, log, now, c, command, b)
        issue(st, cfg, rules, origin, base, command, b, now, source, place, latency)

    if cfg[w.DUAL]:
        if source > 0:  # what was legal may no longer be, and it may be the other queue's turn
            if st[base + w.N_FIFO] > 0:
                t_head, head_key = soonest_head(st, cfg, base, now)
            else:
                turn = st[base + w.WRITING]
                searched(st, cfg, base)
                again = st[base + w.WRITING] != turn
                if row >> w.PLACE_BITS <= now and not again:
                    if source == w.QUEUE and place < row & w.PLACES:
                        row -= 1  # the one before it has left
                    key = st[base + cfg[w.KEY] + st[base + cfg[w.SLOT] + (row & w.PLACES)]]
                    again = st[base + cfg[w.READY] + key] > now
                if again:
                    _, row = soonest_pair(st, cfg, base, now)
        if min(row >> w.PLACE_BITS, t_head) <= now:
            source, place, key = w.HEAD, 0, head_key
            if row >> w.PLACE_BITS <= now:
                source, place = w.QUEUE, row & w.PLACES
                key = st[base + cfg[w.KEY] + st[base + cfg[w.SLOT] + place]]
            command = key // nb
            b = key - command * nb
            if len(log) > 0:
                record(st, origin, log, now, c, command, b)
            issue(st, cfg, rules, origin, base, command, b, now, source, place, latency)
    st[base + w.WAKE] = now + 1
    return now


def advance(  # noqa: PLR0912, PLR0915 - every call costs compiled code its arrays
    st: Ints, cfg: Ints, rules: Ints, at: Ints, asked: Ints, first: int, n: int, origin: int,
    final: bool, latency: Ints, log: Ints,
) -> int:  # fmt: skip
    """Run one lane (channels fed by one list in order) until its requests are accepted or done.

    Args:
        st: State, `cfg[WORDS]` words a channel.
        cfg: Options and section starts.
        rules: Word of the first rule after each command, then the rules: first word of the
            follower, banks of a node, of its parent or 0, ticks, word of the window's history or 0,
            banks to which one follower counts.
        at: Tick of each request, or empty.
        asked: Requests, each `REQUEST_WORDS` words as `unified_lanes.decode` makes them.
        first: First request of the lane.
        n: End of its requests.
        origin: Word at which the lane's first channel starts.
        final: Whether to go on until everything is done, rather than to the last acceptance.
        latency: Latency of each read by its place in the whole list, or empty.
        log: Commands as tick, channel, command, bank, or empty.

    Returns:
        ACCEPTED, ALL_DONE, or STUCK when nothing can ever happen again.
    """
    i = first
    words = cfg[w.WORDS]
    cyc = st[origin + w.CLOCK]
    count = st[origin + w.INJECTED] if st[origin + w.INJECTED_AT] == cyc else 0
    while True:
        come_at = w.NEVER
        while i < n:  # requests come before the tick
            if count >= cfg[w.PER_TICK]:
                come_at = cyc + 1
                break
            come_at = max(cfg[w.START], st[origin + w.TAKEN] * cfg[w.GAP])
            if len(at) > 0:
                come_at = max(come_at, at[i])
            if cyc < come_at:
                break
            come_at = w.NEVER
            if cfg[w.OUTSTANDING] > 0:
                for c in range(cfg[w.CHANNELS]):
                    base = origin + c * words
                    st[origin + w.DONE] += retire(st, cfg, base, cyc)
                    if st[base + w.N_RING] > 0:
                        come_at = min(come_at, st[base + cfg[w.RING] + st[base + w.RING_HEAD]])
                if st[origin + w.TAKEN] - st[origin + w.DONE] >= cfg[w.OUTSTANDING]:
                    break
                come_at = w.NEVER
            x = w.REQUEST_WORDS * i
            base = origin + asked[x] * words
            if not accept(st, cfg, origin, base, cyc, asked, x, latency):
                break
            i += 1
            count += 1
        if i == n and not final:
            st[origin + w.CLOCK] = cyc
            st[origin + w.INJECTED] = count
            st[origin + w.INJECTED_AT] = cyc
            return w.ACCEPTED
        limit = come_at
        if i == n and st[origin + w.PENDING] == 0:
            limit = st[origin + w.LAST_DONE]
        waiting = st[origin + w.N_READ] + st[origin + w.N_WRITE] + st[origin + w.N_ACTIVE]
        if waiting == 0 and cfg[w.CHANNELS] == 1 and len(log) == 0:
            rest(st, cfg, origin, limit)
        tick = w.NEVER
        for c in range(cfg[w.CHANNELS]):
            tick = min(tick, st[origin + c * words + w.WAKE])
        count = 0
        if tick > limit:
            cyc = max(cyc, limit)
            if i == n:
                st[origin + w.CLOCK] = cyc
                return w.ALL_DONE
            continue
        if tick >= w.NEVER:
            return w.STUCK
        if cfg[w.CHANNELS] == 1:
            cyc = step(st, cfg, rules, origin, 0, tick, limit, latency, log)
            continue
        cyc = tick
        for c in range(cfg[w.CHANNELS]):
            if st[origin + c * words + w.WAKE] <= tick:
                step(st, cfg, rules, origin, c, tick, tick, latency, log)
