"""An op graph written out in YAML: GEMM, convolution and vector ops by name and size."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from archsim.core.spec import PositiveInt, Spec
from archsim.core.yamlio import load_spec
from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Op
from archsim.lowering.cnn import ConvSize, Shape, conv
from archsim.lowering.parts import POINT, Parts
from archsim.lowering.spec import DTypes


class GemmLine(Spec):
    """`b` independent products of m x k and k x n."""

    kind: Literal["gemm"]
    """Which op this is."""

    name: str
    """Unique name; its result is `<name>.out`."""

    m: PositiveInt
    """Rows of the result."""

    n: PositiveInt
    """Columns of the result."""

    k: PositiveInt
    """Length of the reduction."""

    b: PositiveInt = 1
    """Independent products, each with its own weights."""

    after: str | None = None
    """Op whose result is the input; without one it comes from memory."""


class ConvLine(Spec):
    """A convolution."""

    kind: Literal["conv"]
    """Which op this is."""

    name: str
    """Unique name; its result is `<name>.out`."""

    channels: PositiveInt
    """Input channels."""

    height: PositiveInt
    """Input height."""

    width: PositiveInt
    """Input width."""

    filters: PositiveInt
    """Output channels."""

    taps: PositiveInt
    """Height and width of a filter."""

    stride: PositiveInt = 1
    """Step of the window."""

    pad: int = Field(default=0, ge=0)
    """Zeros around the input."""

    dilation: PositiveInt = 1
    """Distance between the taps."""

    groups: PositiveInt = 1
    """Groups of channels; as many as channels is depthwise."""

    after: str | None = None
    """Op whose result is the input; without one it comes from memory."""


class VectorLine(Spec):
    """A vector op over rows x cols points."""

    kind: Literal["vector"]
    """Which op this is."""

    name: str
    """Unique name; its result is `<name>.out`."""

    form: Literal["softmax", "rms", "layer", "rope", "add", "silu", "gelu", "relu"]
    """What is computed at each point."""

    rows: PositiveInt
    """Rows."""

    cols: PositiveInt
    """Points of a row; reductions run over them."""

    after: str | None = None
    """Op whose result is the input; without one it comes from memory."""


class GraphFile(Spec):
    """A graph file."""

    schema_: Literal["archsim.graph/1"] = Field(alias="schema")
    """Version of this file's form."""

    name: str = "graph"
    """Name in reports."""

    repeat: PositiveInt = 1
    """Times that the whole list runs."""

    ops: tuple[Annotated[GemmLine | ConvLine | VectorLine, Field(discriminator="kind")], ...] = (
        Field(min_length=1)
    )
    """Ops in order; one may only come after an earlier one."""


def lower_graph(path: str | Path, batch: int, dtypes: DTypes) -> OpGraph:
    """The op graph of a file; inputs of the batch are further rows.

    Raises:
        InputError: at the line of a name given twice, or of an `after` that names no earlier op.
    """
    spec, document = load_spec(path, GraphFile)
    parts, ops = Parts(dtypes), []
    made: dict[str, Any] = {}
    for i, line in enumerate(spec.ops):
        if line.name in made:
            raise document.error(("ops", i, "name"), "E002", f'op "{line.name}" is given twice')
        if line.after is not None and line.after not in made:
            raise document.error(
                ("ops", i, "after"), "E201",
                f'ops[{i}].after names op "{line.after}", which does not come before it',
                help=f"earlier ops: {', '.join(made) or 'none'}",
            )  # fmt: skip
        op = _op(parts, line, batch)
        have = parts.tensors[op.reads[0].tensor].elements
        if line.after is not None and made[line.after] != have:
            raise document.error(
                ("ops", i, "after"), "E202",
                f"{line.name} reads {have} elements, {line.after} writes {made[line.after]}",
            )  # fmt: skip
        ops.append(op)
        made[line.name] = parts.tensors[op.writes[0].tensor].elements
    graph = OpGraph(spec.name, (Block("ops", spec.repeat, tuple(ops)),), parts.tensors, {})
    facts = {
        "architecture": "graph",
        "parameters": sum(
            spec.repeat * t.elements for t in parts.tensors.values() if t.role == "weight"
        ),
        "macs_per_token": None,
        "macs_per_input": graph.macs() // batch,
        "kv_bytes_per_token": None,
        "output_tokens": None,
        "phase": {"kind": "infer", "batch": batch},
        "warnings": [],
    }
    return OpGraph(spec.name, graph.blocks, graph.tensors, facts)


def _op(parts: Parts, line: GemmLine | ConvLine | VectorLine, batch: int) -> Op:
    source = f"{line.after}.out" if line.after else f"{line.name}.in"
    known = parts.tensors.get(source)

    def read(*shape: int) -> Any:
        return parts.tensor(source, known.shape if known else shape)

    if isinstance(line, GemmLine):
        out = parts.tensor(f"{line.name}.out", (line.b, batch * line.m, line.n))
        weight = parts.weight(f"{line.name}.weight", line.b, line.k, line.n)
        reads = read(line.b, batch * line.m, line.k)
        size = (line.b, batch * line.m, line.n, line.k)
        return parts.batched(line.name, "gemm", (reads, weight, out), size)
    if isinstance(line, ConvLine):
        shape = (batch, line.channels, line.height, line.width)

        def square(x: int) -> tuple[int, int]:
            return x, x

        size_ = ConvSize(
            line.filters, square(line.taps), square(line.stride), square(line.pad),
            square(line.dilation), line.groups,
        )  # fmt: skip
        return conv(parts, line.name, Shape(read(*shape), *shape[1:]), size_, batch)[0]
    assert line.form in POINT
    rows = (batch * line.rows, line.cols)
    out = parts.tensor(f"{line.name}.out", rows)
    return parts.vector(line.name, "elementwise", [read(*rows)], [out], rows, line.form)
