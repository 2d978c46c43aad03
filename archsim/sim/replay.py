"""When each step of a log began and what it waited for: the log played again, without arbitration.

A log says which step bound which, so shared timelines need no queue here; tokens and slots pass
through the same rings as in the kernel. Written like the kernel: compiled for arrays, or plain
Python on lists. Periods that were counted are put back in `slices`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import MutableSequence

    Ints = MutableSequence[int]


def replay(  # noqa: PLR0912, PLR0915 - one function, as in the kernel
    # the program (see code.py)
    dur: Ints,
    lag: Ints,
    verb_at: Ints,
    verb_ring: Ints,
    ring_at: Ints,
    ring_depth: Ints,
    # the log by unit (see critical.py)
    log_at: Ints,
    log_n: Ints,
    log_row: Ints,
    log_pred: Ints,
    log_via: Ints,
    # state by ring, slots all free at first
    ring_n: Ints,
    ring_head: Ints,
    stamp: Ints,
    # state by unit: steps done, the next operand to acquire or -1 between steps, the moment
    done: Ints,
    at: Ints,
    t: Ints,
    # result by step of the log
    begin: Ints,
    waited_in: Ints,
    waited_out: Ints,
) -> int:
    """Play a log; returns the steps played, fewer than it has where it contradicts itself."""
    played = 0
    moved = True
    while moved:
        moved = False
        for u in range(len(log_n)):
            while done[u] < log_n[u]:
                place = log_at[u] + done[u]
                row = log_row[place]
                now = t[u]
                i = at[u]
                if i < 0:
                    i = verb_at[4 * row]
                takes_end = verb_at[4 * row + 1]
                gets_end = verb_at[4 * row + 2]
                while i < gets_end:
                    ring = verb_ring[i]
                    if ring_n[ring] == 0:
                        break
                    head = ring_head[ring]
                    stamped = stamp[ring_at[ring] + head]
                    ring_n[ring] -= 1
                    head += 1
                    ring_head[ring] = 0 if head == ring_depth[ring] else head
                    if stamped > now:
                        if i < takes_end:
                            waited_in[place] += stamped - now
                        else:
                            waited_out[place] += stamped - now
                        now = stamped
                    i += 1
                t[u] = now
                at[u] = i
                if i < gets_end:
                    break
                via = log_via[place]
                if via <= -2:  # the step that used the shared timeline before
                    user = -2 - via
                    if done[user] <= log_pred[place]:
                        break
                    before = log_at[user] + log_pred[place]
                    now = max(now, begin[before] + dur[log_row[before]])
                begin[place] = now
                now += dur[row]
                puts_end = verb_at[4 * row + 3]
                frees_end = verb_at[4 * row + 4]
                while i < frees_end:
                    ring = verb_ring[i]
                    free = ring_head[ring] + ring_n[ring]
                    if free >= ring_depth[ring]:
                        free -= ring_depth[ring]
                    stamp[ring_at[ring] + free] = now + lag[row] if i < puts_end else now
                    ring_n[ring] += 1
                    i += 1
                t[u] = now
                at[u] = -1
                done[u] += 1
                played += 1
                moved = True
    return played
