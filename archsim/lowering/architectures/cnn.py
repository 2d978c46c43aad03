"""A convolutional network as blocks of ops: convolutions, pooling, residual bottlenecks, a head.

A batch norm is folded into the weights and the bias of its convolution, as it is for inference.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from archsim.core.spec import Spec, problem
from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Access, Op, Window
from archsim.lowering.architectures.base import Architecture
from archsim.lowering.convolution import Geometry, Image, convolve, pair
from archsim.lowering.parts import Parts
from archsim.lowering.phase import AnyPhase, Count, DTypes, Infer, Several

Padding = Annotated[int, Field(ge=0, le=1_000_000)]


class Conv(Spec):
    """A convolution, its batch norm and its activation."""

    kind: Literal["conv"]
    """Which layer this is."""

    name: str
    """Name of the op."""

    out_channels: Count
    """Filters."""

    kernel: Count | tuple[Count, Count]
    """Height and width of a filter."""

    stride: Count | tuple[Count, Count] = 1
    """Step of the window."""

    padding: Padding | tuple[Padding, Padding] = 0
    """Zeros around the input."""

    dilation: Count | tuple[Count, Count] = 1
    """Distance between the taps."""

    groups: Count | Literal["depthwise"] = 1
    """Groups of channels; `depthwise` is one for each input channel."""

    batch_norm: bool = True
    """A batch norm follows; without one the convolution has a bias of its own."""

    activation: Literal["relu", "none"] = "relu"
    """Activation that follows."""


class Pool(Spec):
    """Maximum or average over windows."""

    kind: Literal["pool"]
    """Which layer this is."""

    name: str
    """Name of the op."""

    mode: Literal["max", "average"] = "max"
    """What is taken of a window."""

    kernel: Count | tuple[Count, Count]
    """Height and width of the window."""

    stride: Count | tuple[Count, Count] = 1
    """Step of the window."""

    padding: Padding | tuple[Padding, Padding] = 0
    """Room around the input that counts for nothing."""


class Bottleneck(Spec):
    """Residual blocks of 1x1, 3x3 and 1x1 convolutions; the first one changes the shape."""

    kind: Literal["bottleneck"]
    """Which layer this is."""

    name: str
    """Beginning of the names of its blocks."""

    width: Count
    """Channels between the 1x1 convolutions."""

    out_channels: Count
    """Channels of the result."""

    count: Count = 1
    """Blocks."""

    stride: Count = 1
    """Step of the first block's 3x3 convolution and of its shortcut."""


class GlobalPool(Spec):
    """Average of each channel."""

    kind: Literal["global_pool"]
    """Which layer this is."""

    name: str
    """Name of the op."""


class Linear(Spec):
    """A dense layer with a bias."""

    kind: Literal["linear"]
    """Which layer this is."""

    name: str
    """Name of the op."""

    out_features: Count
    """Width of the result."""


AnyLayer = Conv | Pool | Bottleneck | GlobalPool | Linear


class Cnn(Spec):
    """A convolutional network as a list of layers, each reading the one before."""

    architecture: Literal["cnn"] = "cnn"
    """Which builder reads these numbers."""

    input: tuple[Count, Count, Count]
    """Channels, height and width of one input."""

    layers: Several[Annotated[AnyLayer, Field(discriminator="kind")]]
    """Layers in order; each has a name of its own."""

    @model_validator(mode="after")
    def _named(self) -> Self:
        twice = [name for name, n in Counter(x.name for x in self.layers).items() if n > 1]
        if twice:
            raise problem("E002", f'layer "{twice[0]}" is given twice')
        return self


class CnnBuilder(Architecture):
    """Walks the layers and cuts them into blocks where residual bottlenecks repeat."""

    kind = "cnn"
    Spec = Cnn

    spec: Cnn

    def blocks(self, phase: AnyPhase, parts: Parts) -> tuple[Block, ...]:
        """One block a run of plain layers, two a bottleneck: its first, and the repeating ones."""
        assert isinstance(phase, Infer)
        walk = _Walk(parts, self.spec, phase.batch)
        for layer in self.spec.layers:
            walk.add(layer)
        walk.close()
        return tuple(walk.blocks)

    def facts(self, graph: OpGraph, phase: AnyPhase, dtypes: DTypes) -> dict[str, Any]:
        """Parameters as checkpoints have them: batch norm has two a filter, of which one folds."""
        found = super().facts(graph, phase, dtypes)
        return {**found, "parameters": found["parameters"] + self._folded()}

    def _folded(self) -> int:
        """Filters with a batch norm: their scales vanish in the weights."""
        total = 0
        for layer in self.spec.layers:
            if isinstance(layer, Conv) and layer.batch_norm:
                total += layer.out_channels
            elif isinstance(layer, Bottleneck):
                total += layer.count * (2 * layer.width + layer.out_channels) + layer.out_channels
        return total


