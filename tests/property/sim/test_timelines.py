"""Does the timeline tell what the counters sum up, whoever ran the program and however short?"""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.core.errors import LawViolation
from archsim.sim.code import flatten
from archsim.sim.critical import Log
from archsim.sim.errors import Deadlock
from archsim.sim.program import Channel, Leaf, Loop, Program, Row, Unit
from archsim.sim.result import by_unit
from archsim.sim.simulate import run_compiled, simulate
from archsim.sim.slices import REPEATED, REST, unfold
from archsim.testing.programs import near_balanced_chain, random_program

ALL = 10**6
COUNTERS = {"busy_ps": "busy_ps", "in_ps": "stall_in_ps", "out_ps": "stall_out_ps",
            "shared_ps": "stall_shared_ps"}  # fmt: skip

programs = st.one_of(
    st.integers(0, 10**9).map(random_program), st.integers(0, 10**9).map(near_balanced_chain)
)


def ways(program, most):
    code = flatten(program)
    return {
        "compiled": lambda: simulate(program, slices=most),
        "exact": lambda: simulate(program, exact=True, slices=most),
        "simpy": lambda: simulate(program, engine="simpy", slices=most),
        "all loops folded": lambda: run_compiled(
            code, exact=False, critical=False, slices=most, plain=True, all_loops=True
        ),
    }


def adds_up(program, result):
    """Slices of a unit follow each other, and their parts add up to its counters."""
    told = result.slices
    for column, counter in COUNTERS.items():
        of_rows = getattr(result, counter)
        sums = np.zeros(len(program.units), dtype=np.int64)
        np.add.at(sums, told.unit, getattr(told, column))
        assert sums.tolist() == by_unit(program, of_rows).tolist(), column
        assert (getattr(told, column) >= 0).all(), column
    for unit, end in enumerate(result.unit_end_ps.tolist()):
        own = told.unit == unit
        ends = told.end_ps[own].tolist()
        assert told.start_ps[own].tolist() == [0, *ends][: len(ends)]
        assert ([0, *ends])[-1] == end


def columns(slices):
    return {f.name: getattr(slices, f.name).tolist() for f in dataclasses.fields(slices)}


@settings(max_examples=60, deadline=None)
@given(programs)
def test_all_ways_to_run_a_program_tell_one_timeline_that_adds_up(program):
    try:
        expected = simulate(program, exact=True, slices=ALL)
    except Deadlock:
        return
    adds_up(program, expected)
    assert len(expected.slices.row) == program.steps()
    for name, run in ways(program, ALL).items():
        assert columns(run().slices) == columns(expected.slices), name


@settings(max_examples=60, deadline=None)
@given(programs, st.integers(1, 200))
def test_a_shortened_timeline_adds_up_too(program, most):
    try:
        simulate(program)
    except Deadlock:
        return
    for run in ways(program, most).values():
        result = run()
        adds_up(program, result)
        assert len(result.slices.row) <= most + len(program.units)


@settings(max_examples=40, deadline=None)
@given(programs)
def test_a_shared_timeline_serves_one_unit_at_a_time(program):
    try:
        told = simulate(program, slices=ALL).slices
    except Deadlock:
        return
    for name in {unit.timeline for unit in program.units} - {None}:
        users = [u for u, unit in enumerate(program.units) if unit.timeline == name]
        uses = sorted(
            zip(*(c[np.isin(told.unit, users)].tolist() for c in (told.begin_ps, told.end_ps)),
                strict=True)
        )  # fmt: skip
        assert all(end <= begin for (_, end), (begin, _) in pairwise(uses))


UNITS = (Unit("make"), Unit("eat"))
ROWS = (Row(0, 10, lag_ps=5, reserve=(0,), put=(0,)), Row(1, 25, take=(0,), free=(0,)))
CHAIN = Program(
    UNITS, (Channel("c", 0, 1, 2),), ROWS, (Loop(100, (Leaf((0, 1)),), "layer", block=True),)
)


def test_waits_are_told_before_the_work_they_end_in():
    told = columns(simulate(CHAIN, slices=ALL).slices)
    eat = [i for i, unit in enumerate(told["unit"]) if unit == 1]
    assert [told["in_ps"][i] for i in eat] == [15] + [0] * 99
    assert [told["begin_ps"][i] for i in eat] == [15 + 25 * k for k in range(100)]
    assert told["out_ps"][:4] == [0, 0, 20, 15]  # room for two, then one as one is eaten


def test_periods_that_do_not_fit_are_one_slice_for_each_unit():
    result = simulate(CHAIN, slices=60)
    told = columns(result.slices)
    (fold,) = result.folds
    blocks = [i for i, row in enumerate(told["row"]) if row == REPEATED]
    assert [told["unit"][i] for i in blocks] == [0, 1]
    assert {told["times"][i] for i in blocks} == {fold.counted // fold.period}
    assert {told["busy_ps"][i] for i in blocks} == {10 * fold.counted, 25 * fold.counted}


def test_steps_beyond_the_most_are_one_slice_for_each_unit():
    told = columns(simulate(CHAIN, exact=True, slices=50).slices)
    rests = [i for i, row in enumerate(told["row"]) if row == REST]
    assert [told["unit"][i] for i in rests] == [0, 1]
    assert sum(told["times"]) == 200


@pytest.mark.parametrize("plain", [True, False])
def test_a_log_that_contradicts_itself_is_a_broken_law(plain):
    rows = np.array([1, 0], np.int32)  # units swapped: each waits for the other
    log = Log([0, 1], [1, 1], rows, np.zeros(2, np.int32), np.full(2, -3, np.int16))
    with pytest.raises(LawViolation, match="stops making sense after 0 of 2"):
        unfold(flatten(CHAIN), log, [], ALL, plain=plain)


def test_compiled_and_plain_replays_agree():
    code = flatten(near_balanced_chain(11))
    found = [
        columns(run_compiled(code, exact=False, critical=True, slices=ALL, plain=plain).slices)
        for plain in (True, False)
    ]
    assert found[0] == found[1]


def test_no_timeline_is_kept_unless_asked_for():
    assert simulate(CHAIN).slices is None
    assert simulate(CHAIN, engine="simpy").slices is None
