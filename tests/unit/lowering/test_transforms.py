"""Does a workload's transform make the network that its paper describes?"""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.core.errors import InputError
from archsim.ir.op import Kind
from archsim.lowering.lower import describe, lower
from archsim.lowering.spec import load_workload


def workload(model, transform=None, **fields):
    data = {"schema": "archsim.workload/1", "name": "toy", "model": model, **fields}
    return data | ({"transform": transform} if transform else {})


def build(*layers, transform=None, size=(4, 12, 10), batch=1):
    config = {"architecture": "cnn", "input": list(size), "layers": list(layers)}
    return lower(load_workload(workload({"config": config}, transform), batch=batch)[0])


def fuse(variant, **fields):
    return {"kind": "fuseconv", "variant": variant, **fields}


def body(**fields):
    return {"kind": "inverted", "name": "body", "expand": 1, "out_channels": 6, **fields}


def ranks(op, names="G OH OW OC IC FH FW"):
    return tuple(op.ranks[r] for r in names.split())


def elements(graph, op, access):
    """Flat positions of a tensor of the op's own dimensions that an access reaches."""
    tensor = graph.tensors[access.tensor]
    names, found = sorted(access.ranks), set()
    for point in product(*(range(op.ranks[r]) for r in names)):
        at = dict(zip(names, point, strict=True))
        index = [d.offset + sum(c * at[r] for r, c in d.terms) for d in access.dims]
        if all(0 <= i < n for i, n in zip(index, tensor.shape, strict=True)):
            found.add(tuple(index))
    return found


def test_the_full_variant_filters_every_channel_both_ways_and_doubles_the_channels():
    ops = build(body(kernel=5, stride=2), transform=fuse("full")).blocks[0].ops
    row, column, joined, project = ops
    assert [op.name for op in ops] == [
        "depthwise.row", "depthwise.column", "depthwise.relu6", "project",
    ]  # fmt: skip
    assert ranks(row) == (4, 6, 5, 1, 1, 1, 5)
    assert ranks(column) == (4, 6, 5, 1, 1, 5, 1)
    assert joined.ranks == {"M": 1, "N": 8 * 6 * 5}
    assert ranks(project) == (1, 6, 5, 6, 8, 1, 1)


def test_the_half_variant_filters_half_of_the_channels_either_way():
    graph = build(body(), transform=fuse("half"))
    row, column, joined, project = graph.blocks[0].ops
    assert ranks(row) == (2, 12, 10, 1, 1, 1, 3)
    assert ranks(column) == (2, 12, 10, 1, 1, 3, 1)
    assert joined.points() == 4 * 12 * 10
    assert ranks(project) == (1, 12, 10, 6, 4, 1, 1)
    reached = [{at[1] for at in elements(graph, op, op.reads[0])} for op in (row, column)]
    assert reached == [{0, 1}, {2, 3}]
    assert [op.reads[0].touched for op in (row, column)] == [240, 240]


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("activation", ["relu", "none"])
def test_both_maps_lie_side_by_side_in_each_image(batch, activation):
    graph = build(body(activation=activation), transform=fuse("full"), batch=batch)
    join = graph.blocks[0].ops[2]
    assert join.kind is (Kind.MOVE if activation == "none" else Kind.VECTOR)
    own, found = 4 * 12 * 10, set()
    for place, access in enumerate(join.reads):
        image, inner = access.dims
        assert image.terms == (("M", 1),)
        assert inner == type(inner)((("N", 1),), -place * own)
        assert graph.tensors[access.tensor].elements == batch * own
        found |= {n for n in range(join.ranks["N"]) if 0 <= n + inner.offset < own}
    assert found == set(range(2 * own))
    assert graph.tensors[join.writes[0].tensor].shape == (batch, 8, 12, 10)


