"""Is the error helpful? Every mistake in `transform:` and in mapping its convolutions, in full."""

from textwrap import dedent

import pytest

from archsim.api import run
from archsim.core.data import find
from archsim.core.errors import ArchsimError
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload

HEAD = "schema: archsim.workload/1\nname: w\n"


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refused(preset, transform):
    with open("w.yaml", "w") as file:
        file.write(f"{HEAD}model: {{preset: {preset}}}\ntransform: {transform}\n")
    with pytest.raises(ArchsimError) as caught:
        lower(load_workload("w.yaml")[0])
    assert caught.value.exit_code == 3
    return caught.value.render()


def check(found, expected):
    assert found == dedent(expected).strip("\n")


def test_a_model_that_is_no_convolutional_network():
    expected = """
        w.yaml:4:19: error[E202]: fuseconv changes convolutional networks, and gpt2-small is described as none
            4 | transform: {kind: fuseconv, variant: half}
              |                   ^^^^^^^^
              = help: `model: {preset: mobilenet-v2}` is one
        """  # noqa: E501 - one line on the screen
    check(refused("gpt2-small", "{kind: fuseconv, variant: half}"), expected)


def test_a_network_without_depthwise_convolutions():
    expected = """
        w.yaml:4:19: error[E202]: resnet-50 has no depthwise convolution to change
            4 | transform: {kind: group_width, width: 4}
              |                   ^^^^^^^^^^^
        """
    check(refused("resnet-50", "{kind: group_width, width: 4}"), expected)


def test_a_layer_that_the_network_has_not():
    expected = """
        w.yaml:4:53: error[E108]: mobilenet-v1 has no layer "stag1"
            4 | transform: {kind: fuseconv, variant: half, layers: [stag1]}
              |                                                     ^^^^^
              = help: did you mean "stage1"?
        """
    check(refused("mobilenet-v1", "{kind: fuseconv, variant: half, layers: [stag1]}"), expected)


def test_a_layer_without_a_depthwise_convolution():
    expected = """
        w.yaml:4:53: error[E202]: layer "stem" has no depthwise convolution to change
            4 | transform: {kind: fuseconv, variant: half, layers: [stem]}
              |                                                     ^^^^
              = help: one of stage1, stage2, stage3, stage4, stage5
        """
    check(refused("mobilenet-v1", "{kind: fuseconv, variant: half, layers: [stem]}"), expected)


def test_a_width_that_does_not_divide_the_channels():
    expected = """
        w.yaml:4:39: error[E107]: the 32 channels of layer "stage1" do not divide by 7
            4 | transform: {kind: group_width, width: 7}
              |                                       ^
              = help: 32 divides those of every layer that is changed
        """
    check(refused("mobilenet-v1", "{kind: group_width, width: 7}"), expected)


def test_a_transform_that_does_not_exist():
    expected = """
        w.yaml:4:19: error[E108]: kind "fuseconf" is not one of fuseconv, group_width
            4 | transform: {kind: fuseconf, variant: half}
              |                   ^^^^^^^^
              = help: did you mean "fuseconv"?
        """
    check(refused("mobilenet-v1", "{kind: fuseconf, variant: half}"), expected)


def unmappable(*settings):
    layer = {"kind": "conv", "name": "dw", "out_channels": 4, "kernel": 3, "padding": 1,
             "groups": "depthwise"}  # fmt: skip
    config = {"architecture": "cnn", "input": [4, 8, 8], "layers": [layer]}
    transform = {"kind": "fuseconv", "variant": "half"}
    workload = {"schema": "archsim.workload/1", "name": "w", "model": {"config": config}}
    with pytest.raises(ArchsimError) as caught:
        run("fuseconv-64", workload | {"transform": transform}, set_=settings, fidelity="analytic")
    assert caught.value.exit_code == 4
    return caught.value.render().replace(f"{find('fuseconv-64', 'configs').parent}/", "")


def test_an_array_without_weight_links():
    expected = """
        fuseconv-64.yaml:26:44: error[E302]: dw.row: rows of array have no link that broadcasts weights
           26 |   - {ops: ["*.row", "*.column"], dataflow: row_broadcast}
              |                                            ^^^^^^^^^^^^^
              = help: engines.array.row_broadcast: true, where its kind has the option
        """  # noqa: E501 - one line on the screen
    check(unmappable("engines.array.row_broadcast=false"), expected)


def test_an_array_that_is_fed_from_counted_banks():
    expected = """
        fuseconv-64.yaml:26:44: error[E302]: dw.row: which banks of sram row_broadcast asks is not modelled
           26 |   - {ops: ["*.row", "*.column"], dataflow: row_broadcast}
              |                                            ^^^^^^^^^^^^^
              = help: leave out memory.sram.interleave, or map it otherwise
        """  # noqa: E501 - one line on the screen
    banks = (
        "memory.sram.interleave=64 B",
        "memory.sram.banks=4",
        "memory.sram.bandwidth=32 B/cycle",
    )
    check(unmappable(*banks), expected)


def test_a_convolution_of_two_dimensions_has_no_lines():
    with pytest.raises(ArchsimError) as caught:
        run("fuseconv-64", "mobilenet-v1", set_=["mapping=[{ops: '*', dataflow: row_broadcast}]"],
            fidelity="analytic")  # fmt: skip
    expected = """
        --set mapping=[{ops: '*', dataflow: row_broadcast}]: error[E302]: stem: row_broadcast maps depthwise convolutions with filters of one dimension, and this is none
              = help: a workload's `transform: {kind: fuseconv, variant: half}` makes some
        """  # noqa: E501 - one line on the screen
    check(caught.value.render(), expected)


