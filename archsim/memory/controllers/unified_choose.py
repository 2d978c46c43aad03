"""Which command of a unified controller is legal soonest, by the list that it may come from.

A choice is one word, tick x 2^PLACE_BITS + place, so that the least is the first in its list among
those legal soonest, found without a branch. Precedence between lists is decided in
`unified_kernel`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from archsim.memory.controllers import unified_words as w

if TYPE_CHECKING:
    from collections.abc import MutableSequence

    Ints = MutableSequence[int]


def searched(st: Ints, cfg: Ints, base: int) -> tuple[int, int]:
    """Places of the queue whose turn it is, after writes or reads have got theirs."""
    if st[base + w.N_WRITE] > cfg[w.WRITE_HIGH] or st[base + w.N_READ] == 0:
        st[base + w.WRITING] = 1
    elif st[base + w.N_WRITE] < cfg[w.WRITE_LOW]:
        st[base + w.WRITING] = 0
    first = cfg[w.READ_SIZE] if st[base + w.WRITING] else 0
    end = first + (st[base + w.N_WRITE] if st[base + w.WRITING] else st[base + w.N_READ])
    if cfg[w.IN_ORDER]:
        end = min(end, first + 1 if st[base + w.N_ACTIVE] == 0 else first)
    return first, end


def soonest_active(st: Ints, cfg: Ints, base: int, now: int) -> int:
    """Word of the first legal column access among requests whose row is open, oldest first."""
    best = w.NEVER << w.PLACE_BITS
    ready, keys, slot = base + cfg[w.READY], base + cfg[w.KEY], base + cfg[w.ACTIVE_SLOT]
    edge = cfg[w.EDGE]
    for k in range(st[base + w.N_ACTIVE]):
        t = max(st[ready + st[keys + st[slot + k]]], now) | edge
        best = min(best, t << w.PLACE_BITS | k)
    return best


def soonest_head(st: Ints, cfg: Ints, base: int, now: int) -> tuple[int, int]:
    """Tick and key of the command that the head of the maintenance list needs next."""
    nb = cfg[w.BANKS]
    key = st[base + cfg[w.FIFO] + st[base + w.FIFO_HEAD]]
    b = key % nb
    end = b + (cfg[w.SCOPE] if w.REFAB * nb <= key < w.REFPB * nb else 1)
    closed = True
    for x in range(b, end):
        if st[base + cfg[w.OPEN] + x] >= 0:
            closed = False
            if st[base + cfg[w.USED] + x] > 0:
                return w.NEVER, key
    if not closed:
        key = (w.PREAB if end > b + 1 else w.PRE) * nb + b
    t = max(st[base + cfg[w.READY] + key], now)
    return (t | cfg[w.EDGE] if closed else t), key


def soonest_queued(st: Ints, cfg: Ints, base: int, now: int) -> int:
    """Word of the first legal command of the queue whose turn it is."""
    first, end = searched(st, cfg, base)
    best = w.NEVER << w.PLACE_BITS
    ready, keys, order = base + cfg[w.READY], base + cfg[w.KEY], base + cfg[w.SLOT]
    for k in range(first, end):
        t = max(st[ready + st[keys + st[order + k]]], now)
        best = min(best, t << w.PLACE_BITS | k)
    return best


def soonest_without_act(st: Ints, cfg: Ints, base: int, now: int) -> int:
    """The same while another activation is half done, so that none may begin."""
    first, end = searched(st, cfg, base)
    best = w.NEVER << w.PLACE_BITS
    ready, keys, order = base + cfg[w.READY], base + cfg[w.KEY], base + cfg[w.SLOT]
    act_from, pre_from = w.ACT * cfg[w.BANKS], w.PRE * cfg[w.BANKS]
    for k in range(first, end):
        key = st[keys + st[order + k]]
        if not act_from <= key < pre_from:
            best = min(best, max(st[ready + key], now) << w.PLACE_BITS | k)
    return best


def soonest_pair(st: Ints, cfg: Ints, base: int, now: int) -> tuple[int, int]:
    """The same for a column command and, apart, for a row command.

    Where commands come on edges of half a clock only a precharge may come on either edge. What the
    standard then forbids it beside an activation, tRAS and tPPD forbid already.
    """
    first, end = searched(st, cfg, base)
    column = row = w.NEVER << w.PLACE_BITS
    ready, keys, order = base + cfg[w.READY], base + cfg[w.KEY], base + cfg[w.SLOT]
    edge = cfg[w.EDGE]
    column_to, pre_from = 2 * cfg[w.BANKS], w.PRE * cfg[w.BANKS]
    for k in range(first, end):
        key = st[keys + st[order + k]]
        t = max(st[ready + key], now)
        word = (t | (edge if key < pre_from else 0)) << w.PLACE_BITS | k
        column = min(column, word if key < column_to else column)
        row = min(row, row if key < column_to else word)
    return column, row
