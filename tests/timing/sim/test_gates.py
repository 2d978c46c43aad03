"""Is each gate tight: closed one picosecond before, open at the very one? Both engines."""

from __future__ import annotations

import pytest

from archsim.sim.program import Channel, Leaf, Loop, Program, Row, Unit
from archsim.sim.simulate import simulate


@pytest.fixture(params=["compiled", "simpy"])
def run(request):
    def run_checked(program):
        program.check()
        return simulate(program, engine=request.param)

    return run_checked


def program(units, channels, rows, n=1):
    """All rows in one leaf, repeated."""
    return Program(units, channels, rows, (Loop(n, (Leaf(tuple(range(len(rows)))),)),))


def pair(depth, *, produce=10, consume=25, lag=0, n=4):
    """A producer and a consumer on one channel."""
    return program(
        (Unit("make"), Unit("eat")),
        (Channel("c", 0, 1, depth),),
        (
            Row(0, produce, lag, reserve=(0,), put=(0,)),
            Row(1, consume, take=(0,), free=(0,)),
        ),
        n,
    )


def test_a_step_without_channels_takes_its_duration_and_no_more(run):
    result = run(program((Unit("u"),), (), (Row(0, 7),), n=3))
    assert result.makespan_ps == 21
    assert result.busy_ps.tolist() == [21]


def test_a_token_is_taken_when_it_is_put_and_not_before(run):
    result = run(pair(1, n=1))
    assert result.stall_in_ps.tolist() == [0, 10]
    assert result.unit_end_ps.tolist() == [10, 35]


def test_a_lag_delays_the_token_and_not_the_unit(run):
    result = run(pair(2, lag=6, n=2))
    assert result.unit_end_ps[0] == 20  # two steps of 10 back to back
    assert result.stall_in_ps[1] == 16  # 10 to make, 6 to arrive; the second is there by 26
    assert result.makespan_ps == 16 + 2 * 25


def test_a_slot_is_reserved_before_it_is_filled_and_freed_after_it_is_read(run):
    # With one slot nothing overlaps: make 10, eat 25, make 10, eat 25 ...
    result = run(pair(1, n=3))
    assert result.makespan_ps == 3 * (10 + 25)
    assert result.stall_out_ps[0] == 2 * 25


def test_double_buffering_hides_the_shorter_stage(run):
    assert run(pair(2, n=4)).makespan_ps == 10 + 4 * 25


def test_the_slot_opens_at_the_very_picosecond_of_the_free(run):
    # Put at 10, freed at 20; the producer comes back for the slot at 20, 19 and 21.
    for away, waited in ((10, 0), (9, 1), (11, 0)):
        units = (Unit("make"), Unit("eat"))
        rows = (
            Row(0, 10, reserve=(0,), put=(0,)),
            Row(0, away),
            Row(1, 10, take=(0,), free=(0,)),
        )
        result = run(program(units, (Channel("c", 0, 1, 1),), rows, n=2))
        assert result.stall_out_ps[0] == waited


def test_an_accumulator_is_held_from_its_first_partial_sum_to_its_put(run):
    rows = (
        Row(0, 5, reserve=(0,)),
        Row(0, 5),
        Row(0, 5, put=(0,)),
        Row(1, 4, take=(0,), free=(0,)),
    )
    result = run(program((Unit("array"), Unit("store")), (Channel("O", 0, 1, 1),), rows, n=2))
    assert result.stall_out_ps.tolist() == [4, 0, 0, 0]  # waits at the reserve, not at the put
    assert result.makespan_ps == 15 + 4 + 15 + 4


def test_a_step_waits_for_the_latest_of_its_operands_only(run):
    units = (Unit("a"), Unit("b"), Unit("sum"))
    channels = (Channel("A", 0, 2, 1), Channel("B", 1, 2, 1))
    rows = (
        Row(0, 8, reserve=(0,), put=(0,)),
        Row(1, 30, reserve=(1,), put=(1,)),
        Row(2, 1, take=(0, 1), free=(0, 1)),
    )
    result = run(program(units, channels, rows))
    assert result.stall_in_ps[2] == 30
    assert result.makespan_ps == 31


def shared(*units, durations):
    return program(
        tuple(Unit(name, "bus", role) for name, role in units),
        (),
        tuple(Row(u, dur) for u, dur in enumerate(durations)),
    )


def test_a_tie_at_a_shared_timeline_goes_by_role_then_by_name(run):
    result = run(shared(("late", 0), ("early", 0), ("first", -1), durations=(5, 7, 11)))
    assert result.unit_end_ps.tolist() == [11 + 7 + 5, 11 + 7, 11]
    assert result.stall_shared_ps.tolist() == [18, 11, 0]


def test_first_come_first_served_beats_rank(run):
    units = (Unit("ranked", "bus", 0), Unit("soon", "bus", 1), Unit("long", "bus", 2))
    channels = (Channel("go", 1, 0, 1),)
    rows = (
        Row(2, 50),  # granted last of instant 0
        Row(1, 3, reserve=(0,), put=(0,)),
        Row(0, 4, take=(0,), free=(0,)),  # asks at 3, while `long` has the bus until 53
    )
    result = run(program(units, channels, rows))
    assert result.unit_end_ps.tolist() == [57, 3, 53]
    assert result.stall_shared_ps.tolist() == [3, 0, 50]


def test_requests_of_one_instant_meet_even_when_one_needs_a_chain_of_signals(run):
    # `far` is woken at 10 through two steps of no time, and still wins the tie of instant 10.
    units = (Unit("clock"), Unit("relay"), Unit("far", "bus", 0), Unit("near", "bus", 1))
    channels = (Channel("a", 0, 1, 1), Channel("b", 1, 2, 1), Channel("n", 0, 3, 1))
    rows = (
        Row(0, 10, reserve=(0, 2), put=(2, 0)),
        Row(1, 0, take=(0,), free=(0,), reserve=(1,), put=(1,)),
        Row(2, 6, take=(1,), free=(1,)),
        Row(3, 4, take=(2,), free=(2,)),
    )
    result = run(program(units, channels, rows))
    assert result.unit_end_ps.tolist() == [10, 10, 16, 20]


def test_the_critical_path_of_a_pipeline_is_its_slow_stage_fill_and_drain(run):
    result = run(pair(2, produce=10, consume=25, lag=3, n=4))
    assert result.critical_busy_ps.tolist() == [10, 100]
    assert result.critical_lag_ps.tolist() == [3, 0]


def test_the_critical_path_runs_through_grants_and_slots(run):
    result = run(shared(("a", 0), ("b", 1), durations=(5, 7)))
    assert result.critical_busy_ps.tolist() == [5, 7]
    blocked = run(pair(1, produce=10, consume=25, n=3))
    assert blocked.critical_busy_ps.tolist() == [30, 75]


def test_a_unit_without_rows_ends_at_zero(run):
    result = run(program((Unit("idle"), Unit("u")), (), (Row(1, 5),)))
    assert result.unit_end_ps.tolist() == [0, 5]


def test_a_program_without_steps_takes_no_time(run):
    result = run(Program((Unit("u"),), (), (), ()))
    assert (result.makespan_ps, result.steps) == (0, 0)
    assert run(Program((), (), (), ())).makespan_ps == 0
