"""The walk over a convolutional network's layers, each reading the one before, to blocks of ops."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from archsim.ir.graph import Block
from archsim.ir.op import Access, Op
from archsim.lowering.architectures._cnn_layers import (
    AnyLayer,
    Bottleneck,
    Conv,
    GlobalPool,
    Inverted,
    Pool,
    Repeating,
    Separable,
)
from archsim.lowering.convolution import Geometry, Image, convolve, pair, pool_op
from archsim.lowering.parts import Parts

FORMS = {"relu": ("relu",), "relu6": ("relu", "relu")}  # min(max(x, 0), 6) is two comparisons


class Walk:
    """Ops of the layers before, the map that they end in, and the blocks that are complete."""

    def __init__(self, parts: Parts, size: tuple[int, int, int], batch: int) -> None:
        self.p, self.batch = parts, batch
        self.here = Image(parts.tensor("input", (batch, *size)), *size)
        self.norms = 0  # filters with a batch norm: their scales vanish in the weights
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
        elif isinstance(layer, Repeating):
            self.repeat(layer)
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
        self.norms += c.batch_norm * c.out_channels
        if c.activation != "none":
            self.pointwise(f"{c.name}.{c.activation}", [self.here.at], *FORMS[c.activation])

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
        here = self.here
        window = Geometry(
            here.channels, pair(layer.kernel), pair(layer.stride), pair(layer.padding)
        )
        high, wide = window.fit(layer.name, here)
        out = self.p.tensor(f"{layer.name}.out", (self.batch, here.channels, high, wide))
        average = layer.mode == "average"
        self.ops.append(pool_op(self.p, layer.name, here, out, window, self.batch, average=average))
        self.here = Image(out, here.channels, high, wide)

    def repeat(self, layer: Repeating) -> None:
        """The first block may change the shape; the others keep it and repeat."""
        self.close()
        self._unit(layer, f"{layer.name}.0.", first=True)
        self.close(f"{layer.name}.0")
        if layer.count > 1:
            first, norms = self.here.at.tensor, self.norms
            self._unit(layer, f"{layer.name}.n.", first=False)
            self.norms += (layer.count - 2) * (self.norms - norms)
            carry = ((first, self.here.at.tensor),)
            self.close(f"{layer.name}.n", layer.count - 1, carry)

    def _unit(self, layer: Repeating, scope: str, *, first: bool) -> None:
        self.scope = scope
        stride = layer.stride if first else 1
        if isinstance(layer, Bottleneck):
            self._bottleneck(layer, stride, project=first)
        elif isinstance(layer, Separable):
            self._plain("depthwise", "depthwise", 3, stride, layer.activation)
            self._plain("pointwise", layer.out_channels, 1, 1, layer.activation)
        else:
            self._inverted(layer, stride)
        self.scope = ""

    def _plain(
        self, name: str, filters: int | str, taps: int, stride: int, activation: str
    ) -> None:
        """A convolution that keeps height and width but for its stride."""
        fields: dict[str, Any] = {"kind": "conv", "name": name, "activation": activation}
        if filters == "depthwise":
            fields |= {"groups": filters, "out_channels": self.here.channels}
        else:
            fields |= {"out_channels": filters}
        fields |= {"kernel": taps, "stride": stride, "padding": taps // 2}
        self.conv(Conv.model_validate(fields))

    def _bottleneck(self, b: Bottleneck, stride: int, *, project: bool) -> None:
        source = self.here
        self._plain("reduce", b.width, 1, 1, "relu")
        self._plain("spatial", b.width, 3, stride, "relu")
        if project:
            main, self.here = self.here, source
            self._plain("shortcut", b.out_channels, 1, stride, "none")
            source, self.here = self.here, main
        self._plain("expand", b.out_channels, 1, 1, "none")
        self.pointwise("add", [self.here.at, source.at], "add", "relu")

    def _inverted(self, b: Inverted, stride: int) -> None:
        source = self.here
        if b.expand > 1:
            self._plain("expand", b.expand * source.channels, 1, 1, b.activation)
        self._plain("depthwise", "depthwise", 3, stride, b.activation)
        self._plain("project", b.out_channels, 1, 1, "none")
        if (stride, b.out_channels) == (1, source.channels):
            self.pointwise("add", [self.here.at, source.at], "add")

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
