"""Shapes of every tensor of an ONNX model, and the values that are known before the run.

ONNX's own shape inference does the work, on a shadow of the model: operators of other domains,
which it skips in silence, have stand-ins there whose results have the same shape. Arithmetic on
shapes is carried out, and what it yields is put back until nothing new is learned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, checker, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from archsim.core.errors import InputError

SMALL = 4096  # elements of a constant whose value is kept: shapes, axes, scalars, masks of them
Shape = tuple[int, ...]


def operator(node: onnx.NodeProto) -> str:
    """An operator's name, with its domain where that is not ONNX's own."""
    domain = "" if node.domain in ("", "ai.onnx") else f"{node.domain}."
    return f"{domain}{node.op_type}"


@dataclass
class Known:
    """What is known of a model's tensors.

    Attributes:
        shapes: extents, of the tensors where all are known.
        types: element types, in ONNX's numbers.
        values: small constants, as numpy arrays.
    """

    shapes: dict[str, Shape] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, kind: int, shape: Iterable[int]) -> None:
        """A tensor's shape and element type."""
        self.types[name], self.shapes[name] = kind, tuple(shape)


def infer(model: onnx.ModelProto, inputs: Mapping[str, Shape]) -> Known:
    """Shapes and values of a model whose inputs have these extents.

    Raises:
        InputError: E001 for a model that breaks ONNX's rules, E202 for nodes whose inputs do not
            fit each other.
    """
    known, graph = Known(), model.graph
    for tensor in graph.initializer:
        known.add(tensor.name, tensor.data_type, tensor.dims)
        if prod(tensor.dims) <= SMALL and tensor.data_location != TensorProto.EXTERNAL:
            try:
                known.values[tensor.name] = numpy_helper.to_array(tensor)
            except (KeyError, TypeError, ValueError) as error:
                message = f'not a sound ONNX model: weight "{tensor.name}": {error}'
                raise InputError(message, code="E001") from None
    for given in graph.input:
        if given.name in inputs:
            known.add(given.name, given.type.tensor_type.elem_type, inputs[given.name])
    nodes = list(graph.node)
    given_names = list(known.shapes)
    try:
        checker.check_model(_shadow(model, nodes, given_names, known))
    except checker.ValidationError as error:
        raise InputError(f"not a sound ONNX model: {first_line(error)}", code="E001") from None
    while True:
        before = len(known.values)
        nodes = _folded(nodes, known, model.opset_import)
        _read(_inferred(model, nodes, given_names, known), known)
        nodes = _folded(nodes, known, model.opset_import)
        if len(known.values) == before or all(x in known.shapes for n in nodes for x in n.output):
            return known


def first_line(error: Exception) -> str:
    """The first line of a message that says something."""
    lines = [x.strip() for x in str(error).splitlines() if x.strip()]
    return lines[0] if lines else type(error).__name__


def _inferred(
    model: onnx.ModelProto, nodes: list[onnx.NodeProto], given: list[str], known: Known
) -> onnx.GraphProto:
    """The shadow after shape inference."""
    shadow = _shadow(model, nodes, given, known)
    try:
        return shape_inference.infer_shapes(shadow, strict_mode=True, data_prop=True).graph
    except shape_inference.InferenceError as error:
        message = f"its shapes do not agree: {first_line(error)}"
        raise InputError(message, code="E202") from None


def _shadow(
    model: onnx.ModelProto, nodes: list[onnx.NodeProto], given: list[str], known: Known
) -> onnx.ModelProto:
    """The nodes with stand-ins for those of other domains; large weights are inputs."""
    made: list[onnx.NodeProto] = []
    extra: dict[str, Shape] = {}
    for node in nodes:
        made += _stand_in(node, known, extra)
    written = {x for n in made for x in n.output}
    read = {x for n in made for x in n.input} - written
    values = {x: v for x, v in known.values.items() if x in read}
    inputs = [
        helper.make_tensor_value_info(x, known.types[x], known.shapes[x])
        for x in given
        if x in read and x not in values
    ]
    inputs += [
        helper.make_tensor_value_info(x, TensorProto.FLOAT, shape) for x, shape in extra.items()
    ]
    shadow = helper.make_graph(
        made, "shadow", inputs, [],
        [numpy_helper.from_array(v, x) for x, v in values.items()],
    )  # fmt: skip
    return helper.make_model(shadow, opset_imports=model.opset_import, ir_version=model.ir_version)


