"""Does it alter nothing but the time to a recurrence that units stop together to be compared?"""

from __future__ import annotations

from dataclasses import replace

import pytest

from archsim.sim.code import flatten
from archsim.sim.errors import Deadlock
from archsim.sim.program import Channel, Leaf, Loop, Program, Row, Unit
from archsim.sim.simulate import run_compiled, simulate
from archsim.testing.programs import near_balanced_chain, outcome, random_program

BATCH = 300


def aligned(node):
    if isinstance(node, Leaf):
        return node
    return replace(node, aligned=True, body=tuple(aligned(child) for child in node.body))


def told(run):
    try:
        result = run()
    except Deadlock as error:
        return str(error), 0
    return outcome(result), len(result.folds)


def folds(program, label):
    """Folds of a program whose loops are all aligned; its outcome is that of the exact run."""
    expected, _ = told(lambda: simulate(program, exact=True))
    code = flatten(replace(program, tree=tuple(aligned(node) for node in program.tree)))
    total = 0
    for plain in (False, True):
        for every in (False, True):
            found, n = told(
                lambda plain=plain, every=every: run_compiled(
                    code, exact=False, critical=True, all_loops=every, plain=plain
                )
            )
            assert found == expected, f"{label}: plain {plain}, all loops {every}"
            total += n
    return total


@pytest.mark.parametrize("batch", range(4))
def test_random_programs_with_shared_timelines_and_nested_loops(batch):
    seeds = range(batch * BATCH, (batch + 1) * BATCH)
    assert sum(folds(random_program(seed), f"seed {seed}") > 0 for seed in seeds) > BATCH // 8


def test_near_balanced_chains():
    assert sum(folds(near_balanced_chain(seed), f"seed {seed}") > 0 for seed in range(40)) > 20


@pytest.mark.parametrize("depth", [7, 13, 100])
def test_units_far_ahead_of_each_other_recur_at_once(depth):
    """Where they happen to be recurs when whole channels fit whole iterations of 64 tokens."""
    rows = (
        Row(0, 10, reserve=(0,), put=(0,), run=64),
        Row(1, 10, take=(0,), free=(0,), reserve=(1,), put=(1,), run=64),
        Row(2, 10, take=(1,), free=(1,), run=64),
    )
    channels = (Channel("a", 0, 1, depth), Channel("b", 1, 2, depth - 2))
    loop = Loop(2000, (Leaf((0, 1, 2)),), name="loop", block=True)
    program = Program((Unit("x"), Unit("y"), Unit("z")), channels, rows, (loop,))
    plain = simulate(program)
    found = simulate(replace(program, tree=(replace(loop, aligned=True),)))
    assert outcome(found) == outcome(plain)
    assert found.folds[0].period == 1
    assert found.steps_simulated < min(plain.steps_simulated, 10 * 3 * 64)
