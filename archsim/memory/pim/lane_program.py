"""From lane rules, a trace and ordinary accesses to the integers that the inner loop reads.

Here are options and sections of the state; commands with their banks are in `lane_pairs`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from archsim.core.errors import InputError
from archsim.memory.pim import lane_words as w
from archsim.memory.pim.command_set import CommandSet
from archsim.memory.pim.lane_pairs import Pairs
from archsim.memory.pim.lane_rules import REASONS, LaneRules, Sharing, lane_rules
from archsim.memory.standard import Standard

Ints = NDArray[np.int64]
WAITS = ("nothing_to_do", "command_bus", "other")
"""Reasons to wait besides rules; the third is the other party."""
EVERY, EVERY_BANK = ("nREFI", "tREFI"), ("nREFIpb", "tREFIb", "tREFISB")
"""Refresh intervals under the names of sources."""
QUEUE = 32
"""Ordinary accesses that are looked at together, as in the plain controllers: assumed."""
MOST_BANKS = 62
"""Banks of a lane: each is a bit of a signed word, and all of them the word after the last."""


class Access(NamedTuple):
    """An ordinary access of one lane.

    Attributes:
        tick: From which on it waits.
        write: Whether it writes.
        bank: Bank of the lane.
        row: Row.
    """

    tick: int
    write: bool
    bank: int
    row: int


@dataclass(frozen=True)
class LaneProgram:
    """What the inner loop runs.

    Attributes:
        names: Commands by number.
        reasons: Reasons to wait by number.
        cfg: Options and section starts.
        pairs: Commands with their banks, PAIR_WORDS each.
        spans: What the spans of pairs point to.
        ops: Commands of the trace, OP_WORDS each.
        asked: Ordinary accesses by tick, ASK_WORDS each.
        pairs_by_number: Command and banks of each pair, for logs.
    """

    names: tuple[str, ...]
    reasons: tuple[str, ...]
    cfg: Ints
    pairs: Ints
    spans: Ints
    ops: Ints
    asked: Ints
    pairs_by_number: tuple[tuple[str, tuple[int, ...]], ...]

    def state(self) -> Ints:
        """The state before the first tick."""
        cfg = self.cfg
        st = np.zeros(int(cfg[w.WORDS]), np.int64)
        st[w.NEXT_REFRESH] = cfg[w.EVERY] or w.NEVER
        st[w.HOST_LEFT] = len(self.asked) // w.ASK_WORDS
        st[w.LEFT] = self.ops[2] if len(self.ops) else 0
        start = int(cfg[w.ROWS])
        st[start : start + 2 * int(cfg[w.BANKS])] = w.CLOSED
        start = int(cfg[w.RING])
        st[start : start + int(cfg[w.WINDOW_SIZE])] = -w.NEVER
        return st


def lane_program(
    standard: Standard,
    commands: CommandSet,
    steps: list[tuple[str, int, int, int]],
    accesses: tuple[Access, ...] = (),
    *,
    sharing: Sharing = "mode_switch",
    switches: bool = False,
    turn: int = 0,
    refresh: str = "none",
) -> LaneProgram:
    """The program of one lane.

    Args:
        standard: The memory.
        commands: Its command set.
        steps: Commands in order: name, one of its banks, row, times; an empty name waits for all.
        accesses: Ordinary ones, by tick.
        sharing: How both share banks.
        switches: Whether the memory belongs to one of them at a time.
        turn: Ticks for which one keeps it while the other waits; 0: commands go first.
        refresh: none | all_bank | per_bank.

    Raises:
        InputError: E202 where the standard lacks that refresh, or where its lane has more banks, or
            a command opens more rows, than a lane can count.
    """
    rules = lane_rules(standard, commands, sharing)
    _counts_all(rules, standard)
    own = REASONS if commands.by_standard else (*commands.rules, "activate_window")
    reasons = (*WAITS, *own)
    names = tuple(rules.commands)
    pairs = Pairs(rules, standard, commands, sharing == "dual_row_buffer", reasons, names)
    cfg = [0] * w.OPTIONS
    _pairs_of_parties(cfg, pairs, refresh, host=bool(accesses), switches=switches)
    ops: list[int] = []
    for name, bank, row, times in steps:
        pair = pairs.pair(name, rules.banks_of(name, max(bank, 0))) if name else -1
        ops += [pair, row, times]
    table, spans = pairs.tables()
    assert standard.device is not None
    _options(cfg, pairs, commands, standard, refresh)
    cfg[w.SLOTS] = 1 if standard.device.slots == "single" else 2
    cfg[w.SWITCHES], cfg[w.TURN] = int(switches), turn
    asked = [x for a in accesses for x in (a.tick, int(a.write), a.bank, a.row)]
    return LaneProgram(
        names=names, reasons=reasons, cfg=_ints(cfg), pairs=_ints(table), spans=_ints(spans),
        ops=_ints(ops), asked=_ints(asked), pairs_by_number=tuple(pairs.found),
    )  # fmt: skip


def _counts_all(rules: LaneRules, standard: Standard) -> None:
    """Refuse what the words of the inner loop do not hold."""
    if rules.banks > MOST_BANKS:
        raise InputError(
            f"a lane of {standard.name} has {rules.banks} banks, and {MOST_BANKS} can be simulated",
            code="E202",
        )
    for name, form in rules.commands.items():
        if rules.window and form.activates > rules.window.size:
            raise InputError(
                f"{name} opens {form.activates} rows at once, and {standard.name} lets "
                f"{rules.window.size} be opened in a window",
                code="E202",
            )


def _ints(values: list[int]) -> Ints:
    return np.array(values, np.int64)


def _pairs_of_parties(
    cfg: list[int], pairs: Pairs, refresh: str, *, host: bool, switches: bool
) -> None:
    """Number the pairs that the loop issues by itself."""
    rules = pairs.rules
    roles, every = rules.roles, tuple(range(rules.banks))
    one = [(b,) for b in every]
    cfg[w.CHANGE] = pairs.pair(roles.change_mode, every) if roles.change_mode else -1
    cfg[w.CLOSE_ALL] = cfg[w.CLOSE_PIM] = cfg[w.REFRESH] = cfg[w.REFRESH_BANK] = -1
    cfg[w.OPEN_BANK] = cfg[w.CLOSE_BANK] = cfg[w.READ] = cfg[w.WRITE] = -1
    if switches or refresh == "all_bank":
        cfg[w.CLOSE_ALL] = pairs.pair(roles.close_all, every)
    if refresh == "all_bank":
        cfg[w.REFRESH] = pairs.pair(roles.refresh, every)
    # Neighbouring banks have neighbouring numbers: what needs rows comes after what opens them.
    ordinary = [(w.CLOSE_BANK, roles.close_bank)] if host or refresh == "per_bank" else []
    if host:
        ordinary += [(w.OPEN_BANK, roles.open_bank), (w.READ, roles.read), (w.WRITE, roles.write)]
    if refresh == "per_bank":
        ordinary.append((w.REFRESH_BANK, "REFpb"))
    for key, name in ordinary:
        numbers = [pairs.pair(name, banks) for banks in one]
        cfg[key] = numbers[0]
    closes = {form.closed_by for form in pairs.chosen.commands.values()} - {None}
    if pairs.dual and refresh != "none":
        cfg[w.CLOSE_PIM] = pairs.pair(str(min(closes, key=str)), every)


def _options(
    cfg: list[int], pairs: Pairs, commands: CommandSet, standard: Standard, refresh: str
) -> None:
    """Timings, reasons and section starts."""
    rules = pairs.rules
    device = standard.device
    assert device is not None
    timings = {**device.timings, **commands.timings}
    longest = max(rule.ticks for rule in rules.rules)
    often = next((timings[name] for name in EVERY if name in timings), longest)
    every = {"all_bank": EVERY, "per_bank": EVERY_BANK}.get(refresh, ())
    known = [timings[name] for name in every if name in timings]
    if every and not known:
        raise InputError(f"{standard.name} has no {refresh} refresh", code="E202")
    for key, value in (
        (w.BANKS, rules.banks), (w.COMMANDS, len(pairs.names)), (w.BUFFERS, 1 + pairs.dual),
        (w.ENTER, commands.ticks_of(commands.enter, standard)),
        (w.LEAVE, commands.ticks_of(commands.leave, standard)),
        (w.EVERY, known[0] if known else 0), (w.EACH_BANK, refresh == "per_bank"),
        (w.LONGEST, w.PATIENCE * max([often, *known])),
        (w.WINDOW_SIZE, rules.window.size if rules.window else 0),
        (w.WINDOW_TICKS, rules.window.ticks if rules.window else 0),
        (w.AHEAD, commands.product is not None and commands.product.overlaps_rows),
        (w.HOLDS, any(form.activates > 1 for form in commands.commands.values())),
        (w.REOPENS, not commands.by_standard), (w.DEPTH, QUEUE), (w.REASONS, len(pairs.reasons)),
        (w.REFRESH_REASON, pairs.reasons.index("refresh")),
        (w.MODE_REASON, pairs.reasons.index("mode_change")),
        (w.WINDOW_REASON, pairs.reasons.index("activate_window")),
    ):  # fmt: skip
        cfg[key] = int(value)
    n = len(pairs.words)
    sizes = {
        w.READY: n, w.WHY: n, w.WHO: n, w.ROWS: 2 * rules.banks, w.RING: cfg[w.WINDOW_SIZE],
        w.RING_WHO: cfg[w.WINDOW_SIZE], w.WAITS: 2 * cfg[w.REASONS], w.COUNTS: 3 * len(pairs.names),
    }  # fmt: skip
    starts = accumulate(sizes.values(), initial=w.SCALARS)
    for key, start in zip(sizes, starts, strict=False):
        cfg[key] = start
    cfg[w.WORDS] = w.SCALARS + sum(sizes.values())
