"""What a unified controller decides by itself: refreshes that fall due and rows to be closed.

Both join one list of maintenance commands, which goes before all waiting requests. Its commands are
issued by `unified_kernel`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from archsim.memory.controllers import unified_words as w

if TYPE_CHECKING:
    from collections.abc import MutableSequence

    Ints = MutableSequence[int]


def push(st: Ints, cfg: Ints, base: int, key: int) -> None:
    """Append a command to the list of maintenance."""
    k = (st[base + w.FIFO_HEAD] + st[base + w.N_FIFO]) % cfg[w.FIFO_SIZE]
    st[base + cfg[w.FIFO] + k] = key
    st[base + w.N_FIFO] += 1


def refresh(st: Ints, cfg: Ints, base: int, now: int) -> None:
    """Append the refreshes due at a tick and note when the next is due."""
    banks = cfg[w.BANKS]
    if cfg[w.REFRESH] == w.ALL_BANK:
        for b in range(0, banks, cfg[w.SCOPE]):
            push(st, cfg, base, w.REFAB * banks + b)
        st[base + w.NEXT_REFRESH] += cfg[w.REFRESH_TICKS]
    elif cfg[w.REFRESH] == w.PER_BANK:
        push(st, cfg, base, w.REFPB * banks + st[base + w.CURSOR])
        st[base + w.CURSOR] = (st[base + w.CURSOR] + 1) % banks
        st[base + w.NEXT_REFRESH] += cfg[w.REFRESH_TICKS]
    else:
        interleaved(st, cfg, base, now)


def interleaved(st: Ints, cfg: Ints, base: int, now: int) -> None:
    """The same bank of every pseudo-channel, one a tick; bank after bank, stack id after stack id.

    A set (the banks of a stack id in a pseudo-channel) comes again only nRFCpb after the last of
    its banks has joined.
    """
    banks = cfg[w.BANKS]
    half = cfg[w.SCOPE]  # banks of a pseudo-channel
    own = half // cfg[w.SETS]
    if st[base + w.LISTED] == 0:
        cursor = st[base + w.CURSOR]
        free = True
        for k in range(cursor // own, banks // own, cfg[w.SETS]):
            if st[base + cfg[w.ALLOWED] + k] > now:
                free = False
        if free:
            st[base + w.LISTED] = banks // half
            st[base + w.LIST_BANK] = cursor
            st[base + w.CURSOR] = (cursor + 1) % half
            st[base + w.REFRESH_AFTER] += cfg[w.REFRESH_TICKS]
        else:
            st[base + w.REFRESH_AFTER] = now + 1
    if st[base + w.LISTED] > 0:
        b = st[base + w.LIST_BANK]
        push(st, cfg, base, w.REFPB * banks + b)
        st[base + w.LIST_BANK] += half
        st[base + w.LISTED] -= 1
        k = b // own
        st[base + cfg[w.JOINED] + k] += 1
        if st[base + cfg[w.JOINED] + k] == own:
            st[base + cfg[w.JOINED] + k] = 0
            st[base + cfg[w.ALLOWED] + k] = now + cfg[w.REFRESH_BANK_TICKS]
    st[base + w.NEXT_REFRESH] = now + 1
    if st[base + w.LISTED] == 0:
        st[base + w.NEXT_REFRESH] = max(now + 1, st[base + w.REFRESH_AFTER])


def close_rows(st: Ints, cfg: Ints, base: int, now: int) -> int:
    """Append a precharge for each row that the policy closes now; returns when the next may be."""
    banks = cfg[w.BANKS]
    ready = base + cfg[w.READY] + w.PRE * banks
    soonest = w.NEVER
    for b in range(banks):
        if (
            st[base + cfg[w.OPEN] + b] < 0
            or st[base + cfg[w.FLAG] + b]
            or st[base + cfg[w.COLUMNS] + b] < cfg[w.CLOSE_AFTER]
        ):
            continue
        t = max(st[ready + b], st[base + cfg[w.LAST] + b] + cfg[w.IDLE_LIMIT])
        if t > now:
            soonest = min(soonest, t)
        else:
            st[base + cfg[w.FLAG] + b] = 1
            push(st, cfg, base, w.PRE * banks + b)
    return soonest


def rest(st: Ints, cfg: Ints, base: int, until: int) -> None:
    """Pass over whole rounds of refreshes of a channel that has no requests until a tick.

    With every bank closed a round leaves the state of the round before, later by its length; the
    last rounds are run, so that whatever still matters at the end is there.
    """
    kind = cfg[w.REFRESH]
    if kind not in (w.ALL_BANK, w.PER_BANK):
        return
    banks = cfg[w.BANKS]
    a_round = cfg[w.REFRESH_TICKS] * (banks if kind == w.PER_BANK else 1)
    rounds = (until - st[base + w.NEXT_REFRESH]) // a_round - w.ROUNDS_RUN
    if rounds <= 0 or until >= w.NEVER or st[base + w.N_FIFO] > 0:
        return
    for b in range(banks):
        if st[base + cfg[w.OPEN] + b] >= 0:
            return
    st[base + w.NEXT_REFRESH] += rounds * a_round
    st[base + w.WAKE] = st[base + w.NEXT_REFRESH]
    if kind == w.ALL_BANK:
        st[base + w.COUNT + w.REFAB] += rounds * (banks // cfg[w.SCOPE])
    else:
        st[base + w.COUNT + w.REFPB] += rounds * banks
