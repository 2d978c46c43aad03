"""Is the graph of a convolutional network the one that its layers describe?"""

import pytest

from archsim.ir.tensor import Role
from archsim.lowering.convolution import Geometry
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload


def build(*layers, size=(4, 12, 10), batch=1):
    config = {"architecture": "cnn", "input": list(size), "layers": list(layers)}
    data = {"schema": "archsim.workload/1", "name": "toy", "model": {"config": config}}
    return lower(load_workload(data, batch=batch)[0])


def conv(**fields):
    return {"kind": "conv", "name": "conv", "out_channels": 8, "kernel": 3, **fields}


def test_stride_padding_and_dilation_give_the_usual_output_size():
    op = build(conv(stride=2, padding=1, dilation=2)).blocks[0].ops[0]
    assert (op.ranks["OH"], op.ranks["OW"]) == (
        (12 + 2 - 4 - 1) // 2 + 1,
        (10 + 2 - 4 - 1) // 2 + 1,
    )


def test_height_and_width_may_differ():
    op = build(conv(kernel=[3, 1], stride=[1, 2], padding=[1, 0])).blocks[0].ops[0]
    assert (op.ranks["FH"], op.ranks["FW"], op.ranks["OH"], op.ranks["OW"]) == (3, 1, 12, 5)


@pytest.mark.parametrize(
    ("groups", "ranks"),
    [(1, (1, 8, 4)), (2, (2, 4, 2)), (4, (4, 2, 1)), ("depthwise", (4, 2, 1))],
)
def test_groups_divide_channels_and_filters(groups, ranks):
    op = build(conv(groups=groups)).blocks[0].ops[0]
    assert (op.ranks["G"], op.ranks["OC"], op.ranks["IC"]) == ranks


@pytest.mark.parametrize(
    ("size", "floor", "ceil"), [(11, 5, 5), (12, 5, 6), (13, 6, 6), (2, 0, 0), (3, 1, 1)]
)
def test_ceil_counts_a_window_that_sticks_out(size, floor, ceil):
    for up, expected in ((False, floor), (True, ceil)):
        assert Geometry(1, (3, 3), (2, 2), ceil=up).out((size, size))[0] == expected


def test_a_batch_norm_is_two_parameters_a_filter_and_one_number_once_folded():
    with_norm, without = build(conv()), build(conv(batch_norm=False))
    assert with_norm.facts["parameters"] == 8 * 4 * 9 + 2 * 8
    assert without.facts["parameters"] == 8 * 4 * 9 + 8
    for graph in (with_norm, without):
        assert graph.read_bytes(Role.WEIGHT) == 2 * (8 * 4 * 9 + 8)


def test_bottlenecks_repeat_but_for_the_first():
    layer = {"kind": "bottleneck", "name": "body", "width": 2, "out_channels": 8, "count": 5}
    graph = build(layer)
    assert [(b.name, b.count) for b in graph.blocks] == [("body.0", 1), ("body.n", 4)]
    assert [op.name for op in graph.blocks[1].ops] == [
        "reduce", "reduce.relu", "spatial", "spatial.relu", "expand", "add",
    ]  # fmt: skip
    assert "shortcut" in [op.name for op in graph.blocks[0].ops]
    assert graph.blocks[1].carry == (("body.0.add.out", "body.n.add.out"),)


def test_a_batch_multiplies_macs_and_not_weights():
    layers = (conv(), {"kind": "global_pool", "name": "mean"},
              {"kind": "linear", "name": "fc", "out_features": 3})  # fmt: skip
    one, four = build(*layers), build(*layers, batch=4)
    assert four.macs() == 4 * one.macs()
    assert four.facts["macs_per_input"] == one.facts["macs_per_input"] == one.macs()
    assert four.read_bytes(Role.WEIGHT) == one.read_bytes(Role.WEIGHT)


def test_a_dense_layer_reads_the_whole_map():
    graph = build({"kind": "linear", "name": "fc", "out_features": 3})
    assert graph.blocks[0].ops[0].ranks == {"B": 1, "M": 1, "N": 3, "K": 4 * 12 * 10}


def test_an_average_pool_adds_its_window_and_scales_once():
    op = build({"kind": "pool", "name": "p", "mode": "average", "kernel": 2}).blocks[0].ops[0]
    assert op.primitive_counts() == {"add": 4 * 11 * 9 * 4, "mul": 4 * 11 * 9}
