"""When a command of a lane is legal, what it does to rows and to others, and what it needs first.

Plain functions over flat integer arrays, which numba compiles; plain Python runs the same text on
lists. Who issues what is in `lane_kernel`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from archsim.memory.pim import lane_words as w

if TYPE_CHECKING:
    from collections.abc import MutableSequence

    Ints = MutableSequence[int]


def ready(st: Ints, cfg: Ints, pairs: Ints, spans: Ints, pair: int) -> int:
    """First tick at which a pair is legal; says in BLAME_WHY and BLAME_WHO what holds it."""
    base = w.PAIR_WORDS * pair
    first, found = 0, -1
    for x in range(pairs[base + w.CHECK_START], pairs[base + w.CHECK_END]):
        if st[cfg[w.READY] + spans[x]] > first:
            first, found = st[cfg[w.READY] + spans[x]], spans[x]
    if found >= 0:
        st[w.BLAME_WHY] = st[cfg[w.WHY] + found]
        st[w.BLAME_WHO] = st[cfg[w.WHO] + found]
    weight = pairs[base + w.WEIGHT]
    if weight > 0 and cfg[w.WINDOW_SIZE] > 0:
        newest = cfg[w.WINDOW_SIZE] - weight
        if st[cfg[w.RING] + newest] + cfg[w.WINDOW_TICKS] > first:
            first = st[cfg[w.RING] + newest] + cfg[w.WINDOW_TICKS]
            st[w.BLAME_WHY] = cfg[w.WINDOW_REASON]
            st[w.BLAME_WHO] = st[cfg[w.RING_WHO] + newest]
    return first


def needed(st: Ints, cfg: Ints, pairs: Ints, spans: Ints, pair: int, row: int) -> int:
    """Pair that a command needs next: itself, or one that opens or closes a piece of its rows."""
    base = w.PAIR_WORDS * pair
    opens = -1
    for x in range(pairs[base + w.NEED_START], pairs[base + w.NEED_END], w.NEED_WORDS):
        piece = w.PAIR_WORDS * spans[x]
        rows = cfg[w.ROWS] + pairs[piece + w.BUFFER] * cfg[w.BANKS]
        same, closed, banks = 0, 0, 0
        for y in range(pairs[piece + w.BANK_START], pairs[piece + w.BANK_END]):
            found = st[rows + spans[y]]
            same += found == row
            closed += found == w.CLOSED
            banks += 1
        if same == banks:
            continue
        if closed + cfg[w.REOPENS] * same < banks:
            return spans[x + 1]
        if opens < 0:
            opens = spans[x]
    return pair if opens < 0 else opens


def set_rows(st: Ints, cfg: Ints, pairs: Ints, spans: Ints, pair: int, row: int, now: int) -> None:
    """Banks of a pair get a row, or are closed."""
    base = w.PAIR_WORDS * pair
    count = st[w.N_OPEN]
    st[w.OPEN_BANK_TICKS] += count * (now - st[w.CHANGED])
    if count > 0:
        st[w.ROW_TICKS] += now - st[w.CHANGED]
    st[w.CHANGED] = now
    rows = cfg[w.ROWS] + pairs[base + w.BUFFER] * cfg[w.BANKS]
    for y in range(pairs[base + w.BANK_START], pairs[base + w.BANK_END]):
        count += (row >= 0) - (st[rows + spans[y]] >= 0)
        st[rows + spans[y]] = row
    st[w.N_OPEN] = count


def issue(
    st: Ints, cfg: Ints, pairs: Ints, spans: Ints, pair: int, row: int, party: int, log: Ints
) -> None:
    """Issue a pair now.

    Args:
        st: State.
        cfg: Options.
        pairs: Pairs, PAIR_WORDS each.
        spans: What the spans of pairs point to.
        pair: What is issued.
        row: Row of the request.
        party: Who issues it.
        log: Room for commands, LOG_WORDS each; or empty.
    """
    now = st[w.NOW]
    base = w.PAIR_WORDS * pair
    st[cfg[w.COUNTS] + party * cfg[w.COMMANDS] + pairs[base + w.COMMAND]] += 1
    for x in range(pairs[base + w.AFTER_START], pairs[base + w.AFTER_END], w.AFTER_WORDS):
        word, until = spans[x], now + spans[x + 1]
        if until > st[cfg[w.READY] + word]:
            st[cfg[w.READY] + word] = until
            st[cfg[w.WHY] + word] = spans[x + 2]
            st[cfg[w.WHO] + word] = party
    for _ in range(pairs[base + w.WEIGHT]):
        for i in range(cfg[w.WINDOW_SIZE] - 1, 0, -1):
            st[cfg[w.RING] + i] = st[cfg[w.RING] + i - 1]
            st[cfg[w.RING_WHO] + i] = st[cfg[w.RING_WHO] + i - 1]
        if cfg[w.WINDOW_SIZE] > 0:
            st[cfg[w.RING]] = now
            st[cfg[w.RING_WHO]] = party
    if pairs[base + w.EFFECT] == w.OPENS:
        set_rows(st, cfg, pairs, spans, pair, row, now)
    elif pairs[base + w.EFFECT] == w.CLOSES:
        set_rows(st, cfg, pairs, spans, pair, w.CLOSED, now)
    if pairs[base + w.COLUMN] > 0:
        st[w.COLUMN_USED] = 1
    else:
        st[w.ROW_USED] = 1
    at = st[w.LOGGED]
    if at + w.LOG_WORDS <= len(log):
        log[at] = now
        log[at + 1] = pair
        log[at + 2] = row
        log[at + 3] = party
    st[w.LOGGED] = at + w.LOG_WORDS


def free_slot(st: Ints, cfg: Ints, pairs: Ints, pair: int) -> bool:
    """Whether the command bus has room for a pair in this tick."""
    if cfg[w.SLOTS] == 1:
        return st[w.COLUMN_USED] + st[w.ROW_USED] == 0
    if pairs[w.PAIR_WORDS * pair + w.COLUMN] > 0:
        return st[w.COLUMN_USED] == 0
    return st[w.ROW_USED] == 0


def attempt(
    st: Ints, cfg: Ints, pairs: Ints, spans: Ints, pair: int, row: int, party: int, log: Ints
) -> bool:
    """Issue a pair if it may be issued now; else say why not and when."""
    if pairs[w.PAIR_WORDS * pair + w.MASK] & st[w.BLOCKED] and party != w.UPKEEP:
        st[w.BLAME_WHY] = cfg[w.REFRESH_REASON]
        st[w.BLAME_WHO] = party
        return False
    first = ready(st, cfg, pairs, spans, pair)
    if first > st[w.NOW]:
        st[w.WAKE] = min(st[w.WAKE], first)
        return False
    if not free_slot(st, cfg, pairs, pair):
        st[w.BLAME_WHY] = w.BUS
        st[w.BLAME_WHO] = party
        st[w.WAKE] = st[w.NOW] + 1
        return False
    issue(st, cfg, pairs, spans, pair, row, party, log)
    return True
