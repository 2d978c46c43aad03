"""What does DRACO's group width do on a row-stationary array, against the mapping's closed form?

The paper (Jha et al., ISVLSI 2020) prints +41.8 % mean utilisation and -42.6 % latency for
MobileNetV1 on 64 x 64 elements, and not the width of each layer: nothing is compared with those.
"""

from math import ceil

import pytest

import archsim

SIDE = 64


def layers():
    """Kind, channels, filters, output size and taps of MobileNetV1's layers."""
    yield "conv", 3, 32, 112, 3
    channels = 32
    for out, size in [(64, 112), (128, 56), (128, 56), (256, 28), (256, 28), (512, 14),
                      *[(512, 14)] * 5, (1024, 7), (1024, 7)]:  # fmt: skip
        yield "depthwise", channels, channels, size, 3
        yield "pointwise", channels, out, size, 1
        channels = out
    yield "fc", 1024, 1000, 1, 1


def passes(channels, filters, size, taps, groups):
    """Cycles of nn-dataflow's row-stationary mapping, its sets kept inside a group.

    A set is `taps` x `size` elements that take `taps` x `size` cycles a pair of channels; sets of
    one row of the array take other filters, those above each other channels or filters.
    """
    high, wide = SIDE // taps, max(1, SIDE // size)
    fold = ceil(size / SIDE)
    beside = min(high, fold)
    fold, high = ceil(fold / beside), high // beside
    own, out = channels // groups, filters // groups
    return min(
        groups * ceil(own / min(a, own)) * ceil(out / min(high // a * wide, out)) * fold
        * taps * size
        for a in range(1, high + 1) if high % a == 0
    )  # fmt: skip


def measured(width):
    workload = {
        "schema": "archsim.workload/1", "name": "mobilenet", "model": {"preset": "mobilenet-v1"},
        "dtypes": {"weights": "int16", "activations": "int16"},
        "transform": {"kind": "group_width", "width": width},
    }  # fmt: skip
    sides = [f"engines.array.{side}={SIDE}" for side in ("rows", "cols")]
    ops = archsim.run("draco-16", workload, set_=sides, fidelity="analytic", advice=False).ops
    products = [op for op in ops if op["op_class"] in ("conv", "fc")]
    cycles = sum(op["compute_cycles"] for op in products)
    used = sum(op["repeats"] * op["macs"] / op["compute_cycles"] for op in products)
    return cycles, used / SIDE**2 / 28


@pytest.fixture(scope="module")
def depthwise():
    return measured(1)


@pytest.mark.parametrize(
    ("width", "used_pct", "latency_pct"), [(4, 21.0, -41.9), (8, 35.2, -38.4), (16, 61.1, -32.3)]
)
def test_wider_groups_fill_the_array_until_their_own_work_costs_more(
    depthwise, width, used_pct, latency_pct
):
    cycles, used = measured(width)
    for found, groups in ((depthwise[0], 1), (cycles, width)):
        assert found == sum(
            passes(c, f, size, taps, c // groups if kind == "depthwise" else 1)
            for kind, c, f, size, taps in layers()
        )
    assert depthwise[0] == 378_256
    assert 100 * (used / depthwise[1] - 1) == pytest.approx(used_pct, abs=0.05)
    assert 100 * (cycles / depthwise[0] - 1) == pytest.approx(latency_pct, abs=0.05)
