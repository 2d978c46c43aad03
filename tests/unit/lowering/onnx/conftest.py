"""A writer of ONNX files, and the way from a file to the ops that it becomes."""

from types import SimpleNamespace

import pytest
from onnx import TensorProto, helper, save

from archsim.lowering.lower import lower
from archsim.lowering.onnx_import import read_onnx
from archsim.lowering.spec import load_workload

FLOAT, INT = TensorProto.FLOAT, TensorProto.INT64


class Writer:
    """Collects nodes, inputs and weights of one graph."""

    def __init__(self, opset=17):
        self.nodes, self.inputs, self.weights, self.opset = [], [], [], opset

    def input(self, name, shape, kind=FLOAT):
        self.inputs.append(helper.make_tensor_value_info(name, kind, list(shape)))
        return name

    def weight(self, name, *shape):
        """A weight whose values lie in another file: sizes are all that matters."""
        tensor = TensorProto(name=name, data_type=FLOAT, dims=shape)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="weights.bin")
        self.weights.append(tensor)
        return name

    def constant(self, name, values, shape=None, kind=INT):
        shape = [len(values)] if shape is None else shape
        self.weights.append(helper.make_tensor(name, kind, shape, values))
        return name

    def add(self, op, inputs, outputs=1, *, name=None, domain="", **attributes):
        name = name or f"{op.lower()}{len(self.nodes)}"
        outs = [f"{name}.o{i}" if i else f"{name}.o" for i in range(outputs)]
        node = helper.make_node(op, list(inputs), outs, name=name, domain=domain, **attributes)
        self.nodes.append(node)
        return outs[0] if outputs == 1 else outs

    def model(self, *results):
        outs = [helper.make_tensor_value_info(x, FLOAT, None) for x in results]
        graph = helper.make_graph(self.nodes, "model", self.inputs, outs, self.weights)
        imports = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=imports, ir_version=8)

    def save(self, path, *results):
        save(self.model(*results), str(path))
        return path


@pytest.fixture
def w():
    """A writer with nothing in it."""
    return Writer()


@pytest.fixture
def build(tmp_path):
    """From a writer and the names of its results to the graph of ops."""

    def built(w, *results, **dims):
        spec = read_onnx(w.save(tmp_path / "model.onnx", *results), dims)
        data = {"schema": "archsim.workload/1", "name": "toy", "model": {"config": spec.to_data()}}
        return lower(load_workload(data)[0])

    return built


@pytest.fixture
def ops(build):
    """The ops of a model, by name."""

    def found(w, *results, **dims):
        return {op.name: op for _, op in build(w, *results, **dims).ops()}

    return found


@pytest.fixture
def kinds():
    """Element types of inputs."""
    return SimpleNamespace(float=FLOAT, int=INT)
