"""A convolutional network as blocks of ops: convolutions, pooling, residual bottlenecks, a head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from archsim.core.errors import InputError, nearest
from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Access, Kind, Op, Window, dims
from archsim.ir.reuse import touched_axis
from archsim.ir.tensor import Role
from archsim.lowering.model import Cnn
from archsim.lowering.parts import Parts
from archsim.lowering.spec import DTypes

LAYERS = ("conv", "pool", "bottleneck", "mean", "linear")


@dataclass(frozen=True)
class Shape:
    """A feature map: its tensor, channels, height and width."""

    at: Access
    channels: int
    height: int
    width: int


@dataclass(frozen=True)
class ConvSize:
    """A convolution's geometry; `ceil` counts windows that stick out at the far edge."""

    filters: int
    taps: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    pad: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    ceil: bool = False

    def out(self, size: tuple[int, int]) -> tuple[int, int]:
        """Output height and width."""
        one, two = (self._axis(size[i], i) for i in (0, 1))
        return one, two

    def _axis(self, size: int, i: int) -> int:
        span = size + 2 * self.pad[i] - self.dilation[i] * (self.taps[i] - 1) - 1
        return (-(-span // self.stride[i]) if self.ceil else span // self.stride[i]) + 1


def conv(p: Parts, name: str, source: Shape, size: ConvSize, batch: int) -> tuple[Op, Shape]:
    """A convolution; the input's `touched` counts the distinct elements its windows reach."""
    high, wide = size.out((source.height, source.width))
    if high < 1 or wide < 1 or source.channels % size.groups or size.filters % size.groups:
        raise InputError(
            f"layer {name}: a {size.taps[0]} x {size.taps[1]} window in {size.groups} groups does "
            f"not fit {source.channels} x {source.height} x {source.width}",
            code="E107",
        )
    inner, outer = source.channels // size.groups, size.filters // size.groups
    taps = size.taps
    touched = batch * source.channels
    sizes = (source.height, source.width)
    for i, outputs in ((0, high), (1, wide)):
        touched *= touched_axis(
            outputs, size.stride[i], taps[i], size.dilation[i], size.pad[i], sizes[i]
        )
    weight = p.weight(f"{name}.weight", size.filters, inner, *taps)
    out = p.tensor(f"{name}.out", (batch, size.filters, high, wide))
    ranks = {
        "B": batch, "G": size.groups, "OH": high, "OW": wide,
        "OC": outer, "IC": inner, "FH": taps[0], "FW": taps[1],
    }  # fmt: skip
    reads = (
        Access(source.at.tensor, dims("B", "IC", "OH", "OW"), touched),
        Access(weight.tensor, dims("OC", "IC", "FH", "FW")),
    )
    window = Window(size.stride, size.dilation, size.pad, sizes)
    op = Op(name, Kind.CONV, "conv", ranks, reads, (out,), window=window)
    return op, Shape(out, size.filters, high, wide)


class _Builder:
    """Walks the layer list and cuts it into blocks where residual bottlenecks repeat."""

    def __init__(self, model: Cnn, batch: int, dtypes: DTypes) -> None:
        self.p = Parts(dtypes)
        self.batch = batch
        channels, high, wide = model.input
        shape = (batch, channels, high, wide)
        self.here = Shape(self.p.tensor("input", shape), channels, high, wide)
        self.ops: list[Op] = []
        self.blocks: list[Block] = []

    def close(self, name: str, count: int = 1, carry: tuple[tuple[str, str], ...] = ()) -> None:
        """End a block."""
        if self.ops:
            self.blocks.append(Block(name, count, tuple(self.ops), carry))
            self.ops = []

    def conv(self, name: str, size: ConvSize, *, relu: bool = True) -> None:
        """Convolution, its batch norm folded into weights and bias, and an activation."""
        op, self.here = conv(self.p, name, self.here, size, self.batch)
        self.ops.append(op)
        if relu:
            self.relu(f"{name}.relu", [self.here.at])

    def relu(self, name: str, reads: list[Access], *forms: str) -> None:
        """An activation, or an addition and an activation."""
        points = self.here.channels * self.here.height * self.here.width
        out = self.p.tensor(f"{name}.out", self.p.tensors[self.here.at.tensor].shape)
        size = (self.batch, points)
        self.ops.append(self.p.vector(name, "activation", reads, [out], size, *forms, "relu"))
        self.here = Shape(out, self.here.channels, self.here.height, self.here.width)

    def pool(self, name: str, taps: int, stride: int, pad: int) -> None:
        """Maximum over windows."""
        size = ConvSize(self.here.channels, (taps, taps), (stride, stride), (pad, pad))
        high, wide = size.out((self.here.height, self.here.width))
        out = self.p.tensor(f"{name}.out", (self.batch, self.here.channels, high, wide))
        rows = (self.batch, self.here.channels * high * wide)
        op = self.p.vector(name, "pool", [self.here.at], [out], rows)
        op.primitives["max"] = taps * taps - 1
        self.ops.append(op)
        self.here = Shape(out, self.here.channels, high, wide)

    def bottleneck(self, name: str, width: int, out: int, stride: int, count: int) -> None:
        """Residual blocks of 1x1, 3x3, 1x1 convolutions; the first changes the shape."""
        self.close(f"{name}.before")
        self._residual(f"{name}.0", width, out, stride, project=True)
        self.close(f"{name}.0")
        if count > 1:
            first = self.here.at.tensor
            self._residual(f"{name}.n", width, out, 1, project=False)
            self.close(f"{name}.n", count - 1, ((first, self.here.at.tensor),))

    def _residual(self, name: str, width: int, out: int, stride: int, *, project: bool) -> None:
        source = self.here
        self.conv(f"{name}.reduce", ConvSize(width, (1, 1)))
        self.conv(f"{name}.spatial", ConvSize(width, (3, 3), (stride, stride), (1, 1)))
        shortcut = source
        if project:
            main, self.here = self.here, source
            self.conv(f"{name}.shortcut", ConvSize(out, (1, 1), (stride, stride)), relu=False)
            shortcut, self.here = self.here, main
        self.conv(f"{name}.expand", ConvSize(out, (1, 1)), relu=False)
        self.relu(f"{name}.add", [self.here.at, shortcut.at], "add")

    def mean(self, name: str) -> None:
        """Average of each channel."""
        points = self.here.height * self.here.width
        out = self.p.tensor(f"{name}.out", (self.batch, self.here.channels))
        rows = (self.batch * self.here.channels, points)
        op = self.p.vector(name, "pool", [self.here.at], [out], rows, "add")
        op.row_primitives["mul"] = 1
        self.ops.append(op)
        self.here = Shape(out, self.here.channels, 1, 1)

    def linear(self, name: str, out: int) -> None:
        """A dense layer with a bias."""
        wide = self.here.channels * self.here.height * self.here.width
        result = self.p.tensor(f"{name}.out", (self.batch, out))
        size = (self.batch, out, wide)
        self.ops.append(self.p.linear(name, "ffn", self.here.at, result, size, bias=True))
        self.here = Shape(result, out, 1, 1)


def lower_cnn(name: str, model: Cnn, batch: int, dtypes: DTypes) -> OpGraph:
    """The op graph of a convolutional network on `batch` inputs."""
    b = _Builder(model, batch, dtypes)
    for i, layer in enumerate(model.layers):
        entry = dict(layer)
        kind = next((k for k in LAYERS if k in entry), None)
        if kind is None:
            word = next(iter(entry), "")
            close = nearest(word, LAYERS)
            raise InputError(
                f'model.layers[{i}]: "{word}" is not one of {", ".join(LAYERS)}',
                code="E108",
                help=f'did you mean "{close}"?' if close else None,
            )
        _add(b, kind, str(entry.pop(kind)), entry)
    b.close("head")
    graph = OpGraph(name, tuple(b.blocks), b.p.tensors, {})
    return OpGraph(name, graph.blocks, graph.tensors, _facts(graph, batch))


def _add(b: _Builder, kind: str, name: str, at: dict[str, Any]) -> None:
    if kind == "conv":
        taps, stride, pad = at["taps"], at.get("stride", 1), at.get("pad", 0)
        size = ConvSize(at["filters"], (taps, taps), (stride, stride), (pad, pad),
                        groups=at.get("groups", 1))  # fmt: skip
        b.conv(name, size)
    elif kind == "pool":
        b.pool(name, at["taps"], at["stride"], at.get("pad", 0))
    elif kind == "bottleneck":
        b.bottleneck(name, at["width"], at["out"], at.get("stride", 1), at["count"])
    elif kind == "mean":
        b.mean(name)
    else:
        b.linear(name, at["out"])


def _facts(graph: OpGraph, batch: int) -> dict[str, object]:
    """Parameters as checkpoints count them: a folded batch norm is a scale and a bias a filter."""
    parameters = 0
    for block, op in graph.ops():
        for access in op.reads:
            tensor = graph.tensors[access.tensor]
            if tensor.role is Role.WEIGHT:
                parameters += block.count * tensor.elements
        if op.kind is Kind.CONV:
            parameters += block.count * 2 * op.ranks["G"] * op.ranks["OC"]
    return {
        "architecture": "cnn",
        "parameters": parameters,
        "macs_per_token": None,
        "macs_per_input": graph.macs() // batch,
        "kv_bytes_per_token": None,
        "output_tokens": None,
        "phase": {"kind": "infer", "batch": batch},
        "warnings": [],
    }
