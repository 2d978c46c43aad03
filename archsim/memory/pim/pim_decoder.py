"""The decoder that feeds all channels from one trace, from event to event.

Plain functions over flat integer arrays, which numba compiles; plain Python runs the same text on
lists. A tick in which neither the decoder nor a channel does anything changes nothing, so the clock
jumps to the first at which a channel can. What a channel does is in `pim_channel`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from archsim.memory.pim import pim_words as w
from archsim.memory.pim.pim_channel import returned, tick

if TYPE_CHECKING:
    from collections.abc import MutableSequence

    Ints = MutableSequence[int]


def enter(st: Ints, at: int, instruction: int, order: int, now: int) -> None:
    """Write one waiting request."""
    st[at] = instruction
    st[at + 1] = order
    st[at + 2] = now


def accept(
    st: Ints, cfg: Ints, ops: Ints, base: int, instruction: int, count: int, now: int
) -> int:
    """Give a channel some requests of an instruction; returns how many it took."""
    kind = ops[w.OP_WORDS * instruction]
    if kind in (w.COMMANDED, w.BARRIER):
        if st[base + w.N_READ] + st[base + w.N_WRITE] > 0:
            return 0
        took = min(count, cfg[w.DEPTH] - st[base + w.N_LINE])
        for _ in range(took):
            place = (st[base + w.LINE_HEAD] + st[base + w.N_LINE]) % cfg[w.DEPTH]
            at = base + cfg[w.LINE] + w.ENTRY * place
            enter(st, at, instruction, st[base + w.SEQUENCE], now)
            st[base + w.SEQUENCE] += 1
            st[base + w.N_LINE] += 1
    else:
        if st[base + w.N_LINE] > 0:
            return 0
        if kind == w.READ and st[base + w.N_WRITE] > 0:  # served by a write that waits
            returned(st, cfg, base, now + 1, w.PLAIN)
            took = 1
        else:
            number = base + (w.N_READ if kind == w.READ else w.N_WRITE)
            if st[number] == cfg[w.DEPTH]:
                return 0
            line = cfg[w.READ_LINE if kind == w.READ else w.WRITE_LINE]
            enter(st, base + line + w.ENTRY * st[number], instruction, st[base + w.SEQUENCE], now)
            st[base + w.SEQUENCE] += 1
            st[number] += 1
            took = 1
    if took > 0:
        st[base + w.WAKE] = min(st[base + w.WAKE], now)
    return took


def decode(st: Ints, cfg: Ints, ops: Ints, sent: Ints, now: int) -> None:
    """Send all requests of the instruction at the head, keeping those that are refused."""
    head = st[w.HEAD]
    x = w.OP_WORDS * head
    if ops[x] != w.NOTHING:
        waits = ops[x] == w.BARRIER
        if ops[x] == w.COMMANDED:
            waits = cfg[cfg[w.BLOCKS] + ops[x + 1]] > 0
        for c in range(cfg[w.GROUPS]):
            if ops[x] != w.BARRIER and sent[cfg[w.GROUPS] * head + c] == 0:
                continue
            base = w.HEADER + c * cfg[w.WORDS]
            left = ops[x + 2] - accept(st, cfg, ops, base, head, ops[x + 2], now)
            st[base + w.LEFT] = left
            st[w.LEFTOVERS] += left > 0
            if waits:
                st[w.OUTSTANDING] += ops[x + 2]
    if st[w.OUTSTANDING] == 0 and st[w.LEFTOVERS] == 0:
        st[w.HEAD] = head + 1


def run(st: Ints, cfg: Ints, rules: Ints, ops: Ints, sent: Ints, n: int, log: Ints) -> int:
    """Run a trace to its end.

    Args:
        st: State: the decoder's words, then those of each group of alike channels.
        cfg: Options and section starts.
        rules: See `pim_issue.issue`.
        ops: Instructions, OP_WORDS words each; the last is a barrier that ends the trace.
        sent: 1 where an instruction goes to a group, by instruction and group.
        n: Instructions.
        log: Room for commands, or empty.

    Returns:
        DONE, or STUCK when nothing can ever happen again.
    """
    while True:
        now = st[w.CLOCK]
        acted = False
        left_over = st[w.LEFTOVERS] > 0
        if left_over:
            st[w.LEFTOVERS] = 0
            for c in range(cfg[w.GROUPS]):
                base = w.HEADER + c * cfg[w.WORDS]
                left = st[base + w.LEFT]
                if left > 0:
                    took = accept(st, cfg, ops, base, st[w.HEAD], left, now)
                    acted = acted or took > 0
                    st[base + w.LEFT] = left - took
                    st[w.LEFTOVERS] += left > took
        if st[w.OUTSTANDING] == 0:
            if not left_over:
                decode(st, cfg, ops, sent, now)
                acted = True
            elif st[w.LEFTOVERS] == 0:
                st[w.HEAD] += 1
                acted = True
        following = w.NEVER
        for c in range(cfg[w.GROUPS]):
            base = w.HEADER + c * cfg[w.WORDS]
            if st[base + w.WAKE] <= now:
                tick(st, cfg, rules, ops, c, now, log)
            following = min(following, st[base + w.WAKE])
        if st[w.HEAD] == n:
            return w.DONE
        if acted:
            following = now + 1
        if following >= w.NEVER:
            return w.STUCK
        st[w.CLOCK] = following
