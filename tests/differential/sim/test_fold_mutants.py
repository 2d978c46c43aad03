"""Would the differential tests notice if folding forgot something? Each mutant forgets one."""

from __future__ import annotations

import pytest

from archsim.core.errors import ArchsimError
from archsim.sim import executor, fold, reference, snapshot
from archsim.sim.code import flatten
from archsim.sim.simulate import run_compiled, simulate
from archsim.testing.programs import near_balanced_chain, outcome, random_program

SEEDS = range(250)


def drop_inner_counters(patch):
    real = fold.place

    def place(*args):
        return real(*args)[0], ()

    patch.setattr(reference, "place", place)
    patch.setattr(snapshot, "place", place)


def drop_due_times(patch):
    patch.setattr(reference.Reference, "_progress", lambda *_: ())


def drop_stamps(patch):
    real = snapshot._rings
    patch.setattr(
        snapshot, "_rings", lambda *args: tuple(p for p in real(*args) if isinstance(p, int))
    )


def drop_levels(patch):
    real = snapshot._rings
    patch.setattr(
        snapshot, "_rings", lambda *args: tuple(p for p in real(*args) if not isinstance(p, int))
    )


def drop_units(patch):
    real = snapshot._units

    def units(*args):
        moving, parts = real(*args)
        return moving, [part[:3] for part in parts]

    patch.setattr(snapshot, "_units", units)


def forget_waits_in_progress(patch):
    real = reference.Reference.totals

    def totals(run):
        phases = [unit.phase for unit in run.units]
        for unit in run.units:
            unit.phase = reference.FINISHED
        try:
            return real(run)
        finally:
            for unit, phase in zip(run.units, phases, strict=True):
                unit.phase = phase

    patch.setattr(reference.Reference, "totals", totals)


def one_period_too_many(patch):
    for machine in (reference.Reference, executor.Executor):
        real = machine.skip

        def skip(run, times, *rest, real=real):
            real(run, times + 1, *rest)

        patch.setattr(machine, "skip", skip)


def shift_no_stamps(patch):
    real = executor.Executor.skip

    def skip(run, *args):
        before = list(run.stamp)
        real(run, *args)
        run.stamp[:] = before

    patch.setattr(executor.Executor, "skip", skip)


MUTANTS = {
    drop_inner_counters: "both",
    drop_due_times: "simpy",
    drop_stamps: "compiled",
    drop_levels: "compiled",
    drop_units: "compiled",
    forget_waits_in_progress: "simpy",
    one_period_too_many: "both",
    shift_no_stamps: "compiled",
}


def differs(program, engine):
    try:
        exact = outcome(simulate(program, exact=True))
    except ArchsimError:
        return False
    try:
        if engine == "simpy":
            folded = simulate(program, engine="simpy")
        else:
            folded = run_compiled(
                flatten(program), exact=False, critical=True, all_loops=True, plain=True
            )
    except (ArchsimError, IndexError):
        return True
    return outcome(folded) != exact


@pytest.mark.parametrize(
    ("mutant", "engine"),
    [
        (mutant, engine)
        for mutant, engines in MUTANTS.items()
        for engine in ("simpy", "compiled")
        if engines in ("both", engine)
    ],
)
def test_a_mutant_of_folding_is_noticed(monkeypatch, mutant, engine):
    mutant(monkeypatch)
    programs = [random_program(seed) for seed in SEEDS]
    programs += [near_balanced_chain(seed) for seed in range(20)]
    assert any(differs(program, engine) for program in programs)
