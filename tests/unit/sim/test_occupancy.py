"""Does a run tell how full its channels got, and how fast a loop goes in the long run?"""

from fractions import Fraction

import pytest

from archsim.sim.errors import Deadlock
from archsim.sim.program import Channel, Leaf, Loop, Program, Row, Unit
from archsim.sim.simulate import simulate
from archsim.sim.steady import steady_interval_ps

WAYS = [{}, {"exact": True}, {"engine": "simpy"}, {"engine": "simpy", "exact": True}]


def pair(make_ps, use_ps, depth, n, lag_ps=0):
    """A producer and a consumer of one channel."""
    rows = (
        Row(0, make_ps, lag_ps, reserve=(0,), put=(0,)),
        Row(1, use_ps, take=(0,), free=(0,)),
    )
    channel = Channel("queue", 0, 1, depth)
    tree = (Loop(n, (Leaf((0, 1)),), name="loop", block=True),)
    return Program((Unit("make"), Unit("use")), (channel,), rows, tree)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("make_ps", "use_ps", "depth", "peak"),
    [
        (10, 10, 5, 2),  # one being filled, one being read
        (10, 10, 1, 1),
        (10, 3, 5, 2),  # the reader waits, but the next one is begun before it has read
        (3, 10, 5, 5),  # the maker runs ahead as far as it may
        (3, 10, 1000, 71),  # 100 begun at 297, and by then 29 were read
    ],
)
def test_a_channel_is_as_full_as_its_ends_are_apart(make_ps, use_ps, depth, peak, way):
    found = simulate(pair(make_ps, use_ps, depth, 100), occupied=True, **way)
    assert found.occupancy.peak.tolist() == [peak]


def test_it_is_told_only_where_it_is_asked_for():
    assert simulate(pair(1, 1, 1, 3)).occupancy is None


@pytest.mark.parametrize("way", WAYS)
def test_a_token_on_its_way_holds_its_slot(way):
    found = simulate(pair(10, 10, 9, 100, lag_ps=25), occupied=True, **way)
    assert found.occupancy.peak.tolist() == [5]  # 10 + 25 + 10 ps a token, one every 10


@pytest.mark.parametrize(
    ("make_ps", "use_ps", "depth", "lag_ps", "interval_ps"),
    [
        (10, 7, 2, 0, Fraction(10)),
        (7, 10, 2, 0, Fraction(10)),
        (7, 10, 1, 0, Fraction(17)),
        (10, 10, 2, 30, Fraction(25)),  # two tokens in the 50 ps that a slot is taken
        (10, 10, 3, 25, Fraction(15)),
    ],
)
def test_the_long_run_is_the_slowest_end_or_the_slots_that_come_back(
    make_ps, use_ps, depth, lag_ps, interval_ps
):
    assert steady_interval_ps(pair(make_ps, use_ps, depth, 3, lag_ps)) == interval_ps


def test_a_drift_that_does_not_settle_in_time_is_measured():
    found = steady_interval_ps(pair(1000, 1001, 300, 4))
    assert found == 1001


def test_the_long_run_of_units_that_wait_for_each_other_is_none():
    rows = (
        Row(0, 1, take=(1,), free=(1,), reserve=(0,), put=(0,)),
        Row(1, 1, take=(0,), free=(0,), reserve=(1,), put=(1,)),
    )
    channels = (Channel("there", 0, 1, 1), Channel("back", 1, 0, 1))
    tree = (Loop(2, (Leaf((0, 1)),), block=True),)
    program = Program((Unit("a"), Unit("b")), channels, rows, tree)
    with pytest.raises(Deadlock) as caught:
        steady_interval_ps(program)
    assert {wait.unit for wait in caught.value.everyone} == {"a", "b"}
