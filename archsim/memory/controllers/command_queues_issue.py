"""What a command does that a controller with command queues issues: to timing, row and request.

Which command is issued is decided in `command_queues_kernel`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from archsim.memory.controllers import command_queues_words as w
from archsim.memory.controllers.command_queues_accept import bucket_of

if TYPE_CHECKING:
    from collections.abc import MutableSequence

    Ints = MutableSequence[int]


def record(st: Ints, log: Ints, now: int, c: int, command: int, bank: int) -> None:
    """Write a command into the log, while there is room."""
    k = 4 * st[w.LOGGED]
    if k + 3 < len(log):
        log[k] = now
        log[k + 1] = c
        log[k + 2] = command
        log[k + 3] = bank
    st[w.LOGGED] += 1


def delay_followers(st: Ints, cfg: Ints, base: int, command: int, bank: int, now: int) -> None:
    """Set the first legal tick of every command that a rule keeps from following too soon."""
    at = cfg[w.RULE_AT] + command
    for k in range(cfg[at], cfg[at + 1]):
        r = cfg[w.RULES] + w.RULE_WORDS * k
        first = cfg[r + 6]
        node = cfg[cfg[w.PATH] + bank * cfg[w.LEVELS] + cfg[r + 1]]
        follower = base + cfg[w.READY] + cfg[r]
        t = now + cfg[r + 3]
        window = cfg[r + 4]
        if window > 1:
            own = base + cfg[w.HISTORY] + cfg[r + 5] + (node - first) * (window + 1)
            s = st[own] % window + 1
            st[own + s] = now
            st[own] = s
            t = st[own + s % window + 1] + cfg[r + 3]
        siblings = cfg[r + 2]
        if siblings == 0:
            st[follower + node] = max(st[follower + node], t)
        else:
            parent = node - (node - first) % siblings
            for x in range(parent, parent + siblings):
                if x != node:
                    st[follower + x] = max(st[follower + x], t)


def complete(st: Ints, cfg: Ints, base: int, s: int, now: int, latency: Ints, link: Ints) -> None:
    """Free a slot whose column command was issued; its reads are back after the read latency."""
    readers = st[base + s + cfg[w.READERS]]
    if readers > 0:
        back = now + cfg[w.LATENCY]
        st[w.PENDING] -= readers
        st[w.LAST_DONE] = max(st[w.LAST_DONE], back)
        st[base + w.LATENCY_SUM] += readers * back - st[base + s + cfg[w.SUM_AT]]
        longest = back - st[base + s + cfg[w.FIRST_AT]]
        st[base + w.LATENCY_MAX] = max(st[base + w.LATENCY_MAX], longest)
        if len(latency) > 0:
            number = st[base + s + cfg[w.LAST_NUMBER]]
            while number >= 0:
                latency[number] = back - latency[number]
                number = link[number]
        if cfg[w.OUTSTANDING] > 0:
            for _ in range(readers):
                k = (st[w.READ_HEAD] + st[w.N_READ_RING]) % cfg[w.RING_SIZE]
                st[cfg[w.READ_RING] + k] = back
                st[w.N_READ_RING] += 1
    x = bucket_of(cfg, base, st[base + s + cfg[w.ADDRESS]])
    while st[x] != s:
        x = base + cfg[w.CHAIN] + st[x]
    st[x] = st[base + cfg[w.CHAIN] + s]
    st[base + cfg[w.FREE] + st[base + w.N_FREE]] = s
    st[base + w.N_FREE] += 1


def issue(
    st: Ints, cfg: Ints, base: int, command: int, bank: int, place: int, now: int, latency: Ints,
    link: Ints,
) -> None:  # fmt: skip
    """Issue a command for the request in the command queue at word `place`, -1 for a refresh."""
    st[base + w.COUNT + command] += 1
    delay_followers(st, cfg, base, command, bank, now)
    opened = base + cfg[w.OPEN] + bank
    columns = base + cfg[w.COLUMNS] + bank
    rank = base + bank // cfg[w.RANK_BANKS]
    queue = bank // cfg[w.QUEUE_BANKS]
    if command == w.ACT:
        st[opened] = st[base + cfg[w.ROW] + st[place]]
        st[columns] = 0
        if st[rank + cfg[w.OPENED]] == 0:
            st[rank + cfg[w.SINCE]] = now
        st[rank + cfg[w.OPENED]] += 1
    elif command < w.ACT or command >= w.RDA:
        s = st[place]
        n = st[base + cfg[w.QUEUED] + queue] - 1
        st[base + cfg[w.QUEUED] + queue] = n
        st[base + w.N_QUEUED] -= 1
        for x in range(place, base + cfg[w.QUEUE] + queue * cfg[w.DEPTH] + n):
            st[x] = st[x + 1]
        if st[columns] > 0:
            st[base + w.HITS] += 1
        elif st[base + cfg[w.PUSHED_OUT] + bank] > 0:
            st[base + w.CONFLICTS] += 1
        else:
            st[base + w.MISSES] += 1
        st[columns] += 1
        complete(st, cfg, base, s, now, latency, link)
        st[base + w.TRY_MOVE] = 1
    elif command != w.PRE:
        st[base + w.REFRESHED] += 1
        st[base + w.BLOCK_TO] = 0
        return
    if command == w.PRE or command >= w.RDA:
        st[opened] = -1
        st[base + cfg[w.PUSHED_OUT] + bank] = 1 if command == w.PRE and place >= 0 else 0
        st[rank + cfg[w.OPENED]] -= 1
        if st[rank + cfg[w.OPENED]] == 0:
            st[base + w.ACTIVE] += now - st[rank + cfg[w.SINCE]]
    empty = st[base + cfg[w.QUEUED] + queue] == 0
    st[base + cfg[w.QUEUE_WAKE] + queue] = w.NEVER if empty else 0
