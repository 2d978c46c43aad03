"""One command leaves a unified controller: timing rules, rows, lists and counters follow.

Which command that is was chosen by `unified_kernel`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from archsim.memory.controllers import unified_words as w
from archsim.memory.controllers.unified_accept import returns

if TYPE_CHECKING:
    from collections.abc import MutableSequence

    Ints = MutableSequence[int]


def raise_to(st: Ints, first: int, end: int, stride: int, t: int) -> None:
    """Make every stride-th of some words at least t."""
    x = first
    if x >= 0 and stride == 1:  # a compiler that knows both does eight words at a time
        while x < end:
            st[x] = max(st[x], t)
            x += 1
    else:
        while x < end:
            st[x] = max(st[x], t)
            x += stride


def obey(st: Ints, cfg: Ints, rules: Ints, base: int, command: int, b: int, now: int) -> None:
    """Put off every command that a timing rule puts off, once `command` is issued at a bank."""
    ready = base + cfg[w.READY]
    for e in range(rules[command], rules[command + 1], w.RULE_WORDS):
        span = rules[e + 1]
        t = now + rules[e + 3]
        low = b & -span
        if rules[e + 4] > 0:  # the oldest of a window counts, not this one
            window = rules[e + 6]
            own = base + rules[e + 4] + low // span * (window + 1)
            s = st[own] % window + 1
            st[own] = s
            st[own + s] = now
            t = st[own + s % window + 1] + rules[e + 3]
        first = ready + rules[e] + low
        outer = rules[e + 2]
        if outer == 0:
            raise_to(st, first, first + span, rules[e + 5], t)
        else:  # the other nodes of the same parent
            parent = ready + rules[e] + (b & -outer)
            raise_to(st, parent, first, rules[e + 5], t)
            raise_to(st, first + span, parent + outer, rules[e + 5], t)


def record(st: Ints, origin: int, log: Ints, now: int, c: int, command: int, b: int) -> None:
    """Write a command into the log, as far as it reaches."""
    k = 4 * st[origin + w.LOGGED]
    if k + 3 < len(log):
        log[k] = now
        log[k + 1] = c
        log[k + 2] = command
        log[k + 3] = b
    st[origin + w.LOGGED] += 1


def rekey(st: Ints, cfg: Ints, base: int, b: int) -> None:
    """Say anew what each request waiting for a bank needs next, after the bank or they changed."""
    nb = cfg[w.BANKS]
    row = st[base + cfg[w.OPEN] + b]
    first = st[base + cfg[w.FIRST] + b]
    read_hit = write_hit = w.NEVER  # arrival of the oldest hit
    if cfg[w.ROW_HIT_FIRST] and row >= 0:
        s = first
        while s >= 0:
            if st[base + cfg[w.ROW] + s] == row:
                if st[base + cfg[w.IS_WRITE] + s]:
                    write_hit = min(write_hit, st[base + cfg[w.ARRIVAL] + s])
                else:
                    read_hit = min(read_hit, st[base + cfg[w.ARRIVAL] + s])
            s = st[base + cfg[w.NEXT_SLOT] + s]
    other = (w.BLOCKED if st[base + cfg[w.USED] + b] > 0 else w.PRE) * nb + b
    s = first
    while s >= 0:
        write = st[base + cfg[w.IS_WRITE] + s]
        if row < 0:
            st[base + cfg[w.KEY] + s] = w.ACT * nb + b
        elif st[base + cfg[w.ROW] + s] == row:
            st[base + cfg[w.KEY] + s] = write * nb + b
        elif (write_hit if write else read_hit) <= st[base + cfg[w.ARRIVAL] + s]:
            st[base + cfg[w.KEY] + s] = w.BLOCKED * nb + b
        else:
            st[base + cfg[w.KEY] + s] = other
        s = st[base + cfg[w.NEXT_SLOT] + s]


def leave_queue(st: Ints, cfg: Ints, base: int, b: int, place: int) -> None:
    """Take a request out of its queue and of its bank's list."""
    order = base + cfg[w.SLOT]
    s = st[order + place]
    reads = cfg[w.READ_SIZE]
    if place >= reads:
        st[base + w.N_WRITE] -= 1
        end = reads + st[base + w.N_WRITE]
    else:
        st[base + w.N_READ] -= 1
        end = st[base + w.N_READ]
    for k in range(order + place, order + end):
        st[k] = st[k + 1]
    at = base + cfg[w.FIRST] + b
    while st[at] != s:
        at = base + cfg[w.NEXT_SLOT] + st[at]
    st[at] = st[base + cfg[w.NEXT_SLOT] + s]


