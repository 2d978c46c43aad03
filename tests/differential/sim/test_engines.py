"""Do both engines, folded and exact, compiled and plain, tell one story of the same program?"""

from __future__ import annotations

import pytest

from archsim.sim.check import check_form
from archsim.sim.code import flatten
from archsim.sim.errors import Deadlock
from archsim.sim.simulate import run_compiled, simulate
from archsim.testing.programs import near_balanced_chain, outcome, permuted, random_program
from archsim.testing.transformer_program import transformer

BATCH = 250


def ways(program):
    code = flatten(program)
    return {
        "simpy, folded": lambda: simulate(program, engine="simpy"),
        "compiled, exact": lambda: run_compiled(code, exact=True, critical=True, plain=False),
        "compiled, blocks folded": lambda: simulate(program),
        "compiled, all folded": lambda: run_compiled(
            code, exact=False, critical=True, all_loops=True, plain=False
        ),
        "plain, all folded": lambda: run_compiled(
            code, exact=False, critical=True, all_loops=True, plain=True
        ),
    }


def told(run):
    """The outcome, or the text of the deadlock, and whether anything was folded."""
    try:
        result = run()
    except Deadlock as error:
        return str(error), False
    return outcome(result), bool(result.folds)


def compare(program, label):
    """Run a program every way; returns the reference and the ways that folded."""
    expected, _ = told(lambda: simulate(program, engine="simpy", exact=True))
    folded = set()
    for name, run in ways(program).items():
        found, did_fold = told(run)
        assert found == expected, f"{label}: {name}"
        if did_fold:
            folded.add(name)
    return expected, folded


@pytest.mark.parametrize("batch", range(10))
def test_random_programs_end_on_the_same_picosecond_with_the_same_counters_and_path(batch):
    ended = folded = 0
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        program = random_program(seed)
        expected, ways_folded = compare(program, f"seed {seed}")
        ended += not isinstance(expected, str)
        folded += bool(ways_folded)
        locks = False
        try:
            program.check()
        except Deadlock:
            locks = True
        assert locks == isinstance(expected, str), f"seed {seed}: the untimed pass disagrees"
    assert ended > BATCH // 4
    assert folded > BATCH // 8


def test_near_balanced_chains_drift_and_agree():
    folded = sum(bool(compare(near_balanced_chain(seed), f"seed {seed}")[1]) for seed in range(80))
    assert folded > 60


@pytest.mark.parametrize("kind", [{"tokens": 16}, {"tokens": 512, "batch": 1, "context": 512}])
def test_a_transformer_agrees_and_folds_its_layers(kind):
    _, folded = compare(transformer(5, **kind), str(kind))
    assert folded == set(ways(transformer(1))) - {"compiled, exact"}


def test_the_order_of_creation_changes_nothing():
    for seed in range(120):
        program = random_program(seed)
        other, new_unit, new_row = permuted(program, seed)
        check_form(other)
        for engine in ("compiled", "simpy"):
            try:
                first = outcome(simulate(program, engine=engine))
            except Deadlock:
                with pytest.raises(Deadlock):
                    simulate(other, engine=engine)
                continue
            second = outcome(simulate(other, engine=engine))
            for name, values in first.items():
                place = new_unit if name == "unit_end" else new_row
                found = second[name]
                moved = found if name == "makespan" else [found[i] for i in place]
                assert moved == values, f"seed {seed}, {engine}: {name}"


def test_a_log_that_outgrows_its_first_room_keeps_the_path(monkeypatch):
    monkeypatch.setattr("archsim.sim.executor.FIRST_LOG", 3)
    for seed in range(60):
        compare(random_program(seed), f"seed {seed}")


def test_the_steps_of_a_folded_run_are_counted_not_simulated():
    program = transformer(32)
    result = simulate(program)
    assert result.steps == program.steps() == int(result.count.sum())
    assert result.steps_simulated * 10 < result.steps
    (fold,) = result.folds
    assert (fold.loop, fold.simulated + fold.counted) == ("layer", 32)
