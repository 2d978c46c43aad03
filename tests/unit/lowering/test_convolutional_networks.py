"""Is the graph of a convolutional network the one that its layers describe?"""

import pytest

from archsim.core.errors import InputError
from archsim.ir.tensor import Role
from archsim.lowering.architectures._cnn_layers import Squeeze
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


def residual(kind, **fields):
    return {"kind": kind, "name": "body", "out_channels": 8, **fields}


def test_a_separable_convolution_is_one_on_each_channel_and_one_on_each_pixel():
    graph = build(residual("separable", stride=2), size=(4, 12, 10))
    first, _, second, _ = graph.blocks[0].ops
    assert first.ranks == {
        "B": 1, "G": 4, "OH": 6, "OW": 5, "OC": 1, "IC": 1, "FH": 3, "FW": 3,
    }  # fmt: skip
    assert second.ranks == {
        "B": 1, "G": 1, "OH": 6, "OW": 5, "OC": 8, "IC": 4, "FH": 1, "FW": 1,
    }  # fmt: skip
    assert graph.facts["parameters"] == 4 * 9 + 2 * 4 + 4 * 8 + 2 * 8


def test_an_inverted_residual_adds_where_input_and_result_have_one_shape():
    graph = build(residual("inverted", count=3, expand=2))
    assert [(b.name, b.count) for b in graph.blocks] == [("body.0", 1), ("body.n", 2)]
    names = ["expand", "expand.relu6", "depthwise", "depthwise.relu6", "project"]
    assert [op.name for op in graph.blocks[0].ops] == names  # from 4 channels to 8: no addition
    assert [op.name for op in graph.blocks[1].ops] == [*names, "add"]
    same = build(residual("inverted", out_channels=4, expand=1))
    assert [op.name for op in same.blocks[0].ops] == [*names[2:], "add"]


def test_a_bounded_activation_is_two_comparisons_a_point():
    op = build(conv(activation="relu6")).blocks[0].ops[1]
    assert op.primitives == {"max": 2}


@pytest.mark.parametrize("kind", ["separable", "inverted", "bottleneck"])
def test_the_repeats_of_a_block_are_counted_like_blocks_of_their_own(kind):
    fields = {"width": 2} if kind == "bottleneck" else {}
    many = build(residual(kind, count=4, **fields))
    first = build(residual(kind, **fields))
    again = residual(kind, count=2, **fields)
    two = build(again)
    for key in ("parameters", "macs"):
        once = two.facts[key] - first.facts[key]
        assert many.facts[key] == first.facts[key] + 3 * once


def test_mobilenets_are_their_tables_by_hand():
    """Table 1 of Howard et al. and table 2 of Sandler et al., row by row."""

    def shipped(name):
        return lower(load_workload(name)[0])

    size, channels, macs = 112, 32, 112 * 112 * 32 * 27
    for out, stride in [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
                        *[(512, 1)] * 5, (1024, 2), (1024, 1)]:  # fmt: skip
        size //= stride
        macs += size * size * channels * (9 + out)
        channels = out
    assert shipped("mobilenet-v1").macs() == macs + 1024 * 1000

    size, channels, macs = 112, 32, 112 * 112 * 32 * 27
    for t, out, n, stride in [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
                              (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]:  # fmt: skip
        for step in (stride, *[1] * (n - 1)):
            wide = t * channels
            macs += size * size * channels * wide * (t > 1)
            size //= step
            macs += size * size * wide * (9 + out)
            channels = out
    assert shipped("mobilenet-v2").macs() == macs + 49 * 320 * 1280 + 1280 * 1000


def test_squeeze_and_excitation_is_a_mean_two_dense_layers_and_a_product():
    layer = residual("inverted", expand=1, kernel=5, activation="hard_swish", squeeze={})
    graph = build(layer, size=(72, 6, 6), batch=2)
    ops = {op.name: op for op in graph.blocks[0].ops}
    assert list(ops) == [
        "depthwise", "depthwise.hard_swish", "squeeze.mean", "squeeze.reduce",
        "squeeze.reduce.relu", "squeeze.expand", "squeeze.scales", "squeeze", "project",
    ]  # fmt: skip
    assert ops["depthwise"].ranks["FH"] == 5
    assert ops["depthwise.hard_swish"].primitives == {"add": 1, "max": 2, "mul": 2}
    assert ops["squeeze.scales"].primitives == {"add": 1, "max": 2, "mul": 1}
    assert ops["squeeze.reduce"].ranks == {"B": 1, "M": 2, "N": 24, "K": 72}
    assert ops["squeeze"].ranks == {"M": 2 * 72, "N": 36}
    assert graph.facts["parameters"] == 72 * 25 + 144 + 2 * 72 * 24 + 96 + 72 * 8 + 16


@pytest.mark.parametrize(
    ("channels", "between"), [(16, 8), (72, 24), (96, 24), (120, 32), (240, 64), (960, 240)]
)
def test_the_width_between_the_dense_layers_is_rounded_as_in_mobilenetv3(channels, between):
    assert Squeeze().width(channels) == between
    assert Squeeze(multiple=1).width(channels) == channels // 4


def test_a_hidden_width_of_its_own_always_has_a_first_convolution():
    graph = build(residual("inverted", hidden=4))
    assert graph.blocks[0].ops[0].name == "expand"
    assert graph.blocks[0].ops[0].ranks["OC"] == 4


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"groups": 1, "split": "half"}, 'layer "conv" has no depthwise convolution to change'),
        ({"groups": "depthwise", "split": "full", "group_width": 2},
         "split: full filters each channel apart, and group_width does not"),
    ],
)  # fmt: skip
def test_filters_change_in_one_way_and_only_where_they_are_one_a_channel(fields, said):
    with pytest.raises(InputError, match=said):
        build(conv(**fields))