def column(
    st: Ints, cfg: Ints, origin: int, base: int, command: int, b: int, now: int, s: int,
    latency: Ints,
) -> None:  # fmt: skip
    """A request has its column access: a write is done, a read's data is on its way."""
    st[base + cfg[w.FREE] + st[base + w.N_FREE]] = s
    st[base + w.N_FREE] += 1
    st[base + cfg[w.COLUMNS] + b] += 1
    st[base + cfg[w.LAST] + b] = now
    number = st[base + cfg[w.NUMBER] + s]
    asked_now = number >= st[origin + w.FROM]
    if asked_now:
        st[origin + w.PENDING] -= 1
    if command in (w.RD, w.RDA):
        t = now + cfg[w.LATENCY] - st[base + cfg[w.ARRIVAL] + s]
        st[base + w.LATENCY_SUM] += t
        st[base + w.LATENCY_MAX] = max(st[base + w.LATENCY_MAX], t)
        if len(latency) > 0:
            latency[number] = t
        returns(st, cfg, origin, base, number, now + cfg[w.LATENCY])
        st[base + w.CAS_UNTIL] = max(st[base + w.CAS_UNTIL], now + cfg[w.WCK_READ])
    else:
        st[origin + w.DONE] += 1
        if asked_now:
            st[origin + w.LAST_DONE] = max(st[origin + w.LAST_DONE], now)
        st[base + w.CAS_UNTIL] = max(st[base + w.CAS_UNTIL], now + cfg[w.WCK_WRITE])


def issue(  # noqa: PLR0912 - every call costs compiled code its arrays
    st: Ints, cfg: Ints, rules: Ints, origin: int, base: int, command: int, b: int,
    now: int, source: int, place: int, latency: Ints,
) -> None:  # fmt: skip
    """Carry out a command at a bank (the first of its scope for all-bank ones)."""
    nb = cfg[w.BANKS]
    st[base + w.COUNT + command] += 1
    obey(st, cfg, rules, base, command, b, now)
    if command in (w.ACT2, w.CAS):
        return
    if source == w.HEAD:
        if command == st[base + cfg[w.FIFO] + st[base + w.FIFO_HEAD]] // nb:
            st[base + w.FIFO_HEAD] = (st[base + w.FIFO_HEAD] + 1) % cfg[w.FIFO_SIZE]
            st[base + w.N_FIFO] -= 1
    else:
        active = base + cfg[w.ACTIVE_SLOT]
        s = st[active + place] if source == w.ACTIVE_LIST else st[base + cfg[w.SLOT] + place]
        if st[base + cfg[w.TOUCHED] + s] == 0:
            st[base + cfg[w.TOUCHED] + s] = 1
            st[
                base
                + (w.MISSES if command == w.ACT else w.CONFLICTS if command == w.PRE else w.HITS)
            ] += 1
        if source == w.ACTIVE_LIST:
            st[base + w.N_ACTIVE] -= 1
            for k in range(active + place, active + st[base + w.N_ACTIVE]):
                st[k] = st[k + 1]
            st[base + cfg[w.USED] + b] -= 1
        elif command != w.PRE:
            leave_queue(st, cfg, base, b, place)
        if command == w.ACT:
            at = active + st[base + w.N_ACTIVE]  # kept by arrival
            while at > active and (
                st[base + cfg[w.ARRIVAL] + st[at - 1]] > st[base + cfg[w.ARRIVAL] + s]
            ):
                st[at] = st[at - 1]
                at -= 1
            st[at] = s
            st[base + w.N_ACTIVE] += 1
            st[base + cfg[w.KEY] + s] = (w.WR if place >= cfg[w.READ_SIZE] else w.RD) * nb + b
            st[base + cfg[w.OPEN] + b] = st[base + cfg[w.ROW] + s]
            st[base + cfg[w.USED] + b] += 1
            st[base + cfg[w.LAST] + b] = now
            if cfg[w.TWO_STEP]:
                st[base + w.DEADLINE] = now + cfg[w.ACT2_TICKS]
                st[base + w.STEP_BANK] = b
        elif command != w.PRE:
            column(st, cfg, origin, base, command, b, now, s, latency)
    end = b + 1
    if command in (w.PRE, w.PREAB, w.RDA, w.WRA):
        if command == w.PREAB:
            end = b + cfg[w.SCOPE]
        for x in range(b, end):
            st[base + cfg[w.OPEN] + x] = -1
            st[base + cfg[w.COLUMNS] + x] = 0
            st[base + cfg[w.FLAG] + x] = 0
    elif (
        source != w.ACTIVE_LIST
        and command != w.ACT
        and not (source != w.HEAD and cfg[w.ROW_HIT_FIRST])
    ):
        return
    for x in range(b, end):
        rekey(st, cfg, base, x)
