"""Is a malformed or locking program refused, with the exact words?"""

from __future__ import annotations

import dataclasses

import pytest

from archsim.sim.errors import Deadlock, MalformedProgram
from archsim.sim.program import Channel, Leaf, Loop, Program, Row, Unit
from archsim.sim.simulate import simulate

UNITS = (Unit("a"), Unit("b", "bus"))
CHANNEL = (Channel("c", 0, 1, 1),)
MAKE = Row(0, 1, reserve=(0,), put=(0,), op=3)
EAT = Row(1, 1, take=(0,), free=(0,), op=4)


def one(*rows, units=UNITS, channels=CHANNEL, n=1):
    return Program(
        units, channels, rows, (Loop(n, (Leaf(tuple(range(len(rows)))),), "outer", block=True),)
    )


MALFORMED = {
    "two units are named 'a'": one(MAKE, EAT, units=(Unit("a"), Unit("a"))),
    "channel c has depth 0; the least is 1": one(MAKE, EAT, channels=(Channel("c", 0, 1, 0),)),
    "channel c ends at a unit that does not exist": one(channels=(Channel("c", 0, 2, 1),)),
    "row 0 (op 0) belongs to unit 2, which does not exist": one(Row(2)),
    "row 0 (op 0) has a negative duration or lag, or no repetition": one(Row(0, -1)),
    "row 0 (op 4) uses the shared timeline bus for no time": one(Row(1, op=4)),
    "row 0 (op 0) would take channel 7, which does not exist": one(Row(0, 1, take=(7,))),
    "row 0 (op 0) would take c, but a is not its consumer": one(Row(0, 1, take=(0,))),
    "row 0 (op 0) would put c, but b is not its producer": one(Row(1, 1, put=(0,))),
    "loop 'outer' repeats 0 times; the least is 1": one(MAKE, EAT, n=0),
    "a leaf names a row that does not exist": Program(UNITS, CHANNEL, (MAKE,), (Leaf((1,)),)),
    "a run of the body of loop 'outer' has 1 more puts than takes on channel c": one(MAKE),
    "a run of the body of loop 'outer' has 1 more reserves than puts on channel c": one(
        Row(0, 1, reserve=(0, 0), put=(0,)), EAT
    ),
    "a run of the body of loop 'outer' has 1 more frees than takes on channel c": one(
        MAKE, Row(1, 1, take=(0,), free=(0, 0))
    ),
    "the program has 2 more puts than takes on channel c": Program(
        UNITS, CHANNEL, (Row(0, 1, reserve=(0,), put=(0,), run=2),), (Leaf((0,)),)
    ),
    "a token of c is put before its slot is reserved": one(
        Row(0, 1, put=(0,)), Row(0, 1, reserve=(0,)), EAT
    ),
    "a slot of c is freed before its token is taken": one(
        MAKE, Row(1, 1, free=(0,)), Row(1, 1, take=(0,))
    ),
    f"all durations add up to {2**62} ps; at most {2**62} fit": one(Row(0, 2**62)),
}


@pytest.mark.parametrize("message", MALFORMED)
def test_a_malformed_program_is_refused_in_words(message):
    with pytest.raises(MalformedProgram) as caught:
        MALFORMED[message].check()
    assert str(caught.value) == message


def test_a_channel_across_loops_balances_in_the_whole_and_not_in_a_body():
    across = (Channel("c", 0, 1, 4, across=True),)
    loops = (Loop(4, (Leaf((0,)),), "makes", block=True), Loop(2, (Leaf((1, 1)),), "eats"))
    Program(UNITS, across, (MAKE, EAT), loops).check()
    short = (loops[0], Loop(3, (Leaf((1,)),), "eats"))
    with pytest.raises(MalformedProgram) as caught:
        Program(UNITS, across, (MAKE, EAT), short).check()
    assert str(caught.value) == "the program has 1 more puts than takes on channel c"
    held = (Row(0, 1, reserve=(0, 0), put=(0,)), EAT)
    with pytest.raises(MalformedProgram, match="a run of the body of loop 'makes' has 1 more rese"):
        Program(UNITS, across, held, loops).check()


def test_more_units_than_the_log_can_name_are_refused():
    units = tuple(Unit(f"u{i}") for i in range(32_001))
    with pytest.raises(MalformedProgram, match="32001 units; at most 32000 are supported"):
        Program(units, (), (), ()).check()


def ring(depth):
    """Each of two units holds what the other needs first."""
    units = (Unit("array"), Unit("store"))
    channels = (Channel("O", 0, 1, depth), Channel("go", 1, 0, 1))
    rows = (
        Row(0, 5, reserve=(0,), put=(0,), run=2, op=8),
        Row(1, 7, take=(0, 0), reserve=(1,), put=(1,), free=(0, 0), op=9),
        Row(0, 1, take=(1,), free=(1,), op=8),
    )
    return Program(units, channels, rows, (Leaf((0, 1, 2)),))


def test_a_lock_is_found_without_time_and_names_the_cycle_and_its_ops():
    ring(2).check()
    with pytest.raises(Deadlock) as caught:
        ring(1).check()
    assert str(caught.value) == (
        "deadlock: array (needs a slot of O at op 8) -> store (needs a token of O at op 9) -> array"
    )
    assert caught.value.exit_code == 6
    assert caught.value.code == "E501"


def test_a_wait_for_a_unit_that_has_finished_is_told_as_a_chain():
    # A row that takes two tokens although only one slot exists, after its producer is done.
    units = (Unit("make"), Unit("eat"))
    rows = (
        Row(0, 1, reserve=(0,)),
        Row(0, 1, put=(0,)),
        Row(1, 1, take=(0,)),
        Row(1, 1, free=(0,)),
    )
    fine = Program(units, (Channel("c", 0, 1, 1),), rows, (Leaf((0, 1, 2, 3)),))
    fine.check()
    unbalanced = Program(units, (Channel("c", 0, 1, 1),), rows, (Leaf((0, 1, 2, 3, 2)),))
    for engine in ("compiled", "simpy"):
        with pytest.raises(Deadlock) as caught:
            simulate(unbalanced, engine=engine)
        assert str(caught.value) == (
            "deadlock: eat (needs a token of c since 4 ps) -> make (has finished)"
        )


def test_a_huge_loop_is_proved_in_few_steps():
    rows = (MAKE, EAT)
    program = Program(UNITS, CHANNEL, rows, (Loop(10**9, (Loop(10**6, (Leaf((0, 1)),)),)),))
    assert program.steps() == 2 * 10**15
    program.check()  # would never end if it took each
    result = simulate(dataclasses.replace(program, tree=(blocks(program.tree[0]),)))
    assert result.steps == 2 * 10**15
    assert result.steps_simulated < 1000


def blocks(node):
    if isinstance(node, Leaf):
        return node
    return dataclasses.replace(node, body=tuple(map(blocks, node.body)), block=True)


def test_sums_count_runs_and_nested_loops():
    program = one(Row(0, 5, 2, run=3), n=4)
    assert program.counts() == (12,)
    assert program.steps() == 12
    assert program.upper_bound_ps() == 12 * 7


def test_the_canonical_order_is_by_role_then_name():
    units = (Unit("b"), Unit("a"), Unit("z", role=-1))
    assert Program(units, (), (), ()).ranks() == (2, 1, 0)
