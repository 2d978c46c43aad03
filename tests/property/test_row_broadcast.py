"""Does every mapping of lines to rows compute its op, and take the cycles that lines take?"""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.components.systolic_array import SystolicArray
from archsim.core.errors import Unmappable
from archsim.dataflows.row_broadcast import RowBroadcast
from archsim.ir.line import LINE, line_of
from archsim.ir.mapping import Mapping, Moves
from archsim.ir.problem import problem
from archsim.ir.target import LineTiles, Target
from archsim.testing.functional import UnsoundMappingError, execute
from archsim.testing.problems import conv, lines


def array(**options):
    spec = SystolicArray.Spec(**{"rows": 4, "cols": 4, "row_broadcast": True, **options})
    return SystolicArray("array", spec, 10**9)


def target(engine, op, buffer_bytes=10**6, objective="compute"):
    s, line = engine.spec, line_of(op)
    return Target(
        "array", s.rows, s.cols, s.count, 1e9, buffer_bytes, 1e9,
        cost=lambda tiles: engine.cost(LineTiles.of(tiles, line), "int8"), objective=objective,
    )  # fmt: skip


def mapped(case, engine, **options):
    op, tensors = case
    return RowBroadcast().map(problem(op, tensors, 32), target(engine, op, **options))


def cycles(mapping, engine):
    """Array cycles of all tiles of a mapping, and outputs that they write."""
    one = lambda x: np.array([x])  # noqa: E731
    line, total, written = line_of(mapping.problem.op), 0, 0
    for step in mapping.tiles():
        size = {r: one(step.size(r)) for r in "bmnk"}
        flag = one(False)
        tiles = LineTiles(
            LINE, **size, first=flag, resumed=flag, opens=flag, closes=flag, line=line
        )
        cost = engine.cost(tiles, "int8")
        total += int(cost.cycles[0])
        written += int(cost.out_writes[0])
    return total, written


@settings(max_examples=120, deadline=None)
@given(
    case=lines(),
    sides=st.tuples(st.sampled_from([2, 4, 8]), st.sampled_from([2, 4, 8])),
    buffer_bytes=st.sampled_from([150, 600, 10**6]),
    objective=st.sampled_from(["latency", "compute"]),
)
def test_every_mapping_of_lines_computes_its_op_and_moves_what_it_says(
    case, sides, buffer_bytes, objective
):
    engine = array(rows=sides[0], cols=sides[1], fill="exposed")
    try:
        mapping = mapped(case, engine, buffer_bytes=buffer_bytes, objective=objective)
    except Unmappable:
        return
    entered = execute(mapping)
    (extents,) = mapping.problem.cases
    for operand, tiles in entered.items():
        assert tiles == mapping.transfers(operand, extents)


@settings(max_examples=120, deadline=None)
@given(
    case=lines(), rows=st.integers(1, 9), cols=st.integers(1, 9),
    flush=st.integers(0, 2), count=st.integers(1, 3),
)  # fmt: skip
def test_a_fold_takes_the_row_once_and_every_tap(case, rows, cols, flush, count):
    """Inputs shift over the whole row; outputs at a step of one, those a stride skips included."""
    op = case[0]
    engine = array(rows=rows, cols=cols, count=count, fill="exposed", flush_cycles=flush)
    r, w = op.ranks, op.window
    axis = 0 if r["FH"] > 1 else 1
    length, taps = (r["OH"], r["FH"]) if axis == 0 else (r["OW"], r["FW"])
    number = r["B"] * r["G"] * r["OH"] * r["OW"] // length
    span = (taps - 1) * w.dilation[axis] + 1
    held = (length - 1) * w.stride[axis] + 1
    folds = -(-number // rows) * -(-held // cols)
    total, written = cycles(mapped(case, engine), engine)
    assert written == number * length
    assert total == -(-folds // count) * (cols - 1 + span + flush)


def test_folds_that_overlap_take_the_longer_of_shifting_and_multiplying():
    case = conv(1, 8, 1, 1, (8, 8), (1, 3), (1, 1, 1))
    engine = array()
    assert cycles(mapped(case, engine), engine)[0] == 16 * 2 * 4
    narrow = array(cols=2)
    assert cycles(mapped(case, narrow), narrow)[0] == 16 * 4 * 3


@pytest.mark.parametrize("along", [(1, 3), (3, 1)])
def test_no_tile_cuts_a_line(along):
    case = conv(1, 6, 1, 1, (16, 16), along, (1, 1, 1))
    mapping = mapped(case, array(fill="exposed"), buffer_bytes=700)
    assert mapping.tile["m"] % (16 if along == (1, 3) else 256) == 0
    assert mapping.tile["k"] == 3
    assert mapping.tile["b"] < 6 or mapping.tile["m"] < 256


class Dropped(Mapping):
    """Misses the last tile: an edge."""

    def tiles(self):
        yield from list(super().tiles())[:-1]


class Doubled(Mapping):
    """Runs every tile twice."""

    def tiles(self):
        for step in super().tiles():
            yield step
            yield step


class Narrow(Mapping):
    """Brings in tiles that lack the last lines of what is computed."""

    def moves(self, operand, first, last):
        found = super().moves(operand, first, last)
        return Moves(found.enter and operand != "in", found.leave)


@pytest.mark.parametrize(
    ("mutant", "said"),
    [
        (Dropped, "outputs are written|products, the op has"),
        (Doubled, "something else|enters twice|products, the op has"),
        (Narrow, "is read but not held"),
    ],
)
@pytest.mark.parametrize("along", [(1, 3), (3, 1)])
def test_a_mapping_that_is_wrong_is_caught(mutant, said, along):
    case = conv(1, 6, 1, 1, (8, 8), along, (1, 1, 1))
    sound = mapped(case, array(fill="exposed"), buffer_bytes=300)
    execute(sound)
    wrong = mutant(**{f.name: getattr(sound, f.name) for f in fields(sound)})
    with pytest.raises(UnsoundMappingError, match=said):
        execute(wrong)
