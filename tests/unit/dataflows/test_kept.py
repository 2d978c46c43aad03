"""Does a search that was made before answer only where it would be made alike, and hold no more?"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, fields, replace

import numpy as np
import pytest

from archsim.components.systolic_array import SystolicArray
from archsim.core.asked import Asked
from archsim.dataflows import _grid, _search
from archsim.dataflows.base import Dataflow, dataflows
from archsim.dataflows.weight_stationary import WeightStationary
from archsim.ir.op import Group
from archsim.ir.problem import problem
from archsim.ir.target import Target
from archsim.ir.tensor import DTYPES
from archsim.testing.problems import conv, gemm

FLOWS = [flow() for flow in dataflows.classes() if flow.search is Dataflow.search]
FLOWS = [flow for flow in FLOWS if flow.stages == "product"]
CASES = gemm(6, 40, 36, 48), conv(1, 1, 9, 6, (12, 12), 3, (1, 1, 1)), gemm(12, 4, 8, 6)
SHAPE = {"rows": 4, "cols": 8, "count": 1}
OTHERWISE = {  # of each attribute of a target, what changes it, and what it takes to matter
    "engine": ({"engine": "other"}, {}),
    "rows": ({"rows": 8}, {}),
    "cols": ({"cols": 4}, {}),
    "count": ({"count": 4}, {"objective": "compute", "buffer_bytes": 800}),
    "clock_hz": ({"clock_hz": 1e8}, {}),
    "buffer_bytes": ({"buffer_bytes": 1500}, {}),
    "dram_bytes_per_s": ({"dram_bytes_per_s": 1e8}, {}),
    "dram_latency_s": ({"dram_latency_s": 1e-5}, {}),
    "depth": ({"depth": 3}, {}),
    "cost": ({"fill": "exposed"}, {}),
    "resident": ({"resident": frozenset({"a"})}, {}),
    "vector_cycles": ({"vector_cycles": lambda points, rows: 40 * points}, {}),
    "vector_clock_hz": ({"vector_clock_hz": 1e7}, {"vector_cycles": lambda points, rows: points}),
    "whole_rows": ({"whole_rows": True}, {}),
    "objective": ({"objective": "compute"}, {}),
    "fused": ({"fused": True}, {}),
    "fused_bits": ({"fused_bits": 64}, {"fused": True}),
    "whole_k": ({"whole_k": True}, {}),
    "operand_bytes": ({"operand_bytes": {"weight": 200}}, {}),
    "weights_first": ({"weights_first": True}, {"buffer_bytes": 9000}),
    "meter": ({"meter": None}, {}),  # other searches weigh by it
    "cost_key": ({"cost_key": None}, {}),  # nothing is kept
}
SAME = {"meter", "cost_key"}  # what is found does not depend on them


def target(*, fill="overlapped", **given):
    """A target whose arrays are of one shape; what tiles cost on them depends on `fill` alone."""
    engine = SystolicArray("array", SystolicArray.Spec(**SHAPE, clock="core", fill=fill), 10**9)
    known = {
        "engine": "array", **SHAPE, "clock_hz": 1e9, "buffer_bytes": 3000, "dram_bytes_per_s": 1e9,
        "cost": lambda tiles: engine.cost(tiles, "int8"), "cost_key": fill,
    }  # fmt: skip
    return Target(**known | given)


def forget():
    _grid._kept.cache_clear()
    _search._kept.cache_clear()


def view(case, **changes):
    op, tensors = case
    return replace(problem(op, tensors, 32), **changes)


def found(flows, case, where):
    each = _search.choose_each(flows, case, where)
    return [None if one is None else (one[0], one[1]()) for one in each]


def alike(case, other, where, where_other):
    """Whether the second answer is the one that it is without the first."""
    forget()
    alone = found(FLOWS, other, where_other)
    forget()
    before = found(FLOWS, case, where)
    assert found(FLOWS, other, where_other) == alone
    return before == alone


def test_every_attribute_of_a_target_is_tried():
    assert OTHERWISE.keys() == {field.name for field in fields(Target)}


@pytest.mark.parametrize("name", OTHERWISE)
def test_what_is_kept_of_one_target_answers_for_no_other(name):
    change, needs = OTHERWISE[name]
    one, other = target(**needs), target(**needs | change)
    same = [alike(view(case), view(case), one, other) for case in CASES]
    assert all(same) == (name in SAME)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (view(CASES[0]), view(CASES[0], bits={"in": 16, "out": 8, "partial": 32})),
        (view(CASES[0]), view(CASES[0], weight=DTYPES["bf16"])),
        (view(CASES[0]), view(gemm(6, 40, 36, 48, (Group(1, ()), Group(5, (("N", 9),)))))),
        (view(CASES[1]), view(conv(1, 1, 9, 6, (12, 12), 3, (1, 2, 2)))),  # as many outputs
        (view(conv(10, 1, 9, 30, (22, 1), (1, 1), (1, 1, 0))),  # as products they are the same
         view(conv(11, 1, 9, 10, (22, 1), (3, 1), (1, 1, 0)))),
    ],
)  # fmt: skip
def test_what_is_kept_of_one_op_answers_for_no_other(one, other):
    assert not alike(one, other, target(), target())


def test_tiles_below_the_size_of_the_array_are_asked_for_apart():
    flow, case, where = WeightStationary(), view(CASES[0]), target(buffer_bytes=600)
    forget()
    assert found([flow], case, where) == [None]
    assert _search.choose(flow, case, where)[1].tile["m"] < 40


def test_a_template_of_the_same_kind_with_other_tiles_is_another():
    class Whole(WeightStationary):
        def uncut(self, problem):
            return {"k": problem.largest.k}

    case, where = view(CASES[0]), target()
    forget()
    alone = found([Whole()], case, where)
    forget()
    assert found([WeightStationary()], case, where) != alone
    assert found([Whole()], case, where) == alone


def test_a_search_that_is_kept_keeps_no_machine():
    @dataclass
    class Machine:
        engine: SystolicArray

        def cost(self, tiles):
            return self.engine.cost(tiles, "int8")

    spec = SystolicArray.Spec(**SHAPE, clock="core")
    machine = Machine(SystolicArray("array", spec, 10**9))
    gone = weakref.ref(machine)
    forget()
    assert found(FLOWS, view(CASES[0]), target(cost=machine.cost))
    assert _search._kept.cache_info().currsize == _grid._kept.cache_info().currsize == 1
    del machine
    assert gone() is None


def test_a_search_of_very_many_candidates_is_not_kept(monkeypatch):
    forget()
    case, where = view(CASES[0]), target()
    monkeypatch.setattr(_search, "AT_ONCE", 100)
    assert found(FLOWS, case, where) == found(FLOWS, case, where)
    assert _search._kept.cache_info().currsize == 0


def test_questions_are_told_apart_by_content_alone():
    one, same, other = (Asked.of(content, lambda: np.zeros(1)) for content in "aab")
    assert one == same != other
    assert hash(one) == hash(same)
    assert one.answer() is not same.answer()
    assert one == same  # although one has let go of how it was answered
