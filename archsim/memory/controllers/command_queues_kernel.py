"""The inner loop of the controller with command queues: requests in, commands out, event to event.

Plain functions over flat integer arrays: numba compiles them, and plain Python runs the same text
on lists. A channel sleeps until the earliest tick at which a command may be legal, a refresh is due
or a request comes; a search that finds nothing changes nothing, so the ticks between are skipped.
The rules are those of DRAMsim3. What a command does is in `command_queues_issue`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from archsim.memory.controllers import command_queues_words as w
from archsim.memory.controllers.command_queues_accept import accept, move_on, retire
from archsim.memory.controllers.command_queues_issue import issue, record

if TYPE_CHECKING:
    from collections.abc import MutableSequence

    Ints = MutableSequence[int]


def legal_at(st: Ints, cfg: Ints, base: int, command: int, bank: int) -> int:
    """First tick at which no rule keeps a command from a bank."""
    ready = base + cfg[w.READY] + command * cfg[w.NODES]
    path = cfg[w.PATH] + bank * cfg[w.LEVELS]
    t = 0
    for k in range(path, path + cfg[w.LEVELS]):
        t = max(t, st[ready + cfg[k]])
    return t


def refresh(st: Ints, cfg: Ints, base: int, now: int) -> tuple[int, int, int]:
    """Command of the refresh that is due, -1 when none is legal; its bank; the next try."""
    first = cfg[cfg[w.ORDER] + st[base + w.REFRESHED] % cfg[w.REFRESH_NODES]]
    st[base + w.BLOCK_FROM] = first // cfg[w.QUEUE_BANKS]
    st[base + w.BLOCK_TO] = (first + cfg[w.SCOPE] - 1) // cfg[w.QUEUE_BANKS] + 1
    wake = w.NEVER
    closed = True
    for b in range(first, first + cfg[w.SCOPE]):
        if st[base + cfg[w.OPEN] + b] >= 0:
            closed = False
            t = legal_at(st, cfg, base, w.PRE, b)
            if t <= now:
                return w.PRE, b, now
            wake = min(wake, t)
    if closed:
        wake = legal_at(st, cfg, base, cfg[w.REFRESH], first)
        if wake <= now:
            return cfg[w.REFRESH], first, now
    return -1, first, wake


def kept_open(st: Ints, cfg: Ints, base: int, entry: int, x: int, last: int) -> bool:
    """Whether others keep the row open that the request at word x of a command queue would close.

    An older request of the bank does, and one that hits the row while that is still its turn.
    """
    b = st[base + cfg[w.BANK] + st[x]]
    row = st[base + cfg[w.OPEN] + b]
    turn = st[base + cfg[w.COLUMNS] + b] < w.ACCESSES_FIRST
    for y in range(entry, last):
        other = base + st[y]
        if st[other + cfg[w.BANK]] == b and (y < x or (turn and st[other + cfg[w.ROW]] == row)):
            return True
    return False


def search(st: Ints, cfg: Ints, base: int, now: int, wake: int) -> tuple[int, int, int]:
    """First legal command from the queue after the last one served, and where its request waits.

    A queue in which nothing is legal is not looked at again before the tick at which something may
    be, unless its own requests or rows change.

    Returns:
        Command or -1, word of the request, and the tick of the next try if there is none.
    """
    queues, levels, nodes = cfg[w.QUEUES], cfg[w.LEVELS], cfg[w.NODES]
    wakes, ready, opened = base + cfg[w.QUEUE_WAKE], base + cfg[w.READY], base + cfg[w.OPEN]
    rows, banks, readers = base + cfg[w.ROW], base + cfg[w.BANK], base + cfg[w.READERS]
    block_from, block_to = st[base + w.BLOCK_FROM], st[base + w.BLOCK_TO]
    alone, closing = cfg[w.QUEUE_BANKS] == 1, w.RDA * cfg[w.CLOSE_ROW]
    q = st[base + w.POINTER]
    for _ in range(queues):
        q += 1
        if q >= queues:
            q = 0
        t = st[wakes + q]
        if t >= wake or block_from <= q < block_to:
            continue
        if t > now:
            wake = t
            continue
        entry = base + cfg[w.QUEUE] + q * cfg[w.DEPTH]
        last = entry + st[base + cfg[w.QUEUED] + q]
        soonest = w.NEVER
        for x in range(entry, last):
            b = st[banks + st[x]]
            row = st[opened + b]
            if row < 0:
                command = w.ACT
            elif row == st[rows + st[x]]:
                command = closing + (w.RD if st[readers + st[x]] > 0 else w.WR)
            elif (alone and x > entry) or kept_open(st, cfg, base, entry, x, last):
                continue
            else:
                command = w.PRE
            t = 0
            path = cfg[w.PATH] + b * levels
            for k in range(path, path + levels):
                t = max(t, st[ready + command * nodes + cfg[k]])
            if t <= now:
                st[base + w.POINTER] = q
                return command, x, now
            soonest = min(soonest, t)
            if alone and command == w.ACT:
                break
        st[wakes + q] = soonest
        wake = min(wake, soonest)
    return -1, -1, wake


def tick(st: Ints, cfg: Ints, c: int, now: int, latency: Ints, link: Ints, log: Ints) -> None:
    """One tick of a channel: refresh or search, issue, and move a transaction on."""
    base = c * cfg[w.WORDS]
    if now >= st[base + w.NEXT_REFRESH]:
        st[base + w.DUE] += 1
        st[base + w.NEXT_REFRESH] += cfg[w.REFRESH_TICKS]
    wake = st[base + w.NEXT_REFRESH]
    command, bank, place = -1, 0, -1
    if st[base + w.DUE] > st[base + w.REFRESHED]:
        command, bank, t = refresh(st, cfg, base, now)
        wake = min(wake, t)
    if command < 0:
        command, place, wake = search(st, cfg, base, now, wake)
    issued = command >= 0
    if issued:
        if place >= 0:
            bank = st[base + cfg[w.BANK] + st[place]]
        if len(log) > 0:
            record(st, log, now, c, command, bank)
        issue(st, cfg, base, command, bank, place, now, latency, link)
        if cfg[w.DUAL]:  # a row command goes beside a column command
            column = command < w.ACT or command >= w.RDA
            command, place, _ = search(st, cfg, base, now, w.NEVER)
            if command >= 0 and column != (command < w.ACT or command >= w.RDA):
                bank = st[base + cfg[w.BANK] + st[place]]
                if len(log) > 0:
                    record(st, log, now, c, command, bank)
                issue(st, cfg, base, command, bank, place, now, latency, link)
    if st[base + w.TRY_MOVE]:
        move_on(st, cfg, base)
    if issued or st[base + w.TRY_MOVE]:
        wake = now + 1
    st[base + w.WAKE] = wake


def inject(
    st: Ints, cfg: Ints, at: Ints, asked: Ints, i: int, n: int, now: int, latency: Ints, link: Ints
) -> tuple[int, int]:
    """Accept requests before a tick; the first left, and the next tick at which it may come."""
    while i < n:
        if st[w.COUNTED] >= cfg[w.PER_TICK]:
            return i, now + 1
        come_at = st[w.TAKEN] * cfg[w.GAP]
        if len(at) > 0:
            come_at = max(come_at, at[i])
        if now < come_at:
            return i, come_at
        if cfg[w.OUTSTANDING] > 0:
            come_at = retire(st, cfg, now)
            if st[w.TAKEN] - st[w.DONE] >= cfg[w.OUTSTANDING]:
                return i, come_at
        if not accept(st, cfg, now, asked, w.REQUEST_WORDS * i, latency, link):
            break
        i += 1
        st[w.COUNTED] += 1
    return i, w.NEVER


def advance(
    st: Ints, cfg: Ints, at: Ints, asked: Ints, n: int, final: bool, latency: Ints, link: Ints,
    log: Ints,
) -> int:  # fmt: skip
    """Run all channels until the requests are accepted, or done if these are the last.

    Args:
        st: State, `cfg[WORDS]` words a channel.
        cfg: Options, rules and section starts.
        at: Tick of each request, or empty.
        asked: Requests, `REQUEST_WORDS` words each.
        n: Number of requests.
        final: Whether to go on until everything is done, rather than to the last acceptance.
        latency: Latency by read, or empty.
        link: As long as `latency`: the read before it that waits for the same access.
        log: Commands as tick, channel, command, bank, or empty.

    Returns:
        ACCEPTED, ALL_DONE, or STUCK when nothing can ever happen again.
    """
    words = cfg[w.WORDS]
    i = 0
    now = st[w.CLOCK]
    while True:
        i, come_at = inject(st, cfg, at, asked, i, n, now, latency, link)
        if i == n and not final:
            st[w.CLOCK] = now
            return w.ACCEPTED
        wake = w.NEVER
        for c in range(cfg[w.CHANNELS]):
            wake = min(wake, st[c * words + w.WAKE])
        if i == n and st[w.PENDING] == 0 and wake > st[w.LAST_DONE]:
            st[w.CLOCK] = st[w.LAST_DONE] + 1
            return w.ALL_DONE
        if come_at <= wake:
            if come_at >= w.NEVER:
                return w.STUCK
            now = come_at
        else:
            for c in range(cfg[w.CHANNELS]):
                if st[c * words + w.WAKE] <= wake:
                    tick(st, cfg, c, wake, latency, link, log)
            now = wake + 1
        st[w.COUNTED] = 0
