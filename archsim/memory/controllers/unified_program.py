"""A standard and a controller's options as the words that the unified inner loop reads.

Here rules are folded (levels with one node merge, rules for commands that never come are dropped),
sections of the state are laid out and the state at reset is made. The loop is in
`unified_kernel`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from archsim.core.errors import InputError, Unsupported
from archsim.memory.controllers import unified_words as k
from archsim.memory.tables import LEVEL, NEXT, PREVIOUS, SIBLING, TICKS, WINDOW

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from archsim.memory.controller import ControllerSpec
    from archsim.memory.requests import Pacing
    from archsim.memory.tables import Tables

COMMANDS = ("RD", "WR", "ACT", "PREpb", "PREab", "REFab", "REFpb", "RDA", "WRA", "ACT2", "CAS")
"""Commands of the loop by number; ACT stands for ACT1 where opening a row takes two commands."""

NUMBER = {name: number for number, name in enumerate(COMMANDS)} | {"ACT1": k.ACT}
REFRESH = {"none": k.NO_REFRESH, "all_bank": k.ALL_BANK, "per_bank": k.PER_BANK,
           "per_bank_interleaved": k.INTERLEAVED}  # fmt: skip
LONG_AGO = -(1 << 40)
"""Before any tick: what a window remembers at reset."""


@dataclass(frozen=True, slots=True)
class Program:
    """Words of one channel."""

    options: NDArray[np.int64]
    rules: NDArray[np.int64]
    reset: NDArray[np.int64]
    """State of one channel before tick 1."""


def program(tables: Tables, controller: ControllerSpec, pacing: Pacing) -> Program:
    """Fold rules, lay out the state and fill it.

    Raises:
        InputError: E202 for a refresh that the standard has no timing of.
    """
    options = np.zeros(k.OPTIONS, np.int64)
    _set_options(options, tables, controller, pacing)
    at = _lay_out(options, tables, controller)
    folded = _folded(tables, _followers(controller))
    scope = tables.banks_below(tables.refresh_level)
    rules, rings = _rules(folded, tables.banks, scope, at)
    options[k.WORDS] = -(-(at + sum(window + 1 for window in rings)) // 8) * 8
    reset = _reset(options, tables, controller)
    for window in rings:
        reset[at] = window
        reset[at + 1 : at + 1 + window] = LONG_AGO
        at += window + 1
    return Program(options, rules, reset)


def _followers(controller: ControllerSpec) -> set[int]:
    """Commands that this controller may issue by their legality."""
    used = {k.RD, k.WR, k.ACT, k.PRE}
    if controller.refresh == "all_bank":
        used |= {k.PREAB, k.REFAB}
    elif controller.refresh != "none":
        used |= {k.REFPB}
    if controller.row_policy in ("closed", "closed_after"):
        used |= {k.RDA, k.WRA}
    return used


def _folded(tables: Tables, followers: set[int]) -> dict[tuple[int, int, int, int, int], int]:
    """Ticks by previous command, follower, banks of a node, of its parent (siblings) and window."""
    found: dict[tuple[int, int, int, int, int], int] = {}
    scope = tables.banks_below(tables.refresh_level)
    for row in tables.constraints:
        before = NUMBER.get(tables.commands[row[PREVIOUS]])
        after = NUMBER.get(tables.commands[row[NEXT]])
        if before is None or after is None or after not in followers:
            continue
        span = tables.banks_below(int(row[LEVEL]))
        outer = tables.banks_below(int(row[LEVEL]) - 1) if row[SIBLING] else 0
        if before in (k.PREAB, k.REFAB):  # they stand for every bank of their scope
            span = max(span, scope)
        if outer == span:  # a lone node has no siblings
            continue
        if after in (k.PREAB, k.REFAB) and span < scope:
            names = [tables.commands[row[column]] for column in (PREVIOUS, NEXT)]
            level = tables.levels[row[LEVEL]]
            raise Unsupported(f"{tables.name}: no rule from {names[0]} to {names[1]} at a {level}")
        key = (before, after, span, outer, int(row[WINDOW]))
        found[key] = max(found.get(key, 0), int(row[TICKS]))
    return found


def _rules(
    folded: dict[tuple[int, int, int, int, int], int], banks: int, scope: int, history: int
) -> tuple[NDArray[np.int64], list[int]]:
    """Rules by command, behind the word at which each command's begin; and the rings of windows.

    A ring holds a cursor and so many times; rings follow each other from the word `history` on.
    """
    starts, words, rings = [], list[int](), list[int]()
    head = len(COMMANDS) + 1
    for command in range(len(COMMANDS)):
        starts.append(head + len(words))
        for (before, after, span, outer, window), ticks in sorted(folded.items()):
            if before != command or ticks <= 0:
                continue
            stride = scope if after in (k.PREAB, k.REFAB) else 1
            own = history + sum(ring + 1 for ring in rings) if window > 1 else 0
            rings += [window] * (banks // span) if window > 1 else []
            words += [after * banks, span, outer, ticks, own, stride, window]
    starts.append(head + len(words))
    return np.array(starts + words, np.int64), rings


def _set_options(
    options: NDArray[np.int64], tables: Tables, controller: ControllerSpec, pacing: Pacing
) -> None:
    timing = tables.timings
    closes = {"open": (k.NEVER, 0, 0), "closed": (0, 0, 0), "timeout": (k.NEVER, 0, 1)}
    cap = controller.cap or k.NEVER
    upgrade, after, idle = closes.get(controller.row_policy, (cap, cap, 0))
    two_step = "ACT2" in tables.commands
    own = {
        k.BANKS: tables.banks,
        k.DUAL: tables.slots != "single",
        k.EDGE: tables.slots == "half_clock",
        k.TWO_STEP: two_step,
        k.READ_SIZE: controller.read_queue,
        k.WRITE_SIZE: controller.write_queue,
        k.WRITE_HIGH: math.floor(controller.write_high * controller.write_queue),
        k.WRITE_LOW: math.ceil(controller.write_low * controller.write_queue),
        k.IN_ORDER: controller.scheduler == "fcfs",
        k.ROW_HIT_FIRST: controller.scheduler == "frfcfs_row_hit",
        k.UPGRADE: upgrade,
        k.CLOSE_AFTER: after,
        k.IDLE_LIMIT: idle * (controller.timeout or 0),
        k.REFRESH: REFRESH[controller.refresh],
        k.SCOPE: tables.banks_below(tables.refresh_level),
        k.SETS: 1,
        k.LATENCY: tables.read_latency,
        k.OUTSTANDING: pacing.outstanding,
        k.PER_TICK: pacing.per_tick,
        k.GAP: pacing.gap_ticks,
        k.RING_SIZE: pacing.outstanding + 1,
    }
    interval = {"all_bank": "nREFI", "none": ""}.get(controller.refresh, "nREFIpb")
    if interval:
        if interval not in timing or (interval == "nREFIpb" and "REFpb" not in tables.commands):
            raise InputError(
                f"{tables.name} has no {interval}, which refresh {controller.refresh!r} needs",
                code="E202",
            )
        own[k.REFRESH_TICKS] = timing[interval]
    if controller.refresh == "per_bank_interleaved":
        level = tables.levels.index("sid") if "sid" in tables.levels else 1
        own[k.SCOPE] = tables.banks_below(1)
        own[k.SETS] = tables.banks_below(1) // tables.banks_below(level)
        own[k.REFRESH_BANK_TICKS] = timing["nRFCpb"]
    if two_step:
        burst = timing["nBL_min"]
        own[k.ACT2_TICKS] = timing["nAAD"]
        own[k.WCK_READ] = timing["nCL"] + burst + timing["nWCKPST"]
        own[k.WCK_WRITE] = timing["nCWL"] + burst + timing["nWCKPST"]
    for word, value in own.items():
        options[word] = value


def _lay_out(options: NDArray[np.int64], tables: Tables, controller: ControllerSpec) -> int:
    """Say where each section of a channel's words starts; returns where the windows may."""
    banks = tables.banks
    queue = controller.read_queue + controller.write_queue
    slots = queue + banks
    options[k.FIFO_SIZE] = 4 * banks + 64
    sizes = {
        k.READY: (k.BLOCKED + 1) * banks, k.OPEN: banks, k.USED: banks, k.COLUMNS: banks,
        k.LAST: banks, k.FLAG: banks, k.FIRST: banks, k.SLOT: queue + 1, k.ACTIVE_SLOT: banks + 1,
        k.KEY: slots, k.ROW: slots, k.ADDRESS: slots, k.ARRIVAL: slots, k.NUMBER: slots,
        k.TOUCHED: slots, k.NEXT_SLOT: slots, k.IS_WRITE: slots, k.FREE: slots,
        k.FIFO: int(options[k.FIFO_SIZE]), k.RING: int(options[k.RING_SIZE]),
        k.JOINED: banks, k.ALLOWED: banks,
    }  # fmt: skip
    at = k.SCALARS
    for section, size in sizes.items():
        options[section] = at
        at += size
    return at


def _reset(
    options: NDArray[np.int64], tables: Tables, controller: ControllerSpec
) -> NDArray[np.int64]:
    state = np.zeros(options[k.WORDS], np.int64)
    banks = tables.banks
    slots = controller.read_queue + controller.write_queue + banks
    ready = int(options[k.READY])
    state[ready + k.BLOCKED * banks : ready + (k.BLOCKED + 1) * banks] = k.NEVER
    for section in (k.OPEN, k.FIRST):
        state[options[section] : options[section] + banks] = -1
    state[options[k.FREE] : options[k.FREE] + slots] = np.arange(slots)
    state[k.N_FREE] = slots
    state[k.DEADLINE] = k.NEVER
    first = options[k.REFRESH_TICKS] if options[k.REFRESH] else k.NEVER
    state[[k.NEXT_REFRESH, k.REFRESH_AFTER]] = first
    state[k.WAKE] = min(first, k.NEVER)
    return state
