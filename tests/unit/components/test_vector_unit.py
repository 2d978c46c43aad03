"""Does the vector unit cost what its closed form says?"""

from fractions import Fraction

import numpy as np
import pytest

from archsim.components.vector_unit import VectorUnit
from archsim.core.errors import InputError
from archsim.ir.op import Kind, Op
from archsim.system.spec import load_hardware


def unit(**fields):
    return VectorUnit("vector", VectorUnit.Spec(**{"lanes": 16, **fields}), 10**9)


def test_primitives_add_up_at_their_own_cost():
    softmax = Op(
        "softmax", Kind.VECTOR, "softmax", {"M": 2, "N": 8}, (), (),
        primitives={"max": 1, "add": 2, "exp": 1}, row_primitives={"div": 1},
    )  # fmt: skip
    assert unit(cycles_per_primitive={"exp": 4, "div": 8}).lane_cycles(softmax) == (7, 8)


@pytest.mark.parametrize(("points", "cycles"), [(1, 1), (32, 6), (33, 7), (320, 60)])
def test_cycles_are_the_work_over_all_lanes_rounded_up(points, cycles):
    got = unit().cycles(Fraction(3), Fraction(0), np.array([points]), np.array([1]))
    assert got[0] == cycles


def test_rows_cost_their_own_primitives():
    got = unit(count=2).cycles(Fraction(1), Fraction(10), np.array([320]), np.array([32]))
    assert got[0] == (320 + 320) // 32


def test_an_op_without_arithmetic_takes_no_cycles():
    assert unit().cycles(Fraction(0), Fraction(0), np.array([99]), np.array([9]))[0] == 0


@pytest.mark.parametrize(
    ("hardware", "setting"),
    [("npu", "engines.vector.latency_cycles"), ("sn40l-fabric", "engines.fabric.latency_cycles")],
)
def test_a_pipeline_is_no_shorter_than_nothing(hardware, setting):
    with pytest.raises(InputError) as caught:
        load_hardware(hardware, set_=[f"{setting}=-1"])
    assert caught.value.render() == (
        f"--set {setting}=-1: error[E107]: {setting} must be 0 or more, got -1"
    )
