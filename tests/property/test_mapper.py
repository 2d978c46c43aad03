"""Does every mapping that the search finds compute its op, fit, and move what its cost says?"""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from archsim.components.systolic_array import SystolicArray
from archsim.core.errors import Unmappable
from archsim.dataflows._auto import Search
from archsim.dataflows.base import dataflows
from archsim.ir.meter import Meter, Prices, in_ps
from archsim.ir.problem import problem
from archsim.ir.target import Target
from archsim.testing.functional import execute
from archsim.testing.problems import convs, gemms

OBJECTIVES = ("latency", "energy", "edp", "traffic", "compute")
FLOWS = ("weight_stationary", "output_stationary", "input_stationary")
METER = Meter(
    transfer_ps=lambda size: np.maximum(in_ps(size, 1e9), 1.0),
    accessed=lambda cost: (cost.in_reads + cost.weight_reads, cost.out_writes),
    prices=Prices(100.0, 120.0, 1.0, 1.5, 2.0, leakage_w=1e-3),
)


def target(engine, buffer_bytes, objective):
    s = engine.spec
    return Target(
        "array", s.rows, s.cols, s.count, 1e9, buffer_bytes, 1e9,
        cost=lambda tiles: engine.cost(tiles, "int8"), objective=objective, meter=METER,
    )  # fmt: skip


def array(rows=4, cols=4, count=1, **fields):
    return SystolicArray(
        "array", SystolicArray.Spec(rows=rows, cols=cols, count=count, **fields), 10**9
    )


machines = st.builds(
    array,
    rows=st.sampled_from([2, 4, 8]),
    cols=st.sampled_from([2, 8]),
    count=st.sampled_from([1, 2]),
    fill=st.sampled_from(["exposed", "overlapped"]),
)


def found(view, engine, buffer_bytes, objective="latency", *, flows=FLOWS, **options):
    templates = [dataflows.get(name)() for name in flows]
    return Search(templates, view, target(engine, buffer_bytes, objective), **options).run()


def walked_bytes(mapping):
    """DRAM bytes of a mapping by walking its tiles, partial sums both ways."""
    view, total = mapping.problem, 0
    base, at = 0, {}
    for case in view.cases:
        at.update(dict.fromkeys(range(base, base + case.b), case))
        base += case.b
    for step in mapping.tiles():
        size = {rank: np.array([step.size(rank)]) for rank in "bmnk"}
        b, m, n, k = (size[rank] for rank in "bmnk")
        if mapping.moves("in", step.first, step.last).enter:
            elements = int(view.in_elements(b, m, k, mapping.tile["m"])[0])
            total += -(-elements * view.bits["in"] // 8)
        if mapping.moves("weight", step.first, step.last).enter:
            total += int(view.weight_bytes(b * k * n)[0])
        outputs = int((b * m * n)[0])
        if step.last["k"]:
            total += -(-outputs * view.bits["out"] // 8)
        elif mapping.spills:
            total += 2 * -(-outputs * view.bits["partial"] // 8)
    return total


@settings(max_examples=40, deadline=None)
@given(
    case=st.one_of(gemms(), convs()),
    engine=machines,
    buffer_bytes=st.sampled_from([150, 400, 2000, 10**6]),
    objective=st.sampled_from(OBJECTIVES),
    budget=st.sampled_from([500, 4000]),
)
def test_what_the_search_finds_computes_its_op_and_moves_the_bytes_of_its_cost(
    case, engine, buffer_bytes, objective, budget
):
    op, tensors = case
    view = problem(op, tensors, 32)
    try:
        answer = found(view, engine, buffer_bytes, objective, budget=budget)
    except Unmappable:
        assume(False)
    execute(answer.mapping)
    answer.mapping.check(target(engine, buffer_bytes, objective))
    assert answer.cost.traffic_bytes == walked_bytes(answer.mapping)
    assert answer.tried <= max(budget, 144)
    assert answer.proved == (answer.tried == answer.space)


@settings(max_examples=12, deadline=None)
@given(case=gemms(), engine=machines, objective=st.sampled_from(OBJECTIVES))
def test_a_search_of_the_whole_space_is_no_worse_than_any_sample_of_it(case, engine, objective):
    op, tensors = case
    view = problem(op, tensors, 32)
    whole = found(view, engine, 3000, objective, budget=10**7)
    some = found(view, engine, 3000, objective, budget=1500, seed=3)
    assert whole.proved
    assert whole.value <= some.value * (1.0051 if objective == "latency" else 1 + 1e-9)


@settings(max_examples=12, deadline=None)
@given(case=st.one_of(gemms(), convs()), engine=machines, seed=st.integers(0, 5))
def test_equal_inputs_and_seeds_give_equal_mappings(case, engine, seed):
    op, tensors = case
    view = problem(op, tensors, 32)
    first, again = (found(view, engine, 4000, budget=1000, seed=seed) for _ in range(2))
    assert first == again


@pytest.mark.parametrize("size_bytes", [0, 1, 999, 12345, 10**7, 10**10])
@pytest.mark.parametrize("rate", [1e9, 480e6, 1.2e12, 819.2e9])
def test_times_of_sizes_are_rounded_up_to_whole_picoseconds(size_bytes, rate):
    exact = -(-size_bytes * 10**12 // int(rate))
    assert abs(float(in_ps(np.array([size_bytes]), rate)[0]) - exact) <= 1
    if size_bytes < 10**7:
        assert int(in_ps(np.array([size_bytes]), rate)[0]) == exact
