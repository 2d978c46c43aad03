"""Runs a program of command traces, compiled where that pays, and reads what it counted."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsim.core.errors import SimulationStopped
from archsim.memory.controllers.linked import linked
from archsim.memory.pim import pim_channel, pim_decoder, pim_issue, pim_words
from archsim.memory.pim import pim_words as w
from archsim.memory.pim.program import Program
from archsim.sim.kernels import pays

Ints = NDArray[np.int64]
STEPS_OF_A_REQUEST = 4  # plain Python runs some 40,000 requests/s, a tenth of those (measured)
INNER = frozenset(("ready_word", "next_command", "enter", "remove", "turn", "returned"))
"""Small functions of every tick; a call of one costs as much as what it does."""


@functools.cache
def compiled() -> Callable[..., int]:
    """Machine code of `pim_decoder.run`, or the plain function where numba is missing."""
    return linked(pim_words, (pim_issue, pim_channel, pim_decoder), "run", INNER)


@dataclass(frozen=True)
class ChannelRun:
    """What one of some alike channels did.

    Attributes:
        channels: Their numbers.
        counts: Commands by name.
        waits: Ticks without a command, by reason; with the commands they are all ticks.
        row_ticks: Ticks with an open row.
        open_bank_ticks: The same, summed over banks.
        issuing: Ticks with a command of the trace; by default all of `counts`.
    """

    channels: tuple[int, ...]
    counts: dict[str, int]
    waits: dict[str, int]
    row_ticks: int
    open_bank_ticks: int
    issuing: int | None = None


@dataclass(frozen=True)
class PimRun:
    """What a trace took.

    Attributes:
        cycles: Ticks until the end of the trace has returned from every channel.
        groups: What alike channels did, each group simulated once.
    """

    cycles: int
    groups: tuple[ChannelRun, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Commands by name, over all channels."""
        total: dict[str, int] = {}
        for group in self.groups:
            for name, count in group.counts.items():
                total[name] = total.get(name, 0) + count * len(group.channels)
        return total


def run(made: Program, *, plain: bool = False, log: Ints | None = None) -> PimRun:
    """Run a program.

    Args:
        made: What is run.
        plain: Plain Python even where numba is installed.
        log: Room for commands as tick, group, command, bank and row; filled in order.

    Raises:
        SimulationStopped: When nothing can ever happen again.
    """
    st = made.state()
    room = np.zeros(0, np.int64) if log is None else log
    arrays: list[Any] = [st, made.cfg, made.rules, made.ops, made.sent, made.n, room]
    if plain or not pays(STEPS_OF_A_REQUEST * made.requests):
        lists = [x.tolist() if isinstance(x, np.ndarray) else x for x in arrays]
        stop = pim_decoder.run(*lists)
        st = np.array(lists[0], np.int64)
        room[:] = lists[-1]
    else:
        stop = compiled()(*arrays)
    if stop == w.STUCK:
        at = int(st[w.HEAD])
        raise SimulationStopped(f"instruction {at + 1} never ends: its channels wait for ever")
    cycles = int(st[w.CLOCK])
    groups = tuple(_channel(made, st, cycles, c) for c in range(len(made.groups)))
    return PimRun(cycles, groups)


def _channel(made: Program, st: Ints, cycles: int, c: int) -> ChannelRun:
    base = w.HEADER + c * int(made.cfg[w.WORDS])
    counted = base + int(made.cfg[w.COUNT])
    waited = base + int(made.cfg[w.WAITED])
    waits = {name: int(st[waited + i]) for i, name in enumerate(made.reasons)}
    waits[made.reasons[w.NOBODY]] += cycles - int(st[base + w.LAST_ISSUE])
    left = cycles - int(st[base + w.CHANGED])
    opened = int(st[base + w.N_OPEN])
    return ChannelRun(
        channels=made.groups[c],
        counts={name: int(st[counted + i]) for i, name in enumerate(made.names)},
        waits=waits,
        row_ticks=int(st[base + w.ROW_TICKS]) + left * (opened > 0),
        open_bank_ticks=int(st[base + w.OPEN_BANK_TICKS]) + left * opened,
    )
