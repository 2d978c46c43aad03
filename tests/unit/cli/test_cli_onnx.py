"""Does an ONNX file run from the command line, its symbolic dimensions given there?"""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import TensorProto, helper, save


@pytest.fixture
def model(archsim) -> Path:
    """A product of `seq` rows with a 64 x 32 weight, and a Relu, in the folder of the calls."""
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["seq", 64])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["seq", 32])
    weight = helper.make_tensor("w", TensorProto.FLOAT, [64, 32], [0.0] * (64 * 32))
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="fc"),
        helper.make_node("Relu", ["h"], ["y"], name="act"),
    ]
    path = Path("model.onnx")
    graph = helper.make_graph(nodes, "g", [given], [out], [weight])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def test_a_file_runs_with_its_dimensions_given(archsim, model):
    done = archsim("run", "npu", str(model), "--dim", "seq=256", "--format", "csv", "-q")
    assert done.status == 0, done.stderr
    assert "fc" in done.stdout
    assert str(256 * 64 * 32) in done.stdout


def test_without_them_the_dimension_is_named(archsim, model):
    done = archsim("run", "npu", str(model), "-q")
    assert done.status == 3
    assert "seq" in done.stderr
    assert "--dim" in done.stderr


def test_a_dimension_that_is_no_number_is_refused(archsim, model):
    done = archsim("run", "npu", str(model), "--dim", "seq=many", "-q")
    assert done.status == 2
    assert '"seq=many" is not NAME=N, such as seq=128' in done.stderr


def test_an_imported_file_stands_alone(archsim, model):
    assert archsim("import", "onnx", str(model), "--dim", "seq=256", "--out", "m.yaml").status == 0
    model.unlink()
    done = archsim("run", "npu", "m.yaml", "--format", "csv", "-q")
    assert done.status == 0, done.stderr
    assert str(256 * 64 * 32) in done.stdout
