"""How fast a program's loop goes once its state recurs: time by iteration, exactly.

The recurrence that lets a loop be folded is a proof: from there on every period is alike. Where no
state recurs within the iterations given, the later half of twice as many is measured instead.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from archsim.sim.code import flatten
from archsim.sim.executor import Executor
from archsim.sim.fold import watched
from archsim.sim.program import Leaf, Loop, Program

ITERATIONS = (32, 128)  # most periods are 1, the longest seen is 8; drift may come before (`fold`)


def steady_interval_ps(program: Program) -> Fraction:
    """Picoseconds of an iteration of a program's one block in the long run, however few it has.

    Args:
        program: with one loop that is marked as a block, at the top of its tree.

    Raises:
        Deadlock: Units wait for each other.
    """
    for n in ITERATIONS:
        run = _run(program, n)
        if run.jumps:
            jump, rows = run.jumps[-1], len(program.rows)
            grown = jump.grown[:rows]  # executions of each row in a period
            row = int(grown.argmax())
            iterations = Fraction(int(grown[row]) * n, run.code.program.counts()[row])
            return jump.period_ps / iterations
    n = ITERATIONS[-1]
    return Fraction(_end_ps(_run(program, 2 * n)) - _end_ps(run), n)


def _run(program: Program, iterations: int) -> Executor:
    tree: list[Loop | Leaf] = [
        replace(node, n=iterations) if isinstance(node, Loop) and node.block else node
        for node in program.tree
    ]
    code = flatten(replace(program, tree=tuple(tree)))
    run = Executor(code, watch=watched(code, blocks_only=True, fewest_steps=0), logging=False)
    run.run()
    return run


def _end_ps(run: Executor) -> int:
    return max((int(t) for t in run.t), default=0)
