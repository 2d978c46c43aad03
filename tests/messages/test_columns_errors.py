"""Is what a layout by columns cannot divide refused with the reason?"""

import pytest

from archsim.core.errors import InputError
from archsim.ir.parallel import ParallelPlan
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.parallel.partition import partition


def refused(model, **plan):
    data = {"schema": "archsim.workload/1", "name": "one", "model": {"preset": model},
            "phase": {"kind": "decode", "batch": 4, "context": 128}}  # fmt: skip
    found = ParallelPlan(tensor=4, layout="columns", **plan)
    with pytest.raises(InputError) as error:
        partition(lower(load_workload(data)[0]), found, found.devices)
    return error.value


def test_experts_have_no_layout_by_columns():
    error = refused("mixtral-8x7b")
    assert error.message == "layout: columns is of inference of dense models with keys of their own"
    assert error.help == "layout: 1d"


def test_the_first_device_has_attention_however_else_it_is_shared():
    error = refused("llama-2-7b", attention="batch")
    assert error.message == (
        "attention: with layout: columns the first device has all of attention and norms"
    )
    assert error.help == "leave attention out"
