"""Is an ONNX file read as it should be, and refused in words that help where it cannot be?"""

import contextlib
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, shape_inference

from archsim.core.errors import ArchsimError, MissingExtra
from archsim.core.yamlio import dump_yaml
from archsim.lowering.convolution import Geometry
from archsim.lowering.lower import lower
from archsim.lowering.onnx.table import OPERATORS, supported
from archsim.lowering.onnx_import import read_onnx
from archsim.lowering.spec import load_workload


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refused(w, *results, code, maps=None, **dims):
    w.save("model.onnx", *results)
    with pytest.raises(ArchsimError) as caught:
        read_onnx("model.onnx", dims, maps)
    assert caught.value.exit_code == code
    return caught.value.render()


def test_e302_an_operator_of_another_domain(w):
    made = w.add("MoE", [w.input("x", (4, 8))], name="moe0", domain="com.microsoft")
    assert refused(w, made, code=4) == (
        'model.onnx: error[E302]: node "moe0" uses com.microsoft.MoE: no cost model\n'
        f"      = help: supported: {supported()}; or cost it as one of them, as in "
        "`--map com.microsoft.MoE=Gelu`"
    )


def test_e302_an_operator_of_onnx_without_a_cost(w):
    made = w.add("NonZero", [w.input("x", (4, 8))], name="find")
    found = refused(w, w.add("Cast", [made], to=TensorProto.FLOAT), code=4)
    assert found.splitlines()[0] == (
        'model.onnx: error[E302]: node "find" uses NonZero: no cost model'
    )


def test_e302_a_shape_that_only_the_data_tell(w, kinds):
    size = w.input("size", (2,), kinds.int)
    made = w.add("Expand", [w.input("x", (1, 8)), size], name="grow")
    assert refused(w, made, code=4) == (
        'model.onnx: error[E302]: node "grow" uses Expand: '
        "the shape of its result is not known before the run"
    )


def test_e302_an_attention_that_carries_keys_along(w):
    given = [
        w.input("x", (1, 4, 8)),
        w.weight("w", 8, 24),
        "",
        "",
        w.input("past", (2, 1, 2, 3, 4)),
    ]
    made = w.add("Attention", given, name="a", domain="com.microsoft", num_heads=2)
    assert refused(w, made, code=4) == (
        'model.onnx: error[E302]: node "a" uses com.microsoft.Attention '
        "with keys and values of earlier calls: no cost model"
    )


def test_e102_dimensions_without_a_size(w):
    x = w.input("x", ["batch", None, 8])
    assert refused(w, w.add("Relu", [x]), code=3) == (
        'model.onnx: error[E102]: input "x" has the dimension "batch" without a size\n'
        "      = help: --dim batch=128\n"
        'model.onnx: error[E102]: input "x" has the dimension "x.1" without a size\n'
        "      = help: --dim x.1=128"
    )


def test_e108_a_dimension_that_the_model_has_not(w):
    made = w.add("Relu", [w.input("x", ["batch", 8])])
    assert refused(w, made, code=3, batc=4) == (
        'model.onnx: error[E108]: the model has no symbolic dimension "batc"\n'
        '      = help: did you mean "batch"?'
    )
    plain = w.__class__()
    made = plain.add("Relu", [plain.input("x", [4, 8])])
    assert refused(plain, made, code=3, batch=4) == (
        'model.onnx: error[E108]: the model has no symbolic dimension "batch"\n'
        "      = help: all its dimensions are numbers"
    )


def test_e107_a_dimension_of_nothing(w):
    made = w.add("Relu", [w.input("x", ["batch", 8])])
    assert refused(w, made, code=3, batch=0) == (
        'model.onnx: error[E107]: dimension "batch" is 0, which is not at least 1'
    )


def test_e107_nothing_to_run(w, kinds):
    w.input("x", [4])
    made = w.add("Neg", [w.constant("c", [1.0, 2.0], None, kinds.float)])
    assert refused(w, made, code=3) == (
        "model.onnx: error[E107]: no node depends on an input: nothing to run"
    )


def test_e202_nodes_that_do_not_fit_each_other(w):
    made = w.add("MatMul", [w.input("a", (4, 8)), w.weight("w", 7, 3)], name="mm")
    found = refused(w, made, code=3)
    assert found.startswith("model.onnx: error[E202]: its shapes do not agree: ")
    assert "mm" in found