def test_expand_and_hidden_exclude_each_other():
    with pytest.raises(InputError, match='layer "body" gives both expand and hidden'):
        build(residual("inverted", expand=2, hidden=8))


def test_row_and_column_filters_of_unlike_maps_are_refused():
    with pytest.raises(InputError, match="row and column filters give maps of 12 x 8 and 10 x 10"):
        build(conv(groups="depthwise", split="full"))


# k, channels between, channels out, squeezed, stride: tables 1 and 2 of Howard et al. (2019)
V3 = {
    "mobilenet-v3-large": (960, 1280, [
        (3, 16, 16, 0, 1), (3, 64, 24, 0, 2), (3, 72, 24, 0, 1), (5, 72, 40, 24, 2),
        (5, 120, 40, 32, 1), (5, 120, 40, 32, 1), (3, 240, 80, 0, 2), (3, 200, 80, 0, 1),
        (3, 184, 80, 0, 1), (3, 184, 80, 0, 1), (3, 480, 112, 120, 1), (3, 672, 112, 168, 1),
        (5, 672, 160, 168, 2), (5, 960, 160, 240, 1), (5, 960, 160, 240, 1),
    ]),
    "mobilenet-v3-small": (576, 1024, [
        (3, 16, 16, 8, 2), (3, 72, 24, 0, 2), (3, 88, 24, 0, 1), (5, 96, 40, 24, 2),
        (5, 240, 40, 64, 1), (5, 240, 40, 64, 1), (5, 120, 48, 32, 1), (5, 144, 48, 40, 1),
        (5, 288, 96, 72, 2), (5, 576, 96, 144, 1), (5, 576, 96, 144, 1),
    ]),
}  # fmt: skip


@pytest.mark.parametrize("name", V3)
def test_mobilenet_v3_is_its_table_by_hand(name):
    last, features, rows = V3[name]
    size, channels, macs = 112, 16, 112 * 112 * 16 * 27
    for k, wide, out, squeezed, stride in rows:
        macs += size * size * channels * wide * (wide != channels)
        size = -(-size // stride)
        macs += size * size * wide * (k * k + out) + 2 * wide * squeezed
        channels = out
    macs += size * size * channels * last + last * features + features * 1000
    assert lower(load_workload(name)[0]).macs() == macs


def test_mnasnet_is_its_figure_by_hand():
    size, channels, macs = 112, 32, 112 * 112 * 32 * 27
    for t, k, out, n, stride in [(1, 3, 16, 1, 1), (3, 3, 24, 3, 2), (3, 5, 40, 3, 2),
                                 (6, 5, 80, 3, 2), (6, 3, 96, 2, 1), (6, 5, 192, 4, 2),
                                 (6, 3, 320, 1, 1)]:  # fmt: skip
        for step in (stride, *[1] * (n - 1)):
            wide = t * channels
            macs += size * size * channels * wide * (t > 1)
            size //= step
            macs += size * size * wide * (k * k + out)
            channels = out
    assert lower(load_workload("mnasnet-b1")[0]).macs() == macs + 49 * 320 * 1280 + 1280 * 1000
