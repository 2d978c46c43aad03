"""Do loops that stand side by side, joined by channels, keep the laws that one loop keeps?"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.sim.program import Channel, Leaf, Loop, Program, Row, Unit
from archsim.sim.simulate import simulate
from archsim.testing.programs import outcome

durations = st.integers(1, 60)
stages = st.lists(st.tuples(durations, durations, st.integers(1, 2)), min_size=2, max_size=4)


def pipeline(stages, parts, layers, lag, depth):
    """Stages that load and compute layers of each part, then hand it on; each in its own loop."""
    units, channels, rows, tree = [], [], [], []
    for i, (load, work, slots) in enumerate(stages):
        loader, worker = len(units), len(units) + 1
        units += [Unit(f"load{i}"), Unit(f"work{i}")]
        channels.append(Channel(f"tile{i}", loader, worker, slots))
        tile = len(channels) - 1
        if i:
            channels.append(Channel(f"message{i}", worker - 2, worker, depth, across=True))
        before = (len(channels) - 1,) if i else ()
        after = (len(channels) + 1,) if i < len(stages) - 1 else ()
        first = len(rows)
        rows += [
            Row(worker, 0, take=before, free=before, op=4 * i),
            Row(loader, load, reserve=(tile,), put=(tile,), op=4 * i + 1),
            Row(worker, work, take=(tile,), free=(tile,), op=4 * i + 2),
            Row(worker, 1, lag, reserve=after, put=after, op=4 * i + 3),
        ]
        body = Loop(layers, (Leaf((first + 1, first + 2)),), f"layer{i}", block=True)
        whole = (Leaf((first,)), body, Leaf((first + 3,)))
        tree.append(Loop(parts, whole, f"part{i}", block=True))
    return Program(tuple(units), tuple(channels), tuple(rows), tuple(tree))


@settings(max_examples=60, deadline=None)
@given(stages, st.integers(1, 24), st.integers(1, 24), st.integers(0, 40), st.integers(1, 5))
def test_folded_or_not_both_engines_tell_the_same(stages, parts, layers, lag, depth):
    program = pipeline(stages, parts, layers, lag, depth)
    program.check()
    told = outcome(simulate(program, exact=True))
    assert outcome(simulate(program)) == told
    assert outcome(simulate(program, engine="simpy")) == told
    assert outcome(simulate(program, engine="simpy", exact=True)) == told


@settings(max_examples=60, deadline=None)
@given(st.lists(durations, min_size=2, max_size=4), st.integers(1, 30), st.integers(0, 40))
def test_parts_move_through_stages_as_the_recurrence_says(works, parts, lag):
    """Part j leaves stage i its work after both came: part j, and the end of part j - 1."""
    units = tuple(Unit(f"stage{i}") for i in range(len(works)))
    links = range(1, len(works))
    channels = tuple(Channel(f"message{i}", i - 1, i, parts, across=True) for i in links)
    rows = tuple(
        Row(
            i,
            work,
            lag,
            take=(i - 1,) if i else (),
            free=(i - 1,) if i else (),
            reserve=(i,) if i < len(works) - 1 else (),
            put=(i,) if i < len(works) - 1 else (),
        )
        for i, work in enumerate(works)
    )
    tree = tuple(Loop(parts, (Leaf((i,)),), f"part{i}", block=True) for i in range(len(works)))
    ends = [0] * parts
    for i, work in enumerate(works):
        free = 0
        for j in range(parts):
            free = max(free, ends[j] + (lag if i else 0)) + work
            ends[j] = free
    assert simulate(Program(units, channels, rows, tree)).makespan_ps == ends[-1]