class _Walk:
    def __init__(self, parts: Parts, model: Cnn, batch: int) -> None:
        self.p, self.batch = parts, batch
        self.here = Image(parts.tensor("input", (batch, *model.input)), *model.input)
        self.ops: list[Op] = []
        self.blocks: list[Block] = []
        self.scope = ""

    def close(
        self, name: str = "", count: int = 1, carry: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """End a block; plain ones are named after their first op."""
        if self.ops:
            self.blocks.append(Block(name or self.ops[0].name, count, tuple(self.ops), carry))
            self.ops = []

    def add(self, layer: AnyLayer) -> None:
        """Append one layer."""
        if isinstance(layer, Conv):
            self.conv(layer)
        elif isinstance(layer, Pool):
            self.pool(layer)
        elif isinstance(layer, Bottleneck):
            self.bottleneck(layer)
        elif isinstance(layer, GlobalPool):
            self.global_pool(layer.name)
        else:
            self.linear(layer.name, layer.out_features)

    def conv(self, c: Conv) -> None:
        """Convolution, bias, activation."""
        groups = self.here.channels if c.groups == "depthwise" else c.groups
        geometry = Geometry(
            c.out_channels, pair(c.kernel), pair(c.stride), pair(c.padding), pair(c.dilation),
            groups,
        )  # fmt: skip
        op, self.here = convolve(
            self.p, c.name, self.here, geometry, self.batch, bias=True, scope=self.scope
        )
        self.ops.append(op)
        if c.activation != "none":
            self.pointwise(f"{c.name}.{c.activation}", [self.here.at], c.activation)

    def pointwise(self, name: str, reads: list[Access], *forms: str) -> None:
        """An activation, or an addition and an activation, on maps of the present shape."""
        points = self.here.channels * self.here.height * self.here.width
        shape = self.p.tensors[self.here.at.tensor].shape
        out = self.p.tensor(f"{self.scope}{name}.out", shape)
        size = (self.batch, points)
        self.ops.append(self.p.vector(name, "activation", reads, [out], size, *forms))
        self.here = replace(self.here, at=out)

    def pool(self, layer: Pool) -> None:
        """Each output point takes its whole window."""
        kernel, here = pair(layer.kernel), self.here
        window = Geometry(here.channels, kernel, pair(layer.stride), pair(layer.padding))
        high, wide = window.fit(layer.name, here)
        out = self.p.tensor(f"{layer.name}.out", (self.batch, here.channels, high, wide))
        rows, taps = self.batch * here.channels * high * wide, kernel[0] * kernel[1]
        source = Access(here.at.tensor, (), window.touched(layer.name, here, self.batch))
        whole = Window(window.stride, (1, 1), window.pad, here.size)
        op = self.p.vector(layer.name, "pool", [source], [out], (rows, taps), window=whole)
        op.primitives["max" if layer.mode == "max" else "add"] = 1
        if layer.mode == "average":
            op.row_primitives["mul"] = 1
        self.ops.append(op)
        self.here = Image(out, here.channels, high, wide)

    def bottleneck(self, b: Bottleneck) -> None:
        """The first block projects its shortcut; the others repeat with the plain one."""
        self.close()
        self._residual(b, f"{b.name}.0.", b.stride, project=True)
        self.close(f"{b.name}.0")
        if b.count > 1:
            first = self.here.at.tensor
            self._residual(b, f"{b.name}.n.", 1, project=False)
            self.close(f"{b.name}.n", b.count - 1, ((first, self.here.at.tensor),))

    def _residual(self, b: Bottleneck, scope: str, stride: int, *, project: bool) -> None:
        source, self.scope = self.here, scope

        def conv(name: str, filters: int, taps: int, step: int, activation: Any) -> None:
            fields = {"out_channels": filters, "kernel": taps, "stride": step}
            fields |= {"padding": taps // 2, "activation": activation}
            self.conv(Conv.model_validate({"kind": "conv", "name": name, **fields}))

        conv("reduce", b.width, 1, 1, "relu")
        conv("spatial", b.width, 3, stride, "relu")
        if project:
            main, self.here = self.here, source
            conv("shortcut", b.out_channels, 1, stride, "none")
            source, self.here = self.here, main
        conv("expand", b.out_channels, 1, 1, "none")
        self.pointwise("add", [self.here.at, source.at], "add", "relu")
        self.scope = ""

    def global_pool(self, name: str) -> None:
        """One row a channel, reduced over its pixels."""
        here = self.here
        out = self.p.tensor(f"{name}.out", (self.batch, here.channels))
        rows = (self.batch * here.channels, here.height * here.width)
        op = self.p.vector(name, "pool", [here.at], [out], rows, "add")
        op.row_primitives["mul"] = 1
        self.ops.append(op)
        self.here = Image(out, here.channels, 1, 1)

    def linear(self, name: str, features: int) -> None:
        """Reads the map as one row an input."""
        wide = self.here.channels * self.here.height * self.here.width
        out = self.p.tensor(f"{name}.out", (self.batch, features))
        size = (self.batch, features, wide)
        self.ops.append(self.p.linear(name, "fc", self.here.at, out, size, bias=True))
        self.here = Image(out, features, 1, 1)
