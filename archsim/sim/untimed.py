"""Can a program end? Asked without time, because whether units lock does not depend on durations.

A unit never holds a timeline while it waits, and every channel has one reader and one writer; so
the set of steps that can be taken is the same in every timing, and one pass over the program,
folded wherever it repeats itself, answers for all of them.
"""

from __future__ import annotations

from archsim.sim.code import Code, flatten
from archsim.sim.executor import Executor
from archsim.sim.fold import SHORTEST
from archsim.sim.program import Program

FEWEST_STEPS = 5_000  # the few samples of a fold cost as much as 1,000 to 10,000 steps (measured)


def check_ends(program: Program) -> None:
    """Raise Deadlock, without times, unless the program can run to its end."""
    code: Code = flatten(program)
    watch = {
        i
        for i, loop in enumerate(code.loops)
        if loop.slot >= 0 and loop.n >= SHORTEST and loop.steps >= FEWEST_STEPS
    }
    Executor(code, watch=watch, logging=False, timed=False).run()
