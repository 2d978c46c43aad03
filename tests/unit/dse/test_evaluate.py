"""Does a design of a study get the answer that a run by itself gets, whatever ran before it?"""

from __future__ import annotations

import inspect
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim import api
from archsim.components.systolic_array import SystolicArray
from archsim.core import dimensions, yamlio
from archsim.dataflows import _grid, _search
from archsim.dataflows.base import Dataflow, dataflows
from archsim.dse.evaluate import evaluate
from archsim.dse.point import Task
from archsim.ir.problem import problem
from archsim.ir.target import Target
from archsim.lowering import lower
from archsim.lowering.lower import lower_once
from archsim.lowering.spec import load_workload
from archsim.sim import kernels
from archsim.system import spec
from archsim.system.spec import load_hardware
from archsim.testing.problems import convs, gemms

COMPILED = {  # told apart by class or name, and long in the making
    spec._spec, yamlio._adapters, yamlio._shape, dimensions.convert, kernels.compiled,
}  # fmt: skip
FILTER = {"kind": "conv", "out_channels": 24, "kernel": 3, "padding": 1}
LAYERS = [  # ranks of the last two are alike
    {"name": "a", **FILTER},
    {"name": "b", **FILTER},
    {"name": "c", **FILTER, "dilation": 2, "padding": 2},
]
PICTURES = {
    "schema": "archsim.workload/1",
    "name": "pictures",
    "model": {"config": {"architecture": "cnn", "input": [8, 12, 12], "layers": LAYERS}},
}
RULES = [{"ops": "*", "dataflow": "output_stationary", "fuse": "elementwise"}]
DESIGNS = (
    {},
    {"memory.hbm.bandwidth": "200 GB/s"},
    {"engines.array.rows": 32, "engines.array.cols": 64},
    {"clocks.core": "1.4 GHz"},
    {"memory.sram.capacity": "2 MiB", "memory.sram.bandwidth": "512 B/cycle"},
    {"engines.array.count": 2, "engines.array.fill": "exposed", "engines.vector.lanes": 16},
    {"workload.phase.context": 100},
)
OTHERS = (  # of pictures
    {},
    {"workload.sparsity": {"activations": [{"zeros": 0.5}]}, "engines.array.skips": "activations"},
    {"workload.sparsity": {"activations": [{"zeros": 0.75}]}, "engines.array.skips": "activations"},
    {"mapping": RULES},
    {"mapping": [{**RULES[0], "objective": "compute"}]},
    {"interconnect.dma.depth": 3},
    {"workload.dtypes.activations": "int8", "workload.dtypes.weights": "int8"},
    {"memory.sram.capacity": "32 KiB"},
    {"memory.sram.capacity": "24 KiB"},
)


def caches():
    """All that say by arguments what they keep."""
    return [
        one
        for name, module in sorted(sys.modules.items())
        if name.startswith("archsim.")
        for one in vars(module).values()
        if hasattr(one, "cache_clear") and one.__module__ == name
        if one not in COMPILED and inspect.signature(one).parameters
    ]


def forget():
    for kept in caches():
        kept.cache_clear()


@pytest.fixture(scope="module")
def npu():
    return load_hardware("npu")[0].to_data()


@pytest.fixture(scope="module")
def llama():
    return load_workload("llama-3-8b-decode")[0].to_data()


def task(npu, work, design, fidelity="tile", weights=(1.0,)):
    return Task(npu, work, design, fidelity, 0, weights, "")


def test_designs_after_each_other_get_the_bytes_that_each_gets_by_itself(npu, llama):
    tasks = [task(npu, (llama,), design) for design in DESIGNS]
    tasks += [task(npu, (PICTURES,), design, "analytic") for design in OTHERS]
    one_by_one = []
    for one in tasks:
        forget()
        one_by_one.append(evaluate(one))
    assert {found.status for found in one_by_one} == {"ok"}
    assert len({found.results for found in one_by_one}) == len(tasks)
    forget()
    order = [*reversed(range(len(tasks))), 2, 9, 5, 12]
    for i in order:
        assert evaluate(tasks[i]).results == one_by_one[i].results, tasks[i].settings
    assert lower._kept.cache_info().misses == 6  # graphs: two of one model, four of the other
    assert _grid._kept.cache_info().hits > 0
    assert _search._kept.cache_info().hits > 0  # where nothing but rates differs


def test_what_people_do_to_a_report_does_not_reach_the_next_design(npu, llama):
    first = api.run(npu, llama, fidelity="bound")
    whole = first.to_json()
    first.result["model"]["phase"]["batch"] = 99
    assert api.run(npu, llama, fidelity="bound").to_json() == whole


def test_graphs_are_told_apart_by_the_whole_content_of_their_workload(llama):
    work = load_workload(llama)[0]
    longer = load_workload(llama, set_=["phase.context=4096"])[0]
    assert lower_once(work).blocks is lower_once(load_workload(llama)[0]).blocks
    assert lower_once(longer).macs() > lower_once(work).macs()


@pytest.mark.parametrize(
    ("design", "status", "code"),
    [
        ({"memory.hbm.capacity": "1 GiB"}, "infeasible", "E401"),
        ({"memory.hbm.bandwidth": "fast"}, "failed", "E105"),
        ({"memory.hbm.speed": 1}, "failed", "E601"),
    ],
)
def test_a_design_that_cannot_be_run_is_an_answer_too(npu, llama, design, status, code):
    found = evaluate(task(npu, (llama,), design, "bound"))
    assert (found.status, found.error["code"], found.metrics) == (status, code, {})


def target(case, engine, buffer_bytes, objective):
    s = engine.spec
    return Target(
        "array", s.rows, s.cols, s.count, 1e9, buffer_bytes, 1e9, objective=objective,
        cost=lambda tiles: engine.cost(tiles, "int8"),
    )  # fmt: skip


@settings(max_examples=15, deadline=None)
@given(
    case=st.one_of(gemms(), convs()),
    shape=st.sampled_from([(2, 8, 1), (4, 4, 2), (8, 2, 4)]),
    buffer_bytes=st.sampled_from([600, 2000, 10**6]),
    objective=st.sampled_from(["latency", "compute"]),
    at_once=st.sampled_from([1, 200]),
)
def test_templates_weighed_together_choose_what_each_chooses_alone_a_few_nests_at_a_time(
    case, shape, buffer_bytes, objective, at_once
):
    op, tensors = case
    rows, cols, count = shape
    spec = SystolicArray.Spec(rows=rows, cols=cols, count=count, clock="core")
    engine = SystolicArray("array", spec, 10**9)
    view, where = problem(op, tensors, 32), target(case, engine, buffer_bytes, objective)
    plain = [flow() for flow in dataflows.classes() if flow.search is Dataflow.search]
    together = _search.choose_each(plain, view, where)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_search, "AT_ONCE", at_once)
        for flow, found in zip(plain, together, strict=True):
            if found is not None:
                assert _search.choose(flow, view, where) == (found[0], found[1]())
