"""Do deadlocks, the watchdog and broken laws stop a run, and say why?"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from archsim.core.errors import LawViolation, SimulationStopped
from archsim.sim.errors import Deadlock, Wait, Watchdog
from archsim.sim.program import Channel, Leaf, Loop, Program, Row, Unit
from archsim.sim.simulate import simulate

UNITS = (Unit("make"), Unit("eat"))
CHANNELS = (Channel("c", 0, 1, 2),)
ROWS = (
    Row(0, 10, reserve=(0,), put=(0,)),
    Row(1, 25, take=(0,), free=(0,)),
)
PROGRAM = Program(UNITS, CHANNELS, ROWS, (Loop(5, (Leaf((0, 1)),)),))


@pytest.mark.parametrize("engine", ["compiled", "simpy"])
@pytest.mark.parametrize("exact", [True, False])
def test_a_deadlock_says_since_when_even_behind_a_fold(engine, exact):
    # `early` waits from 10 ps on, through all folded iterations of the other two.
    units = (*UNITS, Unit("early"))
    channels = (*CHANNELS, Channel("x", 0, 2, 1), Channel("y", 2, 0, 1))
    rows = (
        *ROWS,
        Row(2, 10),
        Row(2, 1, take=(1,), free=(1,), reserve=(2,), put=(2,), op=7),
        Row(0, 1, take=(2,), free=(2,), reserve=(1,), put=(1,), op=5),
    )
    loop = Loop(200, (Leaf((0, 1)),), block=True)
    program = Program(units, channels, rows, (Leaf((2,)), loop, Leaf((4, 3))))
    with pytest.raises(Deadlock) as caught:
        program.check()
    with pytest.raises(Deadlock) as caught:
        simulate(program, engine=engine, exact=exact)
    make_ends = 10 * 2 + 25 * 198
    assert str(caught.value) == (
        f"deadlock: early (needs a token of x since 10 ps) -> "
        f"make (needs a token of y since {make_ends} ps) -> early"
    )
    assert caught.value.waits[0] == Wait("early", "take", "x", 10, "make", 7)
    assert caught.value.details["waits"][1]["op"] == 5
    assert isinstance(caught.value, SimulationStopped)


def test_a_behaviour_may_spend_time_of_its_own_until_the_watchdog_bites():
    def slow(ps):
        def behaviour(unit):
            for row in unit.rows():
                yield from unit.take(row)
                yield unit.env.timeout(ps)
                yield from unit.reserve(row)
                yield from unit.use(row)
                unit.free(row)
                unit.put(row)

        return behaviour

    base = simulate(PROGRAM, engine="simpy")
    later = simulate(PROGRAM, behaviours={1: slow(2)})
    assert later.engine == "simpy"
    assert later.critical_busy_ps is None
    assert later.makespan_ps == base.makespan_ps + 5 * 2
    with pytest.raises(Watchdog) as caught:
        simulate(PROGRAM, behaviours={1: slow(1000)})
    assert str(caught.value) == (
        "watchdog: time passed 175 ps, the sum of all durations and lags; still at work: eat, make"
    )
    assert simulate(PROGRAM, behaviours={1: slow(1000)}, watchdog=False).makespan_ps == 5135


def test_a_behaviour_may_use_its_timeline_for_another_time():
    def quick(unit):
        for row in unit.rows():
            yield from unit.take(row)
            yield from unit.use(row, 1)
            unit.free(row)

    result = simulate(PROGRAM, behaviours={1: quick})
    assert result.makespan_ps == 5 * 10 + 1
    assert result.busy_ps.tolist() == [50, 5]


def test_what_a_behaviour_raises_comes_out():
    def broken(unit):
        yield unit.env.timeout(1)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        simulate(PROGRAM, behaviours={1: broken})


def test_a_behaviour_that_stops_halfway_is_a_broken_law():
    def lazy(unit):
        yield from unit.take(next(unit.rows()))

    with pytest.raises((LawViolation, SimulationStopped)):
        simulate(PROGRAM, behaviours={1: lazy})


@pytest.mark.parametrize("engine", ["compiled", "simpy"])
def test_tokens_left_in_a_channel_are_a_broken_law(engine):
    program = Program(UNITS, CHANNELS, ROWS, (Leaf((0, 0, 1)),))
    with pytest.raises(LawViolation, match="channel c ends with 1 tokens"):
        simulate(program, engine=engine)
    held = Program(UNITS, CHANNELS, (Row(0, 1, reserve=(0,)),), (Leaf((0,)),))
    with pytest.raises(LawViolation, match=r"channel c ends with .*1 slots free"):
        simulate(held, engine=engine)


GOOD = simulate(PROGRAM)
FIRST = np.array([1, 0])
BROKEN = {
    "time is float, not int": {"makespan_ps": float(GOOD.makespan_ps)},
    "executions differ from the program's: 6 against 5 at index 0": {"count": GOOD.count + FIRST},
    "busy time is not executions x duration: 51 against 50 at index 0": {
        "busy_ps": GOOD.busy_ps + FIRST
    },
    "a stall is negative": {"stall_in_ps": GOOD.stall_in_ps - 100},
    "busy + stalls + idle is not the makespan of every unit: 136 against 135 at index 1": {
        "stall_in_ps": GOOD.stall_in_ps + FIRST[::-1]
    },
    "unit eat works 125 ps in a run of 100 ps": {"makespan_ps": 100},
    "makespan 170 ps, but the last unit ends at 135": {"makespan_ps": 170},
    "makespan 1000 ps exceeds all durations, 175 ps": {"makespan_ps": 1000},
    "critical path 136 ps, makespan 135 ps": {"critical_lag_ps": FIRST},
}


@pytest.mark.parametrize("message", BROKEN)
def test_a_result_that_breaks_a_law_is_refused(message):
    GOOD.check(PROGRAM)
    with pytest.raises(LawViolation) as caught:
        dataclasses.replace(GOOD, **BROKEN[message]).check(PROGRAM)
    assert str(caught.value) == message
    assert caught.value.exit_code == 1


def test_a_log_that_leads_nowhere_is_a_broken_law():
    from archsim.sim.code import flatten
    from archsim.sim.critical import Log, critical_path

    columns = (np.zeros(10, np.int32), np.full(10, 10**6, np.int32), np.zeros(10, np.int16))
    program = Program(UNITS, CHANNELS, ROWS, (Loop(5, (Leaf((1, 0)),)),))
    log = Log([0, 5], [5, 5], columns[0] + 1, columns[1], columns[2])
    for plain in (True, False):
        with pytest.raises(LawViolation, match="the critical path leaves the log of steps"):
            critical_path(flatten(program), log, [], [10, 20], [5, 5], plain=plain)