def test_squeeze_and_excitation_follow_the_channels_that_come_out():
    names = ("squeeze.reduce", "squeeze.expand")
    squeezed = body(squeeze={"multiple": 1})
    for variant, channels in (("half", 4), ("full", 8)):
        ops = {op.name: op for op in build(squeezed, transform=fuse(variant)).blocks[0].ops}
        sizes = [(ops[n].ranks["N"], ops[n].ranks["K"]) for n in names]
        assert sizes == [(channels // 4, channels), (channels, channels // 4)]


def test_a_depthwise_convolution_that_stands_alone_changes_too():
    alone = {"kind": "conv", "name": "dw", "out_channels": 4, "kernel": 3, "padding": 1,
             "groups": "depthwise"}  # fmt: skip
    after = {"kind": "conv", "name": "pw", "out_channels": 5, "kernel": 1}
    ops = build(alone, after, transform=fuse("full")).blocks[0].ops
    assert [op.name for op in ops] == ["dw.row", "dw.column", "dw.relu", "pw", "pw.relu"]
    assert ops[3].ranks["IC"] == 8


def test_only_the_layers_that_are_named_change():
    layers = [body(name=f"stage{i}") for i in (1, 2, 3)]
    graph = build(*layers, transform=fuse("half", layers=["stage[12]"]))
    split = [b.name for b in graph.blocks if b.ops[0].name == "depthwise.row"]
    assert split == ["stage1.0", "stage2.0"]


def test_reports_say_what_was_changed():
    assert build(body(), transform=fuse("half")).facts["transform"] == fuse("half")
    assert "transform" not in build(body()).facts


def test_a_group_of_width_g_has_g_times_the_weights_and_the_work():
    plain, wide = build(body()), build(body(), transform={"kind": "group_width", "width": 2})
    op = wide.blocks[0].ops[0]
    assert ranks(op) == (2, 12, 10, 2, 2, 3, 3)
    assert op.macs() == 2 * plain.blocks[0].ops[0].macs()


@settings(max_examples=40, deadline=None)
@given(
    kernel=st.sampled_from([3, 5]),
    stride=st.integers(1, 2),
    channels=st.sampled_from([2, 4, 6]),
    high=st.integers(5, 9),
    wide=st.integers(5, 9),
    variant=st.sampled_from(["full", "half"]),
)
def test_macs_and_parameters_are_those_of_the_papers_formulas(
    kernel, stride, channels, high, wide, variant
):
    """2 / D N M C K for the filters and 2 / D N M C C' for what follows, D = 1 or 2."""
    layer = body(kernel=kernel, stride=stride)
    graph = build(layer, transform=fuse(variant), size=(channels, high, wide))
    n, m = -(-high // stride), -(-wide // stride)
    times = 2 if variant == "full" else 1
    assert graph.macs() == times * n * m * channels * (kernel + 6)
    norms = 2 * (times * channels + 6)
    assert graph.facts["parameters"] == times * channels * (kernel + 6) + norms


# parameters in millions, cut after two digits: FuSeConv (DATE 2021), table I
PRINTED = {
    ("mobilenet-v1", "full"): 7.36, ("mobilenet-v1", "half"): 4.20,
    ("mobilenet-v2", "full"): 4.46, ("mobilenet-v2", "half"): 3.46,
    ("mnasnet-b1", "full"): 5.66, ("mnasnet-b1", "half"): 4.25,
    ("mobilenet-v3-small-fuseconv", "full"): 4.44, ("mobilenet-v3-small-fuseconv", "half"): 2.89,
    ("mobilenet-v3-large-fuseconv", "full"): 10.57, ("mobilenet-v3-large-fuseconv", "half"): 5.40,
}  # fmt: skip


@pytest.mark.parametrize(("preset", "variant"), PRINTED)
def test_parameters_of_the_published_variants_come_out_as_printed(preset, variant):
    facts = describe(workload({"preset": preset}, fuse(variant)))
    assert facts["parameters"] // 10_000 == round(100 * PRINTED[preset, variant])


def test_a_transformed_workload_that_was_written_out_loads_to_the_same_graph():
    config = {"architecture": "cnn", "input": [4, 12, 10],
              "layers": [body(), body(name="wide", expand=None, hidden=8)]}  # fmt: skip
    spec, _ = load_workload(workload({"config": config}, fuse("half", layers=["wide"])))
    again, _ = load_workload(spec.to_data())
    assert again == spec
    assert lower(again).blocks == lower(spec).blocks


@pytest.mark.parametrize(
    ("transform", "said"),
    [
        (fuse("half"), 'the 3 channels of layer "body" do not divide by 2'),
        ({"kind": "group_width", "width": 2}, 'the 3 channels of layer "body" do not divide by 2'),
    ],
)
def test_channels_that_do_not_divide_are_refused_by_name(transform, said):
    with pytest.raises(InputError, match=said):
        build(body(), transform=transform, size=(3, 8, 8))
