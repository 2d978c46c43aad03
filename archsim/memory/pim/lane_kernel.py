"""One lane from event to event: commands in order, ordinary accesses, refresh, and who waits.

Plain functions over flat integer arrays, which numba compiles; plain Python runs the same text on
lists. Commands of a trace go in strict order; of ordinary accesses the oldest that finds its row
open goes first, and the oldest of each bank decides over its row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from archsim.memory.pim import lane_words as w
from archsim.memory.pim.lane_issue import attempt, needed, ready

if TYPE_CHECKING:
    from collections.abc import MutableSequence

    Ints = MutableSequence[int]


def upkeep(st: Ints, cfg: Ints, pairs: Ints, spans: Ints, log: Ints) -> bool:
    """Refresh when it is due, before everything else; whether something was issued."""
    if cfg[w.EVERY] == 0 or st[w.NOW] < st[w.NEXT_REFRESH]:
        st[w.BLOCKED] = 0
        if cfg[w.EVERY] > 0:
            st[w.WAKE] = min(st[w.WAKE], st[w.NEXT_REFRESH])
        return False
    first, end = 0, cfg[w.BANKS]
    pair, close = cfg[w.REFRESH], cfg[w.CLOSE_ALL]
    st[w.BLOCKED] = (1 << cfg[w.BANKS]) - 1
    if cfg[w.EACH_BANK] > 0:
        first = st[w.REFRESH_AT]
        end = first + 1
        pair, close = cfg[w.REFRESH_BANK] + first, cfg[w.CLOSE_BANK] + first
        st[w.BLOCKED] = 1 << first
    for b in range(first, end):
        if cfg[w.BUFFERS] > 1 and st[cfg[w.ROWS] + cfg[w.BANKS] + b] >= 0:
            pair = cfg[w.CLOSE_PIM]
    for b in range(first, end):
        if st[cfg[w.ROWS] + b] >= 0:
            pair = close
    if cfg[w.CHANGE] >= 0 and st[w.REGISTERED] > 0:
        pair = cfg[w.CHANGE]
    if not attempt(st, cfg, pairs, spans, pair, w.CLOSED, w.UPKEEP, log):
        return False
    if pair == cfg[w.CHANGE]:
        st[w.REGISTERED] = 0
    elif pair in (cfg[w.REFRESH], cfg[w.REFRESH_BANK] + first):
        st[w.NEXT_REFRESH] += cfg[w.EVERY]
        st[w.REFRESH_AT] = (first + 1) % cfg[w.BANKS]
        st[w.BLOCKED] = 0
    return True


def change_owner(
    st: Ints, cfg: Ints, pairs: Ints, spans: Ints, asks: bool, n: int, log: Ints
) -> bool:
    """Under mode switching, let the memory change hands; whether something happened."""
    if st[w.NOW] < st[w.FREE]:
        st[w.WAKE] = min(st[w.WAKE], st[w.FREE])
    if cfg[w.SWITCHES] == 0 or st[w.BLOCKED] > 0 or st[w.NOW] < st[w.FREE]:
        return False
    commands = st[w.HEAD] < n
    if st[w.SWITCHING] == 0:
        mine, other = (asks, commands) if st[w.OWNER] == w.HOST else (commands, asks)
        held = st[w.NOW] - st[w.SINCE]
        out = held >= cfg[w.TURN] if cfg[w.TURN] > 0 else st[w.OWNER] == w.HOST
        if cfg[w.TURN] > 0 and st[w.PROGRESS] < st[w.SINCE]:
            out = False  # opening rows alone helps nobody
        if not other or (mine and not out):
            if other and held < cfg[w.TURN]:
                st[w.WAKE] = min(st[w.WAKE], st[w.SINCE] + cfg[w.TURN])
            return False
        st[w.SWITCHING] = 1
    if st[w.N_OPEN] > 0:
        return attempt(st, cfg, pairs, spans, cfg[w.CLOSE_ALL], w.CLOSED, w.UPKEEP, log)
    st[w.SWITCHING] = 0
    st[w.FREE] = st[w.NOW] + cfg[w.ENTER if st[w.OWNER] == w.HOST else w.LEAVE]
    st[w.SINCE] = st[w.FREE]
    st[w.OWNER] = w.PIM if st[w.OWNER] == w.HOST else w.HOST
    return True


def ahead(st: Ints, cfg: Ints, pairs: Ints, spans: Ints, ops: Ints, n: int, log: Ints) -> bool:
    """Open or close rows of the next command where it works in other banks than the oldest."""
    head = w.OP_WORDS * st[w.HEAD]
    if st[w.HEAD] + 1 >= n or ops[head + w.OP_WORDS] < 0:
        return False
    final, row = ops[head + w.OP_WORDS], ops[head + w.OP_WORDS + 1]
    pair = needed(st, cfg, pairs, spans, final, row)
    mask = pairs[w.PAIR_WORDS * pair + w.MASK]
    if pair == final or mask & pairs[w.PAIR_WORDS * ops[head] + w.MASK]:
        return False
    return attempt(st, cfg, pairs, spans, pair, row, w.PIM, log)


def command(st: Ints, cfg: Ints, pairs: Ints, spans: Ints, ops: Ints, n: int, log: Ints) -> bool:
    """Issue what the oldest command of the trace needs next, if it may."""
    st[w.BLAME_WHY] = w.IDLE
    st[w.BLAME_WHO] = w.PIM
    while st[w.HEAD] < n and ops[w.OP_WORDS * st[w.HEAD]] < 0:
        if st[w.NOW] < st[w.PIM_DUE]:
            st[w.WAKE] = min(st[w.WAKE], st[w.PIM_DUE])
            return False
        st[w.HEAD] += 1
        st[w.LEFT] = ops[w.OP_WORDS * st[w.HEAD] + 2] if st[w.HEAD] < n else 0
    if st[w.HEAD] == n:
        return False
    at = w.OP_WORDS * st[w.HEAD]
    final, row = ops[at], ops[at + 1]
    pair = needed(st, cfg, pairs, spans, final, row)
    if cfg[w.CHANGE] >= 0 and pairs[w.PAIR_WORDS * pair + w.REGISTER] != st[w.REGISTERED]:
        first = ready(st, cfg, pairs, spans, pair)
        if first > st[w.NOW]:  # the mode changes in place of a command that is legal
            st[w.WAKE] = min(st[w.WAKE], first)
            return False
        pair = cfg[w.CHANGE]
    if not attempt(st, cfg, pairs, spans, pair, row, w.PIM, log):
        if cfg[w.AHEAD] == 0:
            return False
        why, who = st[w.BLAME_WHY], st[w.BLAME_WHO]
        went = ahead(st, cfg, pairs, spans, ops, n, log)
        st[w.BLAME_WHY] = why
        st[w.BLAME_WHO] = who
        return went
    st[w.OPENING] = int(pairs[w.PAIR_WORDS * pair + w.EFFECT] == w.OPENS)
    if pair == cfg[w.CHANGE]:
        st[w.REGISTERED] = 1 - st[w.REGISTERED]
    elif pair == final:
        st[w.PROGRESS] = st[w.NOW]
        st[w.PIM_DUE] = max(st[w.PIM_DUE], st[w.NOW] + pairs[w.PAIR_WORDS * final + w.FLIGHT])
        st[w.LEFT] -= 1
        if st[w.LEFT] == 0:
            st[w.HEAD] += 1
            st[w.LEFT] = ops[w.OP_WORDS * st[w.HEAD] + 2] if st[w.HEAD] < n else 0
    return True


def access(
    st: Ints, cfg: Ints, pairs: Ints, spans: Ints, asked: Ints, done: Ints,
    log: Ints, commands: bool,
) -> bool:  # fmt: skip
    """Issue a column and a row command of ordinary accesses, if they may be."""
    issued, seen, claimed, why, who = False, 0, 0, w.IDLE, w.HOST
    m = len(done)
    # Commands that open several rows at once need a whole window: they would wait for ever.
    kept = st[w.NOW] - st[w.PIM_WENT] >= w.HOLD * cfg[w.WINDOW_TICKS]
    hold = cfg[w.HOLDS] > 0 and commands and (kept or st[w.OPENING] > 0)
    i = st[w.HOST_HEAD]
    while i < m and seen < cfg[w.DEPTH]:
        at = w.ASK_WORDS * i
        if done[i] > 0:
            i += 1
            continue
        if asked[at] > st[w.NOW]:
            st[w.WAKE] = min(st[w.WAKE], asked[at])
            break
        bank, row = asked[at + 2], asked[at + 3]
        found = st[cfg[w.ROWS] + bank]
        first = claimed & (1 << bank) == 0
        claimed |= 1 << bank
        seen += 1
        pair = -1
        if found == row:
            pair = cfg[w.WRITE if asked[at + 1] > 0 else w.READ] + bank
        elif first:
            pair = cfg[w.OPEN_BANK if found == w.CLOSED else w.CLOSE_BANK] + bank
        register = cfg[w.CHANGE] >= 0 and st[w.REGISTERED] > 0
        if pair >= 0 and hold and pairs[w.PAIR_WORDS * pair + w.EFFECT] == w.OPENS:
            st[w.BLAME_WHY] = w.FOR_OTHER
            st[w.BLAME_WHO] = w.PIM
        elif pair >= 0:
            next_pair = cfg[w.CHANGE] if register else pair
            went = attempt(st, cfg, pairs, spans, next_pair, row, w.HOST, log)
            if went and register:
                st[w.REGISTERED] = 0
            elif went and found == row:
                done[i] = 1
                st[w.HOST_LEFT] -= 1
                st[w.PROGRESS] = st[w.NOW]
                flight = pairs[w.PAIR_WORDS * pair + w.FLIGHT]
                st[w.HOST_DUE] = max(st[w.HOST_DUE], st[w.NOW] + flight)
            issued = issued or went
        if seen == 1:
            why, who = st[w.BLAME_WHY], st[w.BLAME_WHO]
        i += 1
    while st[w.HOST_HEAD] < m and done[st[w.HOST_HEAD]] > 0:
        st[w.HOST_HEAD] += 1
    st[w.BLAME_WHY] = why
    st[w.BLAME_WHO] = who
    return issued


def blame(st: Ints, cfg: Ints, party: int, owns: bool) -> int:
    """Why a party did not issue."""
    if not owns:
        return cfg[w.MODE_REASON] if st[w.SWITCHING] > 0 or st[w.NOW] < st[w.FREE] else w.FOR_OTHER
    if st[w.BLAME_WHO] not in (party, w.UPKEEP):
        return w.FOR_OTHER
    return st[w.BLAME_WHY]


def run(  # noqa: PLR0912 - every call costs compiled code its arrays
    st: Ints, cfg: Ints, pairs: Ints, spans: Ints, ops: Ints, n: int, asked: Ints, done: Ints,
    log: Ints,
) -> int:  # fmt: skip
    """Run a trace and ordinary accesses to their end.

    Args:
        st: State.
        cfg: Options and section starts.
        pairs: Commands with their banks, PAIR_WORDS each.
        spans: What the spans of pairs point to.
        ops: Commands of the trace, OP_WORDS each.
        n: How many.
        asked: Ordinary accesses by tick, ASK_WORDS each.
        done: A word for each of them, 0.
        log: Room for commands, or empty.

    Returns:
        DONE, or STUCK when nothing can happen again, or nothing that gets anybody further.
    """
    while st[w.HEAD] < n or st[w.HOST_LEFT] > 0:
        now = st[w.NOW]
        st[w.WAKE] = w.NEVER
        st[w.COLUMN_USED] = 0
        st[w.ROW_USED] = 0
        head, oldest = st[w.HOST_HEAD], st[w.HEAD]
        asks = st[w.HOST_LEFT] > 0 and asked[w.ASK_WORDS * head] <= now
        acted = upkeep(st, cfg, pairs, spans, log)
        acted = change_owner(st, cfg, pairs, spans, asks, n, log) or acted
        free = cfg[w.SWITCHES] == 0 or (st[w.SWITCHING] == 0 and now >= st[w.FREE])
        pim_owns = free and (cfg[w.SWITCHES] == 0 or st[w.OWNER] == w.PIM)
        host_owns = free and (cfg[w.SWITCHES] == 0 or st[w.OWNER] == w.HOST)
        pim_went, host_went = False, False
        pim_why, host_why = w.IDLE, w.IDLE
        if st[w.HOST_LEFT] > 0 and not asks:
            if st[w.HEAD] == n:
                st[w.PATIENT] = asked[w.ASK_WORDS * head]
            st[w.WAKE] = min(st[w.WAKE], asked[w.ASK_WORDS * head])
        for turn in range(2):
            if (turn == 0) == (st[w.LAST] == w.HOST):
                if st[w.HEAD] < n:
                    pim_went = pim_owns and command(st, cfg, pairs, spans, ops, n, log)
                    pim_why = blame(st, cfg, w.PIM, pim_owns)
            elif asks:
                host_went = host_owns and access(
                    st, cfg, pairs, spans, asked, done, log, pim_owns and st[w.HEAD] < n
                )
                host_why = blame(st, cfg, w.HOST, host_owns)
        if pim_went != host_went:
            st[w.LAST] = w.PIM if pim_went else w.HOST
        if pim_went or not pim_owns:
            st[w.PIM_WENT] = now
        acted = acted or pim_went or host_went or st[w.HEAD] > oldest
        following = now + 1 if acted else st[w.WAKE]
        if following >= w.NEVER:
            return w.STUCK if st[w.HEAD] < n or st[w.HOST_LEFT] > 0 else w.DONE
        if not pim_went:
            st[cfg[w.WAITS] + w.PIM * cfg[w.REASONS] + pim_why] += following - now
        if not host_went:
            st[cfg[w.WAITS] + w.HOST * cfg[w.REASONS] + host_why] += following - now
        st[w.NOW] = following
        since = following - max(st[w.PROGRESS], st[w.PATIENT])
        if since > cfg[w.LONGEST]:
            return w.STUCK
    return w.DONE