def _read(graph: onnx.GraphProto, known: Known) -> None:
    """Take over what inference found."""
    for info in graph.value_info:
        kind = info.type.tensor_type
        known.types[info.name] = kind.elem_type
        extents = [x.dim_value if x.HasField("dim_value") else None for x in kind.shape.dim]
        if kind.HasField("shape") and None not in extents:
            known.shapes[info.name] = tuple(x for x in extents if x is not None)


def _stand_in(node: onnx.NodeProto, known: Known, extra: dict[str, Shape]) -> list[onnx.NodeProto]:
    """Nodes of ONNX's own with results of the same shapes; the node itself where it is one."""
    op, ins, outs = operator(node), list(node.input), list(node.output)
    if not op.startswith(("com.microsoft.", "Simplified", "Silu")):
        return [node]
    if op == "com.microsoft.EmbedLayerNormalization":
        return [helper.make_node("Gather", [ins[2], ins[0]], outs[:1])]
    if op == "com.microsoft.Attention" and ins[1] in known.shapes:
        hidden, wide = known.shapes[ins[1]]
        sizes = [a.ints for a in node.attribute if a.name == "qkv_hidden_sizes"]
        name = f"{outs[0]}:like"
        extra[name] = (hidden, sizes[0][2] if sizes else wide // 3)
        return [helper.make_node("MatMul", [ins[0], name], outs[:1])]
    results = [x for i, x in enumerate(outs) if x and (i == 0 or ("Skip" in op and i == 3))]
    return [helper.make_node("Identity", ins[:1], [x]) for x in results]


def _folded(
    nodes: list[onnx.NodeProto], known: Known, opsets: Iterable[onnx.OperatorSetIdProto]
) -> list[onnx.NodeProto]:
    """The nodes that are left when those on known values have been carried out."""
    left = []
    for node in nodes:
        found = _value(node, known, opsets)
        if found is None:
            left.append(node)
            continue
        for name, value in found.items():
            known.values[name] = value
            known.add(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
    return left


def _value(
    node: onnx.NodeProto, known: Known, opsets: Iterable[onnx.OperatorSetIdProto]
) -> dict[str, Any] | None:
    """The results of a node that depends on known values only, where they are small."""
    given = [x for x in node.input if x]
    op = operator(node)
    if op in ("Shape", "Size") and given[0] in known.shapes:
        feeds = {given[0]: np.broadcast_to(np.float32(0), known.shapes[given[0]])}  # no memory
    elif "." in op or not (given or op == "Constant") or any(x not in known.values for x in given):
        return None
    else:
        feeds = {x: known.values[x] for x in given}
    if any(a.type in (a.GRAPH, a.GRAPHS) for a in node.attribute):
        return None
    inputs = [
        helper.make_tensor_value_info(x, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
        for x, v in feeds.items()
    ]
    names = [x for x in node.output if x]
    outputs = [helper.make_tensor_value_info(x, TensorProto.UNDEFINED, None) for x in names]
    graph = helper.make_graph([node], "one", inputs, outputs)
    model = helper.make_model(graph, opset_imports=list(opsets))
    try:
        results = ReferenceEvaluator(model).run(names, feeds)
    except Exception as error:  # whatever numpy makes of numbers that do not fit
        message = f'node "{node.name}" cannot be carried out: {first_line(error)}'
        raise InputError(message, code="E202") from None
    found = dict(zip(names, results, strict=True))
    return found if all(v.size <= SMALL for v in found.values()) else None