def test_e001_a_file_of_another_kind(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"layers: 3\n" * 9)
    with pytest.raises(ArchsimError) as caught:
        read_onnx("model.onnx")
    assert caught.value.render() == "model.onnx: error[E001]: not an ONNX model"


def test_without_the_library_the_pip_line_is_given(w, monkeypatch):
    w.save("model.onnx", w.add("Relu", [w.input("x", (4, 8))]))
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtra) as caught:
        read_onnx("model.onnx")
    assert caught.value.exit_code == 8
    assert caught.value.render() == (
        "error: reading model.onnx needs the library onnx\n"
        '      = help: pip install "archsim[onnx]"'
    )


def test_an_operator_may_be_costed_as_another(w):
    made = w.add("MyGelu", [w.input("x", (4, 8))], name="mine", domain="my.domain")
    w.save("model.onnx", made)
    spec = read_onnx("model.onnx", maps={"my.domain.MyGelu": "com.microsoft.Gelu"})
    assert [n.op for n in spec.nodes] == ["com.microsoft.Gelu"]
    assert spec.tensors["mine.o"].shape == (4, 8)


def test_e108_a_map_to_what_has_no_cost_either(w):
    made = w.add("MyGelu", [w.input("x", (4, 8))], name="mine", domain="my.domain")
    found = refused(w, made, code=3, maps={"my.domain.MyGelu": "Gelou"})
    assert found == (
        'model.onnx: error[E108]: --map names "Gelou", which is no operator with a cost model\n'
        '      = help: did you mean "Gelu"?'
    )


def test_what_was_read_can_be_written_out_and_loaded_without_the_library(w, kinds, monkeypatch):
    x = w.add("Relu", [w.add("Conv", [w.input("x", ["N", 3, 8, 8]), w.weight("w", 4, 3, 3, 3)])])
    flat = w.add("Reshape", [x, w.constant("s", [0, -1])])
    made = w.add("Pow", [flat, w.constant("two", [2.0], [], kinds.float)])
    w.save("model.onnx", made)
    spec = read_onnx("model.onnx", {"N": 2})
    data = {"schema": "archsim.workload/1", "name": "toy", "model": {"config": spec.to_data()}}
    with open("work.yaml", "w") as file:
        file.write(dump_yaml(data))
    monkeypatch.setitem(sys.modules, "onnx", None)
    loaded, _ = load_workload("work.yaml")
    assert loaded.model.config == spec
    assert lower(loaded).macs() == 2 * 4 * 6 * 6 * 27


def test_the_batch_is_the_models_own(w):
    w.save("model.onnx", w.add("Relu", [w.input("x", (4, 8))]))
    config = read_onnx("model.onnx").to_data()
    data = {"schema": "archsim.workload/1", "name": "toy", "model": {"config": config}}
    with pytest.raises(ArchsimError, match="its batch in its own extents"):
        load_workload(data, batch=2)


def test_weights_that_are_rearranged_only_are_rearranged_before_the_run(w):
    turned = w.add("Transpose", [w.weight("w", 6, 8)], perm=[1, 0])
    w.save("model.onnx", w.add("MatMul", [w.input("x", (4, 8)), turned], name="mm"))
    spec = read_onnx("model.onnx")
    assert [n.name for n in spec.nodes] == ["mm"]
    assert spec.tensors[turned].role == "weight"
    assert spec.parameters == 48


def test_a_function_of_the_file_is_taken_apart():
    body = [helper.make_node("Relu", ["a"], ["m"]), helper.make_node("Neg", ["m"], ["b"])]
    opset = helper.make_opsetid("", 17)
    function = helper.make_function("my.domain", "Twice", ["a"], ["b"], body, [opset])
    graph = helper.make_graph(
        [helper.make_node("Twice", ["x"], ["y"], domain="my.domain")], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
    )  # fmt: skip
    imports = [opset, helper.make_opsetid("my.domain", 1)]
    model = helper.make_model(graph, opset_imports=imports, functions=[function], ir_version=8)
    with open("model.onnx", "wb") as file:
        file.write(model.SerializeToString())
    assert [n.op for n in read_onnx("model.onnx").nodes] == ["Relu", "Neg"]


