"""How full channels got, from the log of a run's steps.

Periods that were counted repeat what was simulated, so they add nothing to a maximum. Names, bytes
and what a channel stands for belong to the callers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archsim.sim.code import Code
from archsim.sim.critical import Log
from archsim.sim.slices import replayed

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Occupancy:
    """What is not a sum over steps.

    Attributes:
        peak: Most slots taken at once, by channel: from the start of the step that reserves one to
            the end of the step that frees it.
    """

    peak: Ints


def occupancy(code: Code, log: Log, *, plain: bool) -> Occupancy:
    """What a log tells; `plain` replays it in plain Python even where a compiled form is there."""
    program = code.program
    begin, _, _ = replayed(code, log, plain=plain)
    units = [
        slice(int(at), int(at) + n) for at, n in zip(log.start, log.steps, strict=True)
    ]  # of the log
    row = np.asarray(log.row)
    durations = np.array([r.dur_ps for r in program.rows], dtype=np.int64)
    reserves, frees = _verb_table(code, "reserve"), _verb_table(code, "free")
    peak = np.zeros(len(program.channels), dtype=np.int64)
    for c, channel in enumerate(program.channels):
        maker, reader = units[channel.producer], units[channel.consumer]
        taken = np.repeat(begin[maker], reserves[c][row[maker]])
        gives = frees[c][row[reader]]
        given = np.repeat(begin[reader], gives) + np.repeat(durations[row[reader]], gives)
        if taken.size:
            back = np.searchsorted(given, taken, side="right")
            peak[c] = int((np.arange(1, taken.size + 1) - back).max())
    return Occupancy(peak)


def _verb_table(code: Code, verb: str) -> list[Ints]:
    """How often each row does a verb, by channel."""
    program = code.program
    found = [np.zeros(len(program.rows), dtype=np.int64) for _ in program.channels]
    for i, row in enumerate(program.rows):
        for c in getattr(row, verb):
            found[c][i] += 1
    return found
