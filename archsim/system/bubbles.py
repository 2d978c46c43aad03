"""Bubbles: how long the stages of a pipeline stand still because others are not there yet.

Stages retire in order, so that a device waits for a message, and for nothing else, from when all
that it issued before has retired until the message is there; and after its last stage it waits for
the end of the run.
"""

from __future__ import annotations

from archsim.system.rows import RETIRE
from archsim.system.simulate import Timed


def bubbles_ps(timed: Timed) -> tuple[int, ...]:
    """Time that a device of each class stands still, by class; 0 for devices that are all alike.

    Args:
        timed: a run through time.
    """
    book, run = timed.schedule, timed.run
    if run is None or len(book.classes) < 2:
        return (0,) * len(book.classes)
    program = book.program
    waited = [0] * len(book.classes)
    ends = [0] * len(book.classes)
    for i, row in enumerate(program.rows):
        one = book.class_of[row.op]
        if program.units[row.unit].role != RETIRE:
            continue
        ends[one] = max(ends[one], int(run.unit_end_ps[row.unit]))
        collective = book.stages[row.op].ops[0].collective
        if collective is not None and collective.pattern == "receive":
            waited[one] += int(run.stall_in_ps[i])
    return tuple(w + timed.time_ps - end for w, end in zip(waited, ends, strict=True))
