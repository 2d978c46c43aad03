"""Does every mapping compute its op, holding only what it says, and move what it says?"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from archsim.components.systolic_array import SystolicArray
from archsim.core.errors import Unmappable
from archsim.dataflows.base import dataflows
from archsim.ir.mapping import Mapping, Moves
from archsim.ir.problem import problem
from archsim.ir.target import Target
from archsim.testing.functional import UnsoundMappingError, execute
from archsim.testing.problems import convs, gemm, gemms


def array(rows=4, cols=4, count=1, **fields):
    spec = SystolicArray.Spec(rows=rows, cols=cols, count=count, **fields)
    return SystolicArray("array", spec, 10**9)


def target(engine, buffer_bytes, dram=1e9, objective="latency"):
    s = engine.spec
    return Target(
        "array",
        s.rows,
        s.cols,
        s.count,
        1e9,
        buffer_bytes,
        dram,
        cost=lambda tiles: engine.cost(tiles, "int8"),
        objective=objective,
    )


machines = st.builds(
    array,
    rows=st.sampled_from([2, 4, 8]),
    cols=st.sampled_from([2, 4, 8]),
    count=st.sampled_from([1, 2, 4]),
    fill=st.sampled_from(["exposed", "overlapped"]),
)


@settings(max_examples=80, deadline=None)
@given(
    case=st.one_of(gemms(), convs()),
    engine=machines,
    flow=st.sampled_from([k for k, flow in dataflows.items() if flow.stages == "product"]),
    buffer_bytes=st.sampled_from([150, 300, 600, 2000, 10**6]),
    dram=st.sampled_from([1e8, 1e9, 1e12]),
    objective=st.sampled_from(["latency", "compute"]),
)
def test_every_mapping_computes_its_op_and_moves_what_the_closed_form_says(
    case, engine, flow, buffer_bytes, dram, objective
):
    op, tensors = case
    view = problem(op, tensors, 32)
    try:
        mapping = dataflows.get(flow)().map(view, target(engine, buffer_bytes, dram, objective))
    except Unmappable:
        assume(False)
    entered = execute(mapping)
    for operand, tiles in entered.items():
        assert tiles == sum(mapping.transfers(operand, e) for e in view.cases)


class Mutant(Mapping):
    """A mapping with a mistake in it."""

    mistake = ""

    def moves(self, operand, first, last):
        right = super().moves(operand, first, last)
        if self.mistake == "leaves early" and operand == "weight":
            return Moves(right.enter, True)
        if self.mistake == "never brought" and operand == "in":
            return Moves(right.enter and first["k"], right.leave and first["k"])
        return right

    def tiles(self):
        steps = list(super().tiles())
        if self.mistake == "dropped edge":
            yield from steps[:-1]
        elif self.mistake == "double count":
            for step in steps:
                yield step
                if step is steps[len(steps) // 2]:
                    yield replace(step, first=dict.fromkeys("bmnk", False))
        else:
            yield from steps


@pytest.mark.parametrize(
    "mistake", ["leaves early", "never brought", "dropped edge", "double count"]
)
def test_a_mistake_in_a_mapping_is_caught(mistake):
    op, tensors = gemm(1, 32, 24, 40)
    mapping = Mapping(
        problem=problem(op, tensors, 32),
        engine="array",
        dataflow="weight_stationary",
        stationary="weight",
        order=("b", "n", "k", "m"),
        tile={"b": 1, "m": 8, "n": 8, "k": 8},
        keep=frozenset({"weight", "out"}),
        buffers={},
    )
    execute(mapping)
    wrong = Mutant(**{f: getattr(mapping, f) for f in mapping.__dataclass_fields__})
    object.__setattr__(wrong, "mistake", mistake)
    with pytest.raises(UnsoundMappingError):
        execute(wrong)


def test_partial_sums_spill_when_accumulators_do_not_fit_and_come_back():
    op, tensors = gemm(1, 64, 4, 16)
    mapping = Mapping(
        problem=problem(op, tensors, 32),
        engine="array",
        dataflow="weight_stationary",
        stationary="weight",
        order=("b", "n", "k", "m"),
        tile={"b": 1, "m": 8, "n": 4, "k": 4},
        keep=frozenset({"weight"}),
        buffers={},
    )
    assert mapping.spills
    assert execute(mapping)["out"] == 8 * 4


def test_a_mapping_that_holds_more_than_the_buffer_is_refused_with_the_sizes():
    op, tensors = gemm(1, 32, 24, 40)
    engine = array()
    with pytest.raises(Unmappable, match="no tile of 32 x 24 x 40 fits the 8 bytes"):
        dataflows.get("weight_stationary")().map(problem(op, tensors, 32), target(engine, 8))


def test_the_analytic_cycles_of_the_search_are_the_sum_over_its_tiles():
    op, tensors = gemm(1, 300, 70, 90)
    engine = array(8, 8, fill="exposed")
    flow = dataflows.get("weight_stationary")()
    view = problem(op, tensors, 32)
    key, mapping = flow.search(view, target(engine, 10**6, 1e15, "compute"))
    # one stream of M a fold, whatever the tiles: the closed form of the array
    folds = int(np.ceil(90 / 8) * np.ceil(70 / 8))
    assert key[0] == folds * (2 * 8 + 8 + 300 - 2)
    assert mapping.stationary == "weight"
