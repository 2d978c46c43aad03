"""The compiled executor's one function: units run ahead, time stamps travel with tokens and slots.

Written so that numba compiles it for int64 arrays and plain Python runs the same text on lists. It
keeps no event queue: a unit goes on until a ring is empty or it needs its shared timeline; when
nobody can move, the earliest request (ties in canonical order) is granted, which is safe because
whatever it releases comes at least 1 ps later. Set-up, folding and reports live in `executor`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import MutableSequence

    Ints = MutableSequence[int]

DONE, DEADLOCK, LOG_FULL, QUIET = -1, -2, -3, -4
READY, WAITING, ASKING, HALTED = range(4)
OWN, GRANT = -1, -2  # predecessor is the unit's own step; GRANT - u: the timeline's user u before


def advance(  # noqa: PLR0912, PLR0915 - a call would cost numba its array arguments each time
    ready: int,
    stack: Ints,
    # the program (see code.py)
    op: Ints,
    arg: Ints,
    target: Ints,
    slot_n: Ints,
    dur: Ints,
    lag: Ints,
    run: Ints,
    verb_at: Ints,
    verb_ring: Ints,
    ring_at: Ints,
    ring_depth: Ints,
    timeline: Ints,
    sharers: Ints,
    parked: Ints,  # one number: units that stopped at an iteration on purpose
    # state by unit: `at` is the next operand to acquire or -1 between steps; `bind` the last moment
    # an operand delayed the step, by operand `via`, written in step `pred`
    mode: Ints,
    pc: Ints,
    left: Ints,
    at: Ints,
    t: Ints,
    bind: Ints,
    via: Ints,
    pred: Ints,
    n: Ints,
    since: Ints,
    granted: Ints,
    # state by ring, loop slot and timeline
    ring_n: Ints,
    ring_head: Ints,
    ring_wait: Ints,
    stamp: Ints,
    author: Ints,
    cnt: Ints,
    due: Ints,
    first_due: Ints,
    until: Ints,
    last_user: Ints,
    last_step: Ints,
    # counters by row
    count: Ints,
    stall_in: Ints,
    stall_out: Ints,
    stall_shared: Ints,
    # the log of steps by unit, empty capacity when no critical path is wanted
    logging: int,
    log_at: Ints,
    log_cap: Ints,
    log_row: Ints,
    log_pred: Ints,
    log_via: Ints,
) -> tuple[int, int]:
    """Run until the end, a deadlock, a full log, or a sampled loop's due iteration.

    Returns:
        What stopped it (a loop slot, or a negative constant) and how many units are ready.
    """
    while True:
        while ready > 0:
            ready -= 1
            u = stack[ready]
            mode[u] = 0
            word = pc[u]
            now = t[u]
            while True:
                code = op[word]
                if code == 1:  # BEGIN
                    slot = arg[word]
                    cnt[slot] = 0
                    due[slot] = first_due[slot]
                    word += 1
                    continue
                if code == 2:  # END
                    slot = arg[word]
                    if cnt[slot] + 1 >= slot_n[slot]:
                        word += 1
                        continue
                    cnt[slot] += 1
                    word = target[word]
                    if cnt[slot] != due[slot]:
                        continue
                    pc[u] = word
                    t[u] = now
                    stack[ready] = u
                    return slot, ready + 1
                if code == 3:  # HALT
                    mode[u] = 3
                    break
                row = arg[word]
                i = at[u]
                if i < 0:
                    if logging and n[u] >= log_cap[u]:
                        pc[u] = word
                        t[u] = now
                        stack[ready] = u
                        return -3, ready + 1
                    if left[u] == 0:
                        left[u] = run[row]
                    i = verb_at[4 * row]
                    bind[u] = now
                    via[u] = -1
                    pred[u] = n[u] - 1
                takes_end = verb_at[4 * row + 1]
                gets_end = verb_at[4 * row + 2]
                while i < gets_end:
                    ring = verb_ring[i]
                    if ring_n[ring] == 0:
                        break
                    head = ring_head[ring]
                    place = ring_at[ring] + head
                    ring_n[ring] -= 1
                    head += 1
                    ring_head[ring] = 0 if head == ring_depth[ring] else head
                    stamped = stamp[place]
                    if stamped > now:
                        if i < takes_end:
                            stall_in[row] += stamped - now
                        else:
                            stall_out[row] += stamped - now
                        now = stamped
                    if stamped > bind[u]:
                        bind[u] = stamped
                        via[u] = i - verb_at[4 * row]
                        pred[u] = author[place]
                    i += 1
                if i < gets_end:
                    ring_wait[verb_ring[i]] = u
                    mode[u] = 1
                    at[u] = i
                    since[u] = now
                    break
                if timeline[u] >= 0 and granted[u] == 0:
                    mode[u] = 2
                    at[u] = i
                    break
                granted[u] = 0
                now += dur[row]
                count[row] += 1
                if logging:
                    place = log_at[u] + n[u]
                    log_row[place] = row
                    log_pred[place] = pred[u]
                    log_via[place] = via[u]
                puts_end = verb_at[4 * row + 3]
                frees_end = verb_at[4 * row + 4]
                while i < frees_end:
                    ring = verb_ring[i]
                    place = ring_head[ring] + ring_n[ring]
                    if place >= ring_depth[ring]:
                        place -= ring_depth[ring]
                    place += ring_at[ring]
                    ring_n[ring] += 1
                    author[place] = n[u]
                    if i < puts_end:
                        stamp[place] = now + lag[row]
                    else:
                        stamp[place] = now
                    waiter = ring_wait[ring]
                    if waiter >= 0:
                        ring_wait[ring] = -1
                        mode[waiter] = 0
                        stack[ready] = waiter
                        ready += 1
                    i += 1
                n[u] += 1
                at[u] = -1
                left[u] -= 1
                if left[u] == 0:
                    word += 1
            pc[u] = word
            t[u] = now
        if parked[0] > 0:
            return -4, 0
        best = -1
        earliest = 0
        for k in range(len(sharers)):
            u = sharers[k]
            if mode[u] == 2 and (best < 0 or t[u] < earliest):
                best = u
                earliest = t[u]
        if best < 0:
            for u in range(len(mode)):
                if mode[u] != 3:
                    return -2, 0
            return -1, 0
        line = timeline[best]
        row = arg[pc[best]]
        if until[line] > earliest:
            stall_shared[row] += until[line] - earliest
            earliest = until[line]
            via[best] = -2 - last_user[line]
            pred[best] = last_step[line]
            t[best] = earliest
        until[line] = earliest + dur[row]
        last_user[line] = best
        last_step[line] = n[best]
        granted[best] = 1
        mode[best] = 0
        stack[0] = best
        ready = 1
