"""The walk over a convolutional network's layers, each reading the one before, to blocks of ops."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from archsim.core.errors import InputError
from archsim.ir.graph import Block
from archsim.ir.op import Access, Op, dims
from archsim.lowering.architectures._cnn_layers import (
    AnyLayer,
    Bottleneck,
    Conv,
    GlobalPool,
    Inverted,
    Pool,
    Repeating,
    Separable,
    Squeeze,
)
from archsim.lowering.convolution import Geometry, Image, convolve, pair, pool_op
from archsim.lowering.parts import Parts

FORMS = {
    "relu": ("relu",),
    "relu6": ("relu", "relu"),  # min(max(x, 0), 6) is two comparisons
    "hard_swish": ("hard_swish",),
}


def split_evenly(name: str, channels: int, parts: int) -> int:
    """Channels of each of so many equal parts.

    Raises:
        InputError: E107 where they do not come out even.
    """
    if channels % parts:
        raise InputError(f"{name}: {channels} channels do not divide by {parts}", code="E107")
    return channels // parts


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
            self.activate(layer.name, layer.activation)

    def conv(self, c: Conv) -> None:
        """Convolution, bias, activation."""
        if c.split != "none":
            self.split(c)
            return
        groups = c.groups
        if groups == "depthwise":
            groups = split_evenly(c.name, self.here.channels, c.group_width)
        geometry = Geometry(
            c.out_channels, pair(c.kernel), pair(c.stride), pair(c.padding), pair(c.dilation),
            groups,
        )  # fmt: skip
        op, self.here = convolve(
            self.p, c.name, self.here, geometry, self.batch, bias=True, scope=self.scope
        )
        self.ops.append(op)
        self.norms += c.batch_norm * c.out_channels
        self.activate(c.name, c.activation)

    def activate(self, name: str, activation: str) -> None:
        """What follows a layer, if anything does."""
        if activation != "none":
            self.pointwise(f"{name}.{activation}", [self.here.at], *FORMS[activation])

    def split(self, c: Conv) -> None:
        """One-dimensional filters along rows and along columns, then what joins their maps.

        The activation reads both maps and writes one; without one, their bytes are moved together.
        """
        source, (high, wide), pad = self.here, pair(c.kernel), pair(c.padding)
        half = c.split == "half"
        channels = split_evenly(c.name, source.channels, 2) if half else source.channels
        made = []
        for name, kernel, padding, first in (
            (f"{c.name}.row", (1, wide), (0, pad[1]), 0),
            (f"{c.name}.column", (high, 1), (pad[0], 0), channels if half else 0),
        ):
            part = replace(source, channels=channels, first=first, whole=not half)
            geometry = Geometry(channels, kernel, pair(c.stride), padding, pair(c.dilation),
                                channels)  # fmt: skip
            op, out = convolve(
                self.p, name, part, geometry, self.batch, bias=True, scope=self.scope
            )
            self.ops.append(op)
            self.norms += c.batch_norm * channels
            made.append(out)
        if made[0].size != made[1].size:
            sizes = " and ".join(f"{x.height} x {x.width}" for x in made)
            raise InputError(f"{c.name}: row and column filters give maps of {sizes}", code="E107")
        self._join(c, made)

    def _join(self, c: Conv, made: list[Image]) -> None:
        """One map of the channels of several."""
        first = made[0]
        channels = sum(image.channels for image in made)
        joined = self.p.tensor(
            f"{self.scope}{c.name}.joined", (self.batch, channels, first.height, first.width)
        )
        maps = [image.at for image in made]
        size = (self.batch, channels * first.height * first.width)
        if c.activation == "none":
            op = self.p.move(f"{c.name}.join", "concat", maps, [joined], size)
        else:
            name, forms = f"{c.name}.{c.activation}", FORMS[c.activation]
            reads = self.p.side_by_side(maps, self.batch)
            op = self.p.vector(name, "activation", reads, [joined], size, *forms)
        self.ops.append(op)
        self.here = Image(joined, channels, first.height, first.width)

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
            self._depthwise(layer, stride)
            self._plain("pointwise", layer.out_channels, 1, 1, layer.activation)
        else:
            self._inverted(layer, stride)
        self.scope = ""

    def _plain(
        self, name: str, filters: int, taps: int, stride: int, activation: str, **more: Any
    ) -> None:
        """A convolution that keeps height and width but for its stride."""
        fields: dict[str, Any] = {"kind": "conv", "name": name, "activation": activation}
        fields |= {"out_channels": filters, "kernel": taps, "stride": stride, "padding": taps // 2}
        self.conv(Conv.model_validate(fields | more))

    def _depthwise(self, layer: Separable | Inverted, stride: int) -> None:
        """The filters on each channel, as the layer changes them."""
        changed = {"split": layer.split, "group_width": layer.group_width}
        self._plain(
            "depthwise", self.here.channels, layer.kernel, stride, layer.activation,
            groups="depthwise", **changed,
        )  # fmt: skip

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
        hidden = b.hidden or (b.expand or 6) * source.channels
        if b.expand != 1:
            self._plain("expand", hidden, 1, 1, b.activation)
        self._depthwise(b, stride)
        if b.squeeze:
            self._squeeze(b.squeeze)
        self._plain("project", b.out_channels, 1, 1, "none")
        if (stride, b.out_channels) == (1, source.channels):
            self.pointwise("add", [self.here.at, source.at], "add")

    def _squeeze(self, s: Squeeze) -> None:
        """Means of all channels, two dense layers, and each channel times what they say."""
        here = self.here
        self.global_pool("squeeze.mean")
        self.linear("squeeze.reduce", s.width(here.channels), bias=s.bias)
        self.activate("squeeze.reduce", "relu")
        self.linear("squeeze.expand", here.channels, bias=s.bias)
        scales = self.here
        self.pointwise("squeeze.scales", [scales.at], "hard_sigmoid")
        by = Access(self.here.at.tensor, dims("M"))
        self.here = here
        shape = self.p.tensors[here.at.tensor].shape
        out = self.p.tensor(f"{self.scope}squeeze.out", shape)
        size = (self.batch * here.channels, here.height * here.width)
        self.ops.append(self.p.vector("squeeze", "activation", [here.at, by], [out], size, "mul"))
        self.here = replace(here, at=out)

    def global_pool(self, name: str) -> None:
        """One row a channel, reduced over its pixels."""
        here = self.here
        out = self.p.tensor(f"{self.scope}{name}.out", (self.batch, here.channels))
        rows = (self.batch * here.channels, here.height * here.width)
        op = self.p.vector(name, "pool", [here.at], [out], rows, "add")
        op.row_primitives["mul"] = 1
        self.ops.append(op)
        self.here = Image(out, here.channels, 1, 1)

    def linear(self, name: str, features: int, *, bias: bool = True) -> None:
        """Reads the map as one row an input."""
        wide = self.here.channels * self.here.height * self.here.width
        out = self.p.tensor(f"{self.scope}{name}.out", (self.batch, features))
        size = (self.batch, features, wide)
        scoped = self.p.scope(self.scope, "", {})  # its weights, and not the op's name
        self.ops.append(scoped.linear(name, "fc", self.here.at, out, size, bias=bias))
        self.here = Image(out, features, 1, 1)
