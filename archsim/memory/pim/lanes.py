"""Lanes under a command trace: steps become commands, alike lanes run once, counts come back.

A lane is a channel, or a pseudo channel where a standard has some; both pseudo channels of a
channel are taken to run the same stream, which one command starts in both. What a decoder with
queues in front of all channels does is in `run`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsim.core.errors import SimulationStopped
from archsim.memory.controllers.linked import linked
from archsim.memory.pim import lane_issue, lane_kernel, lane_words
from archsim.memory.pim import lane_words as w
from archsim.memory.pim.command_set import CommandSet
from archsim.memory.pim.lane_program import LaneProgram, lane_program
from archsim.memory.pim.lane_rules import ORDINARY
from archsim.memory.pim.program import alike
from archsim.memory.pim.run import ChannelRun, PimRun
from archsim.memory.pim.trace import READ, REGISTER, WRITE, PimTrace, Step, check
from archsim.memory.standard import Standard
from archsim.sim.kernels import pays

Ints = NDArray[np.int64]
STEPS_OF_A_COMMAND = 8  # plain Python runs some 40,000 commands/s (measured), half those steps each
INNER = frozenset(("ready", "free_slot", "needed"))


@functools.cache
def compiled() -> Callable[..., int]:
    """Machine code of `lane_kernel.run`, or the plain function where numba is missing."""
    return linked(lane_words, (lane_issue, lane_kernel), "run", INNER)


@dataclass(frozen=True)
class Logged:
    """One command of a log: tick, name, banks, row (or -1), party."""

    tick: int
    command: str
    banks: tuple[int, ...]
    row: int
    party: int


@dataclass(frozen=True)
class LaneRun:
    """What one lane did.

    Attributes:
        pim_ticks: Until the last command of the trace is done.
        host_ticks: Until the last ordinary access is: a read when its data has come, a write when
            it is issued.
        pim_waits: Ticks in which the trace issued nothing, by reason, until all had been issued.
        host_waits: The same of ordinary accesses.
        pim_counts: Commands of the trace by name.
        host_counts: Commands of ordinary accesses.
        upkeep_counts: Commands of refresh and of changes of mode.
        row_ticks: Ticks with an open row.
        open_bank_ticks: The same, summed over banks.
        log: Commands in order, where a log was asked for.
    """

    pim_ticks: int
    host_ticks: int
    pim_waits: dict[str, int]
    host_waits: dict[str, int]
    pim_counts: dict[str, int]
    host_counts: dict[str, int]
    upkeep_counts: dict[str, int]
    row_ticks: int
    open_bank_ticks: int
    log: tuple[Logged, ...] = ()


def run_lane(made: LaneProgram, *, plain: bool = False, log: bool = False) -> LaneRun:
    """Run one lane.

    Args:
        made: What is run.
        plain: Plain Python even where numba is installed.
        log: Whether the commands come back.

    Raises:
        SimulationStopped: When nothing can ever happen again, or a log is longer than its room.
    """
    st = made.state()
    asked = len(made.asked) // w.ASK_WORDS
    n = len(made.ops) // w.OP_WORDS
    requests = int(made.ops[2 :: w.OP_WORDS].sum()) + asked
    room = np.zeros(w.LOG_WORDS * (64 + 24 * requests) if log else 0, np.int64)
    arrays: list[Any] = [
        st, made.cfg, made.pairs, made.spans, made.ops, n, made.asked, np.zeros(asked, np.int64),
        room,
    ]  # fmt: skip
    if plain or not pays(STEPS_OF_A_COMMAND * requests):
        lists = [x.tolist() if isinstance(x, np.ndarray) else x for x in arrays]
        stop = lane_kernel.run(*lists)
        st, room = np.array(lists[0], np.int64), np.array(lists[-1], np.int64)
    else:
        stop = compiled()(*arrays)
    if stop == w.STUCK:
        raise SimulationStopped(f"command {int(st[w.HEAD]) + 1} never becomes legal")
    logged = int(st[w.LOGGED]) if log else 0
    if logged > len(room):
        raise SimulationStopped(f"the log has room for {len(room) // w.LOG_WORDS} commands")
    return _read(made, st, room[:logged])


def _read(made: LaneProgram, st: Ints, room: Ints) -> LaneRun:
    cfg = made.cfg

    def counts(party: int) -> dict[str, int]:
        start = int(cfg[w.COUNTS]) + party * len(made.names)
        return {name: int(st[start + i]) for i, name in enumerate(made.names)}

    def waits(party: int, other: str) -> dict[str, int]:
        start = int(cfg[w.WAITS]) + party * len(made.reasons)
        names = (*made.reasons[: w.FOR_OTHER], other, *made.reasons[w.RULES :])
        return {name: int(st[start + i]) for i, name in enumerate(names)}

    entries = room.reshape(-1, w.LOG_WORDS).tolist()
    # The open rows stay so until the end.
    left = max(int(st[w.PIM_DUE]), int(st[w.HOST_DUE])) - int(st[w.CHANGED])
    opened = int(st[w.N_OPEN])
    return LaneRun(
        pim_ticks=int(st[w.PIM_DUE]),
        host_ticks=int(st[w.HOST_DUE]),
        pim_waits=waits(w.PIM, "pim_for_host"),
        host_waits=waits(w.HOST, "host_for_pim"),
        pim_counts=counts(w.PIM),
        host_counts=counts(w.HOST),
        upkeep_counts=counts(w.UPKEEP),
        row_ticks=int(st[w.ROW_TICKS]) + left * (opened > 0),
        open_bank_ticks=int(st[w.OPEN_BANK_TICKS]) + left * opened,
        log=tuple(
            Logged(tick, *made.pairs_by_number[pair], row, party)
            for tick, pair, row, party in entries
        ),
    )


def commands_of(
    steps: tuple[Step, ...], commands: CommandSet, standard: Standard
) -> list[tuple[str, int, int, int]]:
    """Commands of steps: name, bank, row, times; an empty name waits for all before it.

    Raises:
        InputError: E107, E202 for a step that names what the memory does not have.
    """
    roles = commands.roles or ORDINARY
    registers = [0] * commands.registers
    found = []
    for step in steps:
        check(step, commands, standard)
        form = commands.instructions.get(step.word)
        if step.word == REGISTER:
            registers[step.bank] = step.row
        elif step.word in (READ, WRITE):
            name = roles.read if step.word == READ else roles.write
            found.append((name, step.bank, step.row, step.opsize))
        elif form is not None and form.barrier:
            found.append(("", -1, -1, 1))
        elif form is not None and form.command is not None:
            row = step.row
            if form.private_row is not None:
                row = form.private_row.first + registers[form.private_row.register_]
            found.append((form.command, step.bank, row, step.opsize))
    return found


def run_trace(
    standard: Standard,
    commands: CommandSet,
    trace: PimTrace,
    *,
    refresh: str = "none",
    exact: bool = False,
    plain: bool = False,
) -> PimRun:
    """Run a trace on all lanes, each of which takes its commands in order by itself.

    Args:
        standard: The memory.
        commands: Its command set.
        trace: What is run.
        refresh: none | all_bank | per_bank.
        exact: Whether lanes that do the same are each simulated.
        plain: Plain Python even where numba is installed.

    Raises:
        InputError: E107, E202 for a step that names what the memory does not have.
    """
    channels, _ = alike(trace, commands, exact=exact)
    runs = []
    for group in channels:
        mask = commands.mask_of(group[0])
        steps = tuple(s for s in trace.steps if not s.mask or s.mask & mask)
        made = lane_program(
            standard, commands, commands_of(steps, commands, standard), refresh=refresh
        )
        runs.append((group, run_lane(made, plain=plain)))
    cycles = max((found.pim_ticks for _, found in runs), default=0)
    return PimRun(cycles, tuple(_channel(group, found, cycles) for group, found in runs))


def _channel(group: tuple[int, ...], found: LaneRun, cycles: int) -> ChannelRun:
    names = found.pim_counts
    counts = {name: n + found.upkeep_counts[name] for name, n in names.items()}
    issued = sum(names.values())
    waits = dict(found.pim_waits)
    waits["nothing_to_do"] += cycles - issued - sum(waits.values())
    return ChannelRun(
        channels=group, counts=counts, waits=waits, issuing=issued,
        row_ticks=found.row_ticks, open_bank_ticks=found.open_bank_ticks,
    )  # fmt: skip
