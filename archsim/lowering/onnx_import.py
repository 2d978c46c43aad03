"""Reading an ONNX file: its extents are bound, its shapes inferred, its weights left alone.

What results stands alone and needs neither the file nor the library onnx again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from math import isfinite, prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from archsim.core.errors import Diagnostic, InputError, MissingExtra, Unsupported, nearest
from archsim.lowering.onnx.nodes import Attribute, Data, Node, Onnx
from archsim.lowering.onnx.table import OPERATORS, ops_of, supported
from archsim.lowering.parts import Parts
from archsim.lowering.phase import DTypes

if TYPE_CHECKING:
    import onnx

    from archsim.lowering.onnx.shapes import Known

LARGEST = 1_000_000_000  # an extent; see `Count`


def read_onnx(
    path: str | Path,
    dims: Mapping[str, int] | None = None,
    maps: Mapping[str, str] | None = None,
) -> Onnx:
    """The model of an ONNX file.

    Args:
        path: the file; weights that lie in other files are not read.
        dims: extents of symbolic dimensions by name; an input's dimension that has no name is
            `input.axis`, as `x.0`.
        maps: operators that cost as another one does, such as `{"my.domain.Gelu": "Gelu"}`.

    Raises:
        MissingExtra: when the library onnx is not installed.
        InputError: E001 for a file that is none, E102 for a dimension without an extent, E108 for
            one that the model has not, E202 for nodes that do not fit each other.
        Unsupported: E302 for an operator without a cost model.
    """
    model, file = _load(path), str(path)
    _mapped(model, maps or {}, file)
    _of_onnx(model, file)
    sizes = _bound(model, dims or {}, file)
    try:
        from archsim.lowering.onnx.shapes import infer

        spec = _spec(model, infer(model, sizes), file)
        ops_of(spec, Parts(DTypes().filled("bf16", "fp32", cache=False)))
    except (InputError, Unsupported) as error:
        raise _at(type(error), error.code, error.message, file, error.help) from None
    return spec


def _load(path: str | Path) -> onnx.ModelProto:
    try:
        import onnx
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
        from onnx.inliner import inline_local_functions
    except ImportError:
        raise MissingExtra(f"reading {path} needs the library onnx", extra="onnx") from None
    try:
        model = onnx.load(str(path), load_external_data=False)
    except DecodeError:
        raise _at(InputError, "E001", "not an ONNX model", str(path)) from None
    return inline_local_functions(model) if model.functions else model


def _mapped(model: onnx.ModelProto, maps: Mapping[str, str], file: str) -> None:
    """Give operators the name of the one that they cost as."""
    from archsim.lowering.onnx.shapes import operator

    for name in maps.values():
        if name not in OPERATORS:
            message = f'--map names "{name}", which is no operator with a cost model'
            close = nearest(name, OPERATORS)
            help_text = f'did you mean "{close}"?' if close else f"supported: {supported()}"
            raise _at(InputError, "E108", message, file, help_text)
    for node in model.graph.node:
        target = maps.get(operator(node))
        if target:
            node.domain, _, node.op_type = target.rpartition(".")


def _of_onnx(model: onnx.ModelProto, file: str) -> None:
    """Refuse names that are no text, and operators that neither ONNX nor the table has."""
    from onnx import defs

    graph = model.graph
    names = [x.name for x in (*graph.initializer, *graph.input, *graph.output)]
    for node in graph.node:
        names += [node.name, node.op_type, node.domain, *node.input, *node.output]
        names += [x.name for x in node.attribute]
    if not all(isinstance(x, str) for x in names):
        message = "not a sound ONNX model: a name in it is not text"
        raise _at(InputError, "E001", message, file)
    for node in graph.node:
        if node.domain not in ("", "ai.onnx") or not defs.has(node.op_type):
            _priced(node, file)


def _bound(
    model: onnx.ModelProto, dims: Mapping[str, int], file: str
) -> dict[str, tuple[int, ...]]:
    """Extents of the inputs; weights that are listed among them have theirs already."""
    stored = {x.name for x in model.graph.initializer}
    found: dict[str, tuple[int, ...]] = {}
    symbols: dict[str, None] = {}
    missing: dict[str, str] = {}
    for given in model.graph.input:
        if given.name in stored:
            continue
        shape = []
        for axis, extent in enumerate(given.type.tensor_type.shape.dim):
            symbol = extent.dim_param or f"{given.name}.{axis}"
            if extent.dim_value > 0:
                shape.append(extent.dim_value)
                continue
            symbols[symbol] = None
            if symbol not in dims:
                missing.setdefault(symbol, given.name)
            shape.append(dims.get(symbol, 1))
        found[given.name] = tuple(shape)
    _check_dims(dims, list(symbols), missing, file)
    return found


def _check_dims(
    dims: Mapping[str, int], symbols: list[str], missing: Mapping[str, str], file: str
) -> None:
    for name, extent in dims.items():
        if name not in symbols:
            close = nearest(name, symbols)
            has = f"it has: {', '.join(symbols)}" if symbols else "all its dimensions are numbers"
            help_text = f'did you mean "{close}"?' if close else has
            message = f'the model has no symbolic dimension "{name}"'
            raise _at(InputError, "E108", message, file, help_text)
        if extent < 1:
            message = f'dimension "{name}" is {extent}, which is not at least 1'
            raise _at(InputError, "E107", message, file)
    found = [
        Diagnostic(
            "E102", f'input "{owner}" has the dimension "{name}" without a size', file=file,
            help=f"--dim {name}=128",
        )
        for name, owner in missing.items()
    ]  # fmt: skip
    if found:
        raise InputError.of(found)


def _spec(model: onnx.ModelProto, known: Known, file: str) -> Onnx:
    graph = model.graph
    weights = {x.name for x in graph.initializer} | set(known.values)
    kept: list[tuple[str, onnx.NodeProto]] = []
    seen: Counter[str] = Counter()
    for node in graph.node:
        given = [x for x in node.input if x]
        if all(x in weights for x in node.output if x):
            continue  # carried out already
        _priced(node, file)
        if given and all(x in weights for x in given):
            weights.update(node.output)  # done before the run
            _shaped(node, known, file)
            continue
        _shaped(node, known, file)
        name = _name(node)
        seen[name] += 1
        kept.append((name if seen[name] == 1 else f"{name}#{seen[name]}", node))
    if not kept:
        raise _at(InputError, "E107", "no node depends on an input: nothing to run", file)
    nodes = tuple(_node(name, node) for name, node in kept)
    used = dict.fromkeys(x for n in nodes for x in (*n.inputs, *n.outputs) if x in known.shapes)
    opsets = {x.domain: x.version for x in model.opset_import}
    return Onnx(
        opset=opsets.get("", opsets.get("ai.onnx", 1)),
        parameters=_parameters(graph, known),
        nodes=nodes,
        tensors={x: _data(x, known, weight=x in weights) for x in used},
        results=tuple(x.name for x in graph.output),
    )


def _name(node: onnx.NodeProto) -> str:
    """A node's name as a path's part: slashes are between blocks and ops."""
    first = next((x for x in node.output if x), node.op_type)
    return (node.name or first).strip("/").replace("/", ".") or node.op_type


def _node(name: str, node: onnx.NodeProto) -> Node:
    from archsim.lowering.onnx.shapes import operator

    return Node(
        name=name,
        op=operator(node),
        inputs=tuple(node.input),
        outputs=tuple(node.output),
        attributes=dict(_attributes(node)),
    )


def _attributes(node: onnx.NodeProto) -> Iterator[tuple[str, Attribute]]:
    """Attributes that are numbers or text; tensors among them are weights, not sizes."""
    from onnx import AttributeProto, helper

    plain = (AttributeProto.INT, AttributeProto.FLOAT)
    lists = (AttributeProto.INTS, AttributeProto.FLOATS)
    for attribute in node.attribute:
        value = helper.get_attribute_value(attribute)
        if attribute.type in plain:
            yield attribute.name, value
        elif attribute.type in lists:
            yield attribute.name, tuple(value)
        elif attribute.type == AttributeProto.STRING:
            yield attribute.name, value.decode(errors="replace")


def _data(name: str, known: Known, *, weight: bool) -> Data:
    from onnx import TensorProto

    shape = known.shapes[name]
    if any(not 1 <= extent <= LARGEST for extent in shape):
        message = f'tensor "{name}" has the extents {list(shape)}'
        raise InputError(message, code="E107", help=f"each is 1 to {LARGEST}")
    whole = known.types.get(name) in (TensorProto.INT32, TensorProto.INT64)
    role: Literal["weight", "activation", "index"] = (
        "weight" if weight else "index" if whole else "activation"
    )
    found: Any = known.values.get(name)
    value = None
    if found is not None and found.size == 1:
        value = float(found.reshape(()))
        if not isfinite(value):  # the fill of a mask: which number it is decides nothing
            value = 0.0
    return Data(shape=shape, role=role, value=value)


def _parameters(graph: onnx.GraphProto, known: Known) -> int:
    """Elements of floating-point weights: no single numbers, and no running statistics."""
    from onnx import TensorProto

    whole = (TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL)
    running = {x for n in graph.node if n.op_type == "BatchNormalization" for x in n.input[3:5]}
    total: int = sum(
        prod(x.dims)
        for x in graph.initializer
        if x.data_type not in whole and x.name not in running and prod(x.dims) > 1
    )
    for node in graph.node:
        if node.op_type == "Constant":
            shape, kind = known.shapes[node.output[0]], known.types[node.output[0]]
            total += prod(shape) if kind not in whole and prod(shape) > 1 else 0
    return total


def _shaped(node: onnx.NodeProto, known: Known, file: str) -> None:
    """Refuse a node whose first result has no known shape, or an empty one."""
    shape = known.shapes.get(node.output[0])
    if shape is None or 0 in shape:
        why = "is not known before the run" if shape is None else f"is empty: {list(shape)}"
        message = f'node "{_name(node)}" uses {node.op_type}: the shape of its result {why}'
        raise _at(Unsupported, "E302", message, file)


def _priced(node: onnx.NodeProto, file: str) -> None:
    """Refuse an operator that has no cost."""
    from archsim.lowering.onnx.shapes import operator

    if operator(node) not in OPERATORS:
        message = f'node "{_name(node)}" uses {operator(node)}: no cost model'
        example = f"--map {operator(node)}=Gelu"
        help_text = f"supported: {supported()}; or cost it as one of them, as in `{example}`"
        raise _at(Unsupported, "E302", message, file, help_text)


def _at(
    kind: type[InputError | Unsupported],
    code: str,
    message: str,
    file: str,
    help_text: str | None = None,
) -> InputError | Unsupported:
    """An error about the file as a whole."""
    where = Diagnostic(code, message, file=file, help=help_text)
    return kind(message, code=code, help=help_text, where=where)
