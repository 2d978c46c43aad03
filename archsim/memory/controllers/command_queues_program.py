"""A standard and a controller's options as the words that the loop with command queues reads.

Here rules are folded (levels with the same nodes merge, rules for commands that never come are
dropped), sections of the state are laid out and the state at reset is made. The loop is in
`command_queues_kernel`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from archsim.core.errors import InputError
from archsim.memory.controllers import command_queues_words as w
from archsim.memory.tables import LEVEL, NEXT, PREVIOUS, SIBLING, TICKS, WINDOW

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from archsim.memory.controller import ControllerSpec
    from archsim.memory.requests import Pacing
    from archsim.memory.tables import Tables

COMMANDS = ("RD", "WR", "ACT", "PREpb", "PREab", "REFab", "REFpb", "RDA", "WRA")
"""Commands of the loop by number."""

LONG_AGO = -(1 << 40)
"""Before any tick: what a window remembers at reset."""

Rule = tuple[int, int, int, bool, int]
"""Previous and next command, banks of a node, whether it holds for the siblings, window."""


@dataclass(frozen=True, slots=True)
class Program:
    """Words of one channel, and what is the same for all of them."""

    options: NDArray[np.int64]
    """Options and section starts; behind them nodes by bank, order of refreshes and rules."""

    reset: NDArray[np.int64]
    """State of one channel before tick 0."""


def program(tables: Tables, controller: ControllerSpec, pacing: Pacing, channels: int) -> Program:
    """Fold rules, lay out the state and fill it.

    Raises:
        InputError: E202 for a standard whose commands this structure does not issue, or a refresh
            that the standard has no timing of.
    """
    _check(tables, controller)
    spans = _spans(tables)
    offsets = np.cumsum([0, *(tables.banks // span for span in spans)])
    banks = np.arange(tables.banks, dtype=np.int64)
    path = np.stack(
        [banks // span + offset for span, offset in zip(spans, offsets[:-1], strict=True)], axis=1
    )
    rule_at, rules, history = _words(tables, _rules(tables), spans, offsets)
    order = _refresh_order(tables, controller)
    options = np.zeros(w.OPTIONS, np.int64)
    for word, value in _options(tables, controller, pacing).items():
        options[word] = value
    options[w.CHANNELS] = channels
    options[w.NODES] = offsets[-1]
    options[w.LEVELS] = len(spans)
    options[w.REFRESH_NODES] = len(order)
    _lay_out(options, len(history))
    reset = _reset(options, history)
    behind = {w.PATH: path.reshape(-1), w.ORDER: order, w.RULE_AT: rule_at, w.RULES: rules}
    options[list(behind)] = w.OPTIONS + np.cumsum([0, *map(len, behind.values())])[:-1]
    return Program(np.concatenate([options, *behind.values()]), reset)


def rank_banks(tables: Tables) -> int:
    """Banks of a rank; of the channel where the standard has no ranks."""
    return tables.banks_below(tables.levels.index("rank") if "rank" in tables.levels else 0)


def _check(tables: Tables, controller: ControllerSpec) -> None:
    if "ACT" not in tables.commands or tables.slots == "half_clock":
        what = "two commands to open a row" if "ACT" not in tables.commands else "half-clock slots"
        raise InputError(
            f'{tables.name} has {what}, which structure "command_queues" does not know',
            code="E202",
            help='structure "unified" does',
        )
    if controller.refresh == "bank_staggered" and "REFpb" not in tables.commands:
        raise InputError(
            f"{tables.name} has no REFpb, which refresh 'bank_staggered' needs", code="E202"
        )


def _spans(tables: Tables) -> list[int]:
    """Banks of a node of each level that any rule names, outermost first, each number once."""
    spans = {rule[2] for rule in _rules(tables)}
    return sorted(spans | {tables.banks_below(tables.refresh_level)}, reverse=True)


def _rules(tables: Tables) -> dict[Rule, int]:
    """Ticks of each rule between commands that this structure issues."""
    scope = tables.banks_below(tables.refresh_level)
    found: dict[Rule, int] = {}
    for row in tables.constraints:
        names = tables.commands[row[PREVIOUS]], tables.commands[row[NEXT]]
        if "PREab" in names or not set(names) <= set(COMMANDS):
            continue
        span, sibling = tables.banks_below(int(row[LEVEL])), bool(row[SIBLING])
        if "REFab" in names and span < scope:  # it stands for every bank of its scope
            span, sibling = scope, False
        if sibling and _siblings(tables, span) == 1:
            continue
        key = (COMMANDS.index(names[0]), COMMANDS.index(names[1]), span, sibling, int(row[WINDOW]))
        found[key] = max(found.get(key, 0), int(row[TICKS]))
    return {key: ticks for key, ticks in found.items() if ticks > 0}


def _siblings(tables: Tables, span: int) -> int:
    """Nodes with one parent, among them the node itself."""
    spans = [tables.banks_below(level) for level in range(len(tables.levels))]
    return min((outer for outer in spans if outer > span), default=span) // span


def _words(
    tables: Tables, rules: Mapping[Rule, int], spans: list[int], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], list[int]]:
    """Rules by command: (n + 1,) starts, (7 n,) words, and the windows' words at reset."""
    starts, words, history = [0], list[int](), list[int]()
    for command in range(len(COMMANDS)):
        for (before, after, span, sibling, window), ticks in sorted(rules.items()):
            if before != command:
                continue
            level = spans.index(span)
            siblings = _siblings(tables, span) if sibling else 0
            follower = after * int(offsets[-1])
            words += [follower, level, siblings, ticks, window, len(history), int(offsets[level])]
            if window > 1:
                history += [0, *[LONG_AGO] * window] * (tables.banks // span)
        starts.append(len(words) // w.RULE_WORDS)
    return np.array(starts, np.int64), np.array(words, np.int64), history


def _refresh_order(tables: Tables, controller: ControllerSpec) -> NDArray[np.int64]:
    """First bank of each refresh in turn: ranks from 0, or banks with the bank group fastest."""
    if controller.refresh != "bank_staggered":
        return np.arange(0, tables.banks, tables.banks_below(tables.refresh_level), dtype=np.int64)
    numbers = np.arange(tables.banks, dtype=np.int64).reshape(tables.counts)
    return np.swapaxes(numbers, -1, -2).reshape(-1)


def _options(tables: Tables, controller: ControllerSpec, pacing: Pacing) -> dict[int, int]:
    scope = tables.banks_below(tables.refresh_level)
    queue_banks = 1 if controller.queue_per == "bank" else rank_banks(tables)
    by_bank = controller.refresh == "bank_staggered"
    if controller.refresh == "none":
        interval = w.NEVER
    elif by_bank:
        interval = tables.bank_refresh_interval
    else:
        interval = tables.refresh_interval // (tables.banks // scope)
    queues = tables.banks // queue_banks
    slots = controller.read_queue + controller.write_queue + queues * controller.command_queue
    return {
        w.BANKS: tables.banks,
        w.DUAL: tables.slots == "dual",
        w.CLOSE_ROW: controller.row_policy == "closed",
        w.READ_SIZE: controller.read_queue,
        w.WRITE_SIZE: controller.write_queue,
        w.DEPTH: controller.command_queue,
        w.QUEUES: queues,
        w.QUEUE_BANKS: queue_banks,
        w.RANK_BANKS: rank_banks(tables),
        w.REFRESH_TICKS: interval,
        w.SCOPE: 1 if by_bank else scope,
        w.REFRESH: w.REFPB if by_bank else w.REFAB,
        w.LATENCY: tables.read_latency,
        w.OUTSTANDING: pacing.outstanding,
        w.PER_TICK: pacing.per_tick,
        w.GAP: pacing.gap_ticks,
        w.RING_SIZE: pacing.outstanding + 1,
        w.BUCKETS: (1 << (slots - 1).bit_length()) - 1,
    }


def _slots(options: NDArray[np.int64]) -> int:
    """Requests that a channel may hold, merged ones apart."""
    waiting = options[w.READ_SIZE] + options[w.WRITE_SIZE]
    return int(waiting + options[w.QUEUES] * options[w.DEPTH])


def _lay_out(options: NDArray[np.int64], history: int) -> None:
    """Where each section of a channel's words starts."""
    banks, queues, slots = int(options[w.BANKS]), int(options[w.QUEUES]), _slots(options)
    ranks, ring = banks // int(options[w.RANK_BANKS]), int(options[w.RING_SIZE])
    sizes = {
        w.READY: len(COMMANDS) * int(options[w.NODES]), w.OPEN: banks, w.COLUMNS: banks,
        w.PUSHED_OUT: banks, w.OPENED: ranks, w.SINCE: ranks,
        w.READ_QUEUE: int(options[w.READ_SIZE]), w.WRITE_QUEUE: int(options[w.WRITE_SIZE]),
        w.QUEUE: queues * int(options[w.DEPTH]), w.QUEUED: queues, w.QUEUE_WAKE: queues,
        w.ROW: slots, w.BANK: slots, w.ADDRESS: slots, w.CHAIN: slots, w.READERS: slots,
        w.FIRST_AT: slots, w.SUM_AT: slots, w.LAST_NUMBER: slots,
        w.BUCKET: int(options[w.BUCKETS]) + 1, w.FREE: slots, w.HISTORY: history,
        w.READ_RING: ring, w.WRITE_RING: ring,
    }  # fmt: skip
    at = w.SCALARS
    for section, size in sizes.items():
        options[section] = at
        at += size
    options[w.WORDS] = -(-at // 8) * 8


def _reset(options: NDArray[np.int64], history: list[int]) -> NDArray[np.int64]:
    state = np.zeros(options[w.WORDS], np.int64)

    def section(word: int, size: int) -> NDArray[np.int64]:
        return state[options[word] : options[word] + size]

    slots = _slots(options)
    section(w.OPEN, options[w.BANKS])[:] = -1
    section(w.BUCKET, options[w.BUCKETS] + 1)[:] = -1
    section(w.QUEUE_WAKE, options[w.QUEUES])[:] = w.NEVER
    section(w.FREE, slots)[:] = np.arange(slots)
    section(w.HISTORY, len(history))[:] = history
    state[w.N_FREE] = slots
    state[w.LAST_DONE] = -1
    state[[w.NEXT_REFRESH, w.WAKE]] = options[w.REFRESH_TICKS]
    return state