def test_flush_cycles_of_folds_that_overlap():
    with pytest.raises(ArchsimError) as caught:
        run("fuseconv-64", "mobilenet-v1", set_=["engines.array.fill=overlapped"])
    assert "error[E202]: flush_cycles is of exposed folds" in caught.value.render()
    assert "= help: set fill: exposed" in caught.value.render()


@pytest.mark.parametrize(
    ("hardware", "ops", "dataflow", "said"),
    [
        ("bitmod", "*", "row_stationary", "stem: row_stationary is a dataflow of a spatial_array"),
        ("npu", "*", "spatial", "stem: spatial is a dataflow of a spatial_array"),
        ("npu", "*", "fusemax_linear", "stem: fusemax_linear is a dataflow of a spatial_array"),
        ("npu", "*", "fusemax", "stem: fusemax maps scores, softmax and values as one"),
        ("eyeriss", "*", "row_broadcast", "stem: row_broadcast is no dataflow of a spatial_array"),
    ],
)
def test_a_dataflow_that_does_not_suit_its_engine_is_refused_at_its_rule(
    tmp_path, hardware, ops, dataflow, said
):
    rules = tmp_path / "r.yaml"
    rules.write_text(f"mapping:\n  - ops: '{ops}'\n    dataflow: {dataflow}\n")
    with pytest.raises(ArchsimError) as caught:
        run(hardware, "mobilenet-v1", set_files=[str(rules)], fidelity="analytic")
    assert (caught.value.exit_code, caught.value.code) == (4, "E302")
    assert caught.value.render().startswith(f"{rules}:3:15: error[E302]: {said}")


def test_a_cascade_on_an_array_without_elements_of_its_own_is_refused_at_its_rule():
    rule = "mapping=[{ops: attention, dataflow: fusemax}]"
    with pytest.raises(ArchsimError) as caught:
        run("npu", "gpt2-small-prefill", set_=[rule], fidelity="analytic")
    assert caught.value.exit_code == 4
    assert caught.value.render() == (
        f"--set {rule}: error[E302]: layer/attn.score: fusemax unrolls queries and keys over a "
        "spatial_array, and array is a systolic_array\n"
        "      = help: flash_attention, or leave out that rule: its products then run one by one"
    )


def test_a_cascade_is_refused_on_an_engine_that_has_attention_kernels_of_its_own():
    rule = "mapping=[{ops: attention, dataflow: flat}]"
    with pytest.raises(ArchsimError) as caught:
        run("h100", "gpt2-small-prefill", set_=[rule], fidelity="analytic")
    assert caught.value.exit_code == 4
    assert caught.value.render().startswith(
        f"--set {rule}: error[E302]: layer/attn.score: flat unrolls queries and keys over a "
        "spatial_array, and tensor is a tensor_core"
    )


def test_a_cascade_for_a_product_on_its_own_array_says_what_it_maps():
    rule = "mapping=[{ops: [gemm, linear], dataflow: fusemax}]"
    with pytest.raises(ArchsimError) as caught:
        run("fusemax", "fusemax-t5", set_=[rule], fidelity="analytic")
    expected = f"""
        --set {rule}: error[E302]: q: fusemax maps an attention, and q is a gemm
              = help: {{ops: attention, dataflow: fusemax}}
        """
    check(caught.value.render(), expected)


@pytest.mark.parametrize(
    ("machine", "dataflow", "rows", "said", "choices"),
    [
        ("fusemax", "fusemax", 300, "are no whole tiles of 256 that divide 2048 queries (8 tiles)",
         "256, 512, 1024, 2048"),
        ("fusemax", "fusemax", 768, "are no whole tiles of 256 that divide 2048 queries (8 tiles)",
         "256, 512, 1024, 2048"),
        ("flat", "fusemax_cascade", 4096,
         "are no whole tiles of 256 that divide 2048 queries (8 tiles)", "256, 512, 1024, 2048"),
        ("flat", "attention_unfused", 100,
         "are no whole tiles of 256 that divide 2048 queries (8 tiles)", "256, 512, 1024, 2048"),
        ("flat", "flat", 100,
         "are no whole tiles of 256 that divide 2048 and keep their scores on chip",
         "256, 512, 1024, 2048"),
    ],
)  # fmt: skip
def test_rows_of_queries_that_do_not_divide_are_refused_with_those_that_do(
    machine, dataflow, rows, said, choices
):
    line = {"name": "attn", "kind": "attention", "heads": 2, "head_dim": 64, "queries": 2048,
            "context": 2048, "kv": "given", "causal": False}  # fmt: skip
    work = {"schema": "archsim.workload/1", "name": "attn",
            "model": {"config": {"architecture": "graph", "ops": [line]}}}  # fmt: skip
    rule = f"mapping=[{{ops: attention, dataflow: {dataflow}, cascade: {{query_rows: {rows}}}}}]"
    with pytest.raises(ArchsimError) as caught:
        run(machine, work, set_=[rule], fidelity="analytic")
    expected = f"""
        --set {rule}: error[E401]: attn.score: {rows} rows of queries {said}
              = help: query_rows may be {choices}
        """
    check(caught.value.render(), expected)
