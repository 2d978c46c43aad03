"""One tick of one channel that executes commands in its memory: returns, choice, issue.

Plain functions over flat integer arrays, which numba compiles. How requests come is in
`pim_decoder`, what a command does in `pim_issue`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from archsim.memory.pim import pim_words as w
from archsim.memory.pim.pim_issue import issue, next_command, ready_word

if TYPE_CHECKING:
    from collections.abc import MutableSequence

    Ints = MutableSequence[int]


def returned(st: Ints, cfg: Ints, base: int, due: int, kind: int) -> None:
    """Something returns at `due`, after all that is to return before it."""
    at = (st[base + w.RING_HEAD] + st[base + w.N_RING]) % cfg[w.RING_SIZE]
    st[base + cfg[w.RING] + 2 * at] = due
    st[base + cfg[w.RING] + 2 * at + 1] = kind
    st[base + w.N_RING] += 1


def take_back(st: Ints, cfg: Ints, base: int, now: int) -> int:
    """Return the oldest if it may; 0 when it did, else the tick at which it may."""
    if st[base + w.N_RING] == 0:
        return w.NEVER
    at = base + cfg[w.RING] + 2 * st[base + w.RING_HEAD]
    due = st[at]
    if st[at + 1] == w.FENCE:
        due = max(due, st[base + w.LAST_DUE] + 1)
    if due > now:
        return due
    st[base + w.RING_HEAD] = (st[base + w.RING_HEAD] + 1) % cfg[w.RING_SIZE]
    st[base + w.N_RING] -= 1
    if st[at + 1] != w.PLAIN:
        st[w.OUTSTANDING] -= 1
        if st[w.OUTSTANDING] == 0:
            st[w.HEAD] += 1
    return 0


def remove(st: Ints, at: int, place: int, count: int) -> None:
    """Take one entry out of a list of `count`, keeping the order of the others."""
    for x in range(at + w.ENTRY * place, at + w.ENTRY * (count - 1)):
        st[x] = st[x + w.ENTRY]


def turn(st: Ints, cfg: Ints, base: int) -> None:
    """Whether it is the writes' turn or the reads'."""
    writes, reads = st[base + w.N_WRITE], st[base + w.N_READ]
    if st[base + w.WRITING] == 0:
        if 10 * writes > cfg[w.HIGH_TENTHS] or reads == 0:
            st[base + w.WRITING] = 1
    elif 10 * writes < cfg[w.LOW_TENTHS] and reads > 0:
        st[base + w.WRITING] = 0


def tick(  # noqa: PLR0912, PLR0915 - every call costs compiled code its arrays
    st: Ints, cfg: Ints, rules: Ints, ops: Ints, channel: int, now: int, log: Ints
) -> None:
    """Run one tick and say in WAKE when the next is worth running."""
    base = w.HEADER + channel * cfg[w.WORDS]
    wake = take_back(st, cfg, base, now)
    did = wake == 0
    if did:
        wake = w.NEVER
    source, place, order, command, word = 0, 0, w.NEVER, 0, 0
    at = base + cfg[w.ACTIVE_LINE]
    for i in range(st[base + w.N_ACTIVE]):
        x = w.OP_WORDS * st[at + w.ENTRY * i]
        c = next_command(st, cfg, base, ops[x + 1], ops[x + 3], ops[x + 4])
        r = ready_word(st, cfg, base, c, ops[x + 3])
        if st[r] > now:
            wake = min(wake, st[r])
        elif st[at + w.ENTRY * i + 1] < order:
            source, place, order = w.ACTIVE, i, st[at + w.ENTRY * i + 1]
            command, word = c, r
    if source == 0 and st[base + w.NEXT_REFRESH] <= now:
        command = cfg[w.CLOSE_ALL] if st[base + w.N_OPEN] > 0 else cfg[w.REFRESH]
        word = ready_word(st, cfg, base, command, 0)
        if st[word] <= now:
            source = w.REFRESHING
        else:
            wake = min(wake, st[word])
    elif source == 0 and st[base + w.N_LINE] > 0:
        wake = min(wake, st[base + w.NEXT_REFRESH])
        at = base + cfg[w.LINE]
        place = st[base + w.LINE_HEAD]
        x = w.OP_WORDS * st[at + w.ENTRY * place]
        if ops[x] == w.BARRIER:
            st[base + w.LINE_HEAD] = (place + 1) % cfg[w.DEPTH]
            st[base + w.N_LINE] -= 1
            returned(st, cfg, base, now, w.FENCE)
            did = True
        else:
            command = next_command(st, cfg, base, ops[x + 1], ops[x + 3], ops[x + 4])
            word = ready_word(st, cfg, base, command, ops[x + 3])
            if st[word] <= now:
                source = w.HEAD_OF_LINE
            else:
                wake = min(wake, st[word])
    elif source == 0:
        wake = min(wake, st[base + w.NEXT_REFRESH])
        turn(st, cfg, base)
        waiting = w.WRITES if st[base + w.WRITING] > 0 else w.READS
        count = st[base + (w.N_WRITE if waiting == w.WRITES else w.N_READ)]
        at = base + cfg[w.WRITE_LINE if waiting == w.WRITES else w.READ_LINE]
        for i in range(count):
            x = w.OP_WORDS * st[at + w.ENTRY * i]
            command = next_command(st, cfg, base, ops[x + 1], ops[x + 3], ops[x + 4])
            word = ready_word(st, cfg, base, command, ops[x + 3])
            if st[word] <= now:
                source, place = waiting, i
                break
            wake = min(wake, st[word])
    if source == 0:
        st[base + w.WAKE] = now + 1 if did else wake
        return

    final, bank, row, arrived = cfg[w.REFRESH], -1, w.CLOSED, st[base + w.NEXT_REFRESH]
    register = 0
    if source != w.REFRESHING:
        at = base + cfg[w.LINE]
        if source == w.ACTIVE:
            at = base + cfg[w.ACTIVE_LINE]
        elif source == w.READS:
            at = base + cfg[w.READ_LINE]
        elif source == w.WRITES:
            at = base + cfg[w.WRITE_LINE]
        at += w.ENTRY * place
        x = w.OP_WORDS * st[at]
        final, bank, row, arrived = ops[x + 1], ops[x + 3], ops[x + 4], st[at + 2]
        register = cfg[cfg[w.REGISTER] + final]
    if command == cfg[w.CLOSE_BANK]:
        for i in range(st[base + w.N_ACTIVE]):
            x = w.OP_WORDS * st[base + cfg[w.ACTIVE_LINE] + w.ENTRY * i]
            if ops[x + 3] == bank:  # its row is still wanted: the tick is lost
                st[base + w.WAKE] = now + 1 if did else wake
                return
    if register != st[base + w.REGISTER_MODE]:
        command = cfg[w.CHANGE]
        st[base + w.REGISTER_MODE] = register
    issue(st, cfg, rules, base, now, command, bank, row, arrived, word, channel, log)
    st[base + w.WAKE] = now + 1
    if command == final:
        if source == w.REFRESHING:
            st[base + w.NEXT_REFRESH] += cfg[w.REFRESH_EVERY]
            return
        due = now + cfg[cfg[w.FLIGHT] + final]
        if cfg[cfg[w.RETURNS] + final] > 0:
            blocks = cfg[cfg[w.BLOCKS] + final] > 0
            returned(st, cfg, base, due, w.BLOCKING if blocks else w.PLAIN)
        else:
            st[base + w.LAST_DUE] = max(st[base + w.LAST_DUE], due)
    if source == w.HEAD_OF_LINE:
        if command == final:
            st[base + w.LINE_HEAD] = (place + 1) % cfg[w.DEPTH]
            st[base + w.N_LINE] -= 1
        return
    if source in (w.READS, w.WRITES):
        opened = command == cfg[w.OPEN_BANK]
        if not opened and command != final:
            return
        count = base + (w.N_READ if source == w.READS else w.N_WRITE)
        line = base + cfg[w.READ_LINE if source == w.READS else w.WRITE_LINE]
        if opened:
            to = base + cfg[w.ACTIVE_LINE] + w.ENTRY * st[base + w.N_ACTIVE]
            for i in range(w.ENTRY):
                st[to + i] = st[line + w.ENTRY * place + i]
            st[base + w.N_ACTIVE] += 1
        remove(st, line, place, st[count])
        st[count] -= 1
    elif source == w.ACTIVE and command == final:
        remove(st, base + cfg[w.ACTIVE_LINE], place, st[base + w.N_ACTIVE])
        st[base + w.N_ACTIVE] -= 1