def test_names_of_ops_are_parts_of_a_path_and_never_twice(w):
    x = w.input("x", (4, 8))
    w.nodes += [helper.make_node("Relu", [x], ["a"], name="/layer.0/act"),
                helper.make_node("Neg", ["a"], ["/b"]),
                helper.make_node("Abs", ["/b"], ["c"], name="/layer.0/act")]  # fmt: skip
    w.save("model.onnx", "c")
    names = [n.name for n in read_onnx("model.onnx").nodes]
    assert names == ["layer.0.act", "b", "layer.0.act#2"]


def test_the_usual_operators_are_in_the_table():
    wanted = (
        "MatMul Gemm Conv Attention Softmax LayerNormalization RMSNormalization Add Sub Mul Div Pow"
        " BatchNormalization Sqrt Erf Tanh Sigmoid Relu Gelu Exp Neg Clip Where Min Max MaxPool"
        " AveragePool GlobalAveragePool Gather Reshape Transpose Squeeze Unsqueeze Flatten Expand"
        " Concat Split Slice Identity Cast com.microsoft.Attention com.microsoft.MultiHeadAttention"
    )
    assert set(wanted.split()) <= OPERATORS.keys()


@st.composite
def windows(draw):
    """Kernel, stride, dilation and pads along each axis, and an image that they fit."""
    axes = []
    for _ in range(2):
        kernel, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 3))
        pads = draw(st.integers(0, 3)), draw(st.integers(0, 3))
        least = max(1, dilation * (kernel - 1) + 1 - sum(pads))
        axes.append(
            (draw(st.integers(least, 24)), kernel, draw(st.integers(1, 4)), dilation, *pads)
        )
    return tuple(zip(*axes, strict=True))


@given(windows(), st.sampled_from([1, 2, 4]))
@settings(max_examples=150, deadline=None)
def test_a_window_makes_as_many_results_as_onnx_infers(window, groups):
    size, kernel, stride, dilation, begin, end = window
    node = helper.make_node(
        "Conv", ["x", "w"], ["y"], strides=stride, dilations=dilation, pads=[*begin, *end],
        group=groups,
    )  # fmt: skip
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, *size]),
        helper.make_tensor_value_info("w", TensorProto.FLOAT, [8, 4 // groups, *kernel]),
    ]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "g", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    shape = shape_inference.infer_shapes(model, strict_mode=True).graph.output[0]
    expected = tuple(d.dim_value for d in shape.type.tensor_type.shape.dim[2:])
    geometry = Geometry(8, kernel, stride, begin, dilation, groups, pad_end=end)
    assert geometry.out(size) == expected


def test_e001_a_node_that_reads_what_nobody_writes(w):
    found = refused(w, w.add("Relu", ["ghost"], name="r"), code=3)
    assert found.startswith("model.onnx: error[E001]: not a sound ONNX model: ")


def test_e202_shape_arithmetic_that_cannot_be_carried_out(w, kinds):
    shape = w.add("Shape", [w.input("x", (4, 8))])
    far = w.add("Gather", [shape, w.constant("i", [7], [])], name="far", axis=0)
    assert refused(w, w.add("Cast", [far], to=kinds.float), code=3).startswith(
        'model.onnx: error[E202]: node "far" cannot be carried out: '
    )


def test_e107_an_extent_of_nothing(w, kinds):
    empty = w.constant("empty", [], [0], kinds.float)
    made = w.add("Clip", [w.input("x", (4, 8)), empty], name="c")
    assert refused(w, made, code=3) == (
        'model.onnx: error[E107]: tensor "empty" has the extents [0]\n'
        "      = help: each is 1 to 1000000000"
    )


def test_e202_an_axis_that_a_tensor_has_not(w):
    made = w.add("LayerNormalization", [w.input("x", (4, 8)), w.weight("g", 8)], name="n", axis=5)
    assert refused(w, made, code=3).splitlines()[0].startswith("model.onnx: error[E202]: ")


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[*HealthCheck])
def test_a_damaged_file_is_read_or_refused_and_never_a_traceback(w, data):
    x = w.__class__()
    flat = x.add("Reshape", [x.input("x", (4, 8)), x.constant("s", [2, -1])])
    raw = bytearray(x.model(x.add("Softmax", [flat])).SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with open("model.onnx", "wb") as file:
        file.write(raw)
    with contextlib.suppress(ArchsimError):
        read_onnx("model.onnx")
