"""Do the laws of time hold on programs nobody chose? Hypothesis draws the seeds and the changes."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.sim.errors import Deadlock
from archsim.sim.program import Program
from archsim.sim.result import by_unit
from archsim.sim.simulate import simulate
from archsim.testing.programs import near_balanced_chain, outcome, random_program

seeds = st.integers(0, 10**9)


def ended(program):
    try:
        return simulate(program)
    except Deadlock:
        return None


def redrawn(program, durations):
    """The same program with other durations and lags."""
    rows = tuple(
        dataclasses.replace(
            row, dur_ps=durations[2 * i % len(durations)] + 1, lag_ps=durations[i % len(durations)]
        )
        for i, row in enumerate(program.rows)
    )
    return dataclasses.replace(program, rows=rows)


@settings(max_examples=80, deadline=None)
@given(seeds, st.lists(st.integers(0, 500), min_size=3, max_size=9))
def test_whether_a_program_locks_does_not_depend_on_durations(seed, durations):
    program = random_program(seed)
    assert (ended(program) is None) == (ended(redrawn(program, durations)) is None)


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(2, 5))
def test_scaling_every_duration_scales_every_time(seed, factor):
    program = random_program(seed)
    rows = tuple(
        dataclasses.replace(row, dur_ps=factor * row.dur_ps, lag_ps=factor * row.lag_ps)
        for row in program.rows
    )
    before, after = ended(program), ended(dataclasses.replace(program, rows=rows))
    if before is None or after is None:
        assert before is after
        return
    plain, scaled = outcome(before), outcome(after)
    assert scaled["count"] == plain["count"]
    assert scaled["makespan"] == factor * plain["makespan"]
    for name in ("busy", "stall_in", "stall_out", "stall_shared", "critical_busy", "critical_lag"):
        assert scaled[name] == [factor * ps for ps in plain[name]]


@settings(max_examples=60, deadline=None)
@given(seeds, st.data())
def test_without_shared_timelines_deeper_buffers_and_shorter_steps_never_slow_a_run(seed, data):
    drawn = random_program(seed)
    units = tuple(dataclasses.replace(unit, timeline=None) for unit in drawn.units)
    program = dataclasses.replace(drawn, units=units)
    base = ended(program)
    if base is None:
        return
    channels = tuple(
        dataclasses.replace(c, depth=c.depth + data.draw(st.integers(0, 2)))
        for c in program.channels
    )
    assert simulate(dataclasses.replace(program, channels=channels)).makespan_ps <= base.makespan_ps
    rows = tuple(
        dataclasses.replace(r, dur_ps=data.draw(st.integers(0, r.dur_ps))) for r in program.rows
    )
    assert simulate(dataclasses.replace(program, rows=rows)).makespan_ps <= base.makespan_ps


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_a_program_run_twice_in_sequence_is_never_faster_than_once_nor_slower_than_two(seed):
    program = random_program(seed, most_steps=800)
    once = ended(program)
    if once is None:
        return
    twice = ended(Program(program.units, program.channels, program.rows, program.tree * 2))
    assert twice is not None
    assert once.makespan_ps <= twice.makespan_ps
    assert twice.makespan_ps <= twice.count @ [r.dur_ps + r.lag_ps for r in program.rows]


@pytest.mark.parametrize("seed", range(6))
def test_a_chain_of_private_stages_follows_the_max_plus_recurrence(seed):
    program = near_balanced_chain(seed)
    (loop,) = program.tree
    depths = [channel.depth for channel in program.channels]
    begin = [[0] * loop.n for _ in program.rows]
    end = [[0] * loop.n for _ in program.rows]
    for i in range(loop.n):
        for s, row in enumerate(program.rows):
            start = end[s][i - 1] if i else 0
            if s:
                start = max(start, end[s - 1][i] + program.rows[s - 1].lag_ps)
            if s < len(depths) and i >= depths[s]:
                start = max(start, end[s + 1][i - depths[s]])
            begin[s][i], end[s][i] = start, start + row.dur_ps
    result = simulate(program)
    assert result.unit_end_ps.tolist() == [times[-1] for times in end]
    assert by_unit(program, result.busy_ps).tolist() == [loop.n * r.dur_ps for r in program.rows]
