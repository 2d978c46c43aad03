"""Sliding windows as ops, convolutions and pools: output size, accesses, input elements reached."""

from __future__ import annotations

from dataclasses import dataclass, replace

from archsim.core.errors import InputError
from archsim.ir.op import Access, Dim, Kind, Op, Window, dims
from archsim.ir.reuse import touched_axis
from archsim.lowering.parts import Parts

Pair = tuple[int, int]


def pair(value: int | Pair) -> Pair:
    """One number for height and width alike, or both."""
    return (value, value) if isinstance(value, int) else value


@dataclass(frozen=True)
class Image:
    """A feature map, or some channels of one in a row: its tensor, channels, height and width."""

    at: Access
    channels: int
    height: int
    width: int
    first: int = 0  # channel of the tensor that this one begins with
    whole: bool = True  # False for some of the tensor's channels

    @property
    def size(self) -> Pair:
        """Height and width."""
        return self.height, self.width


@dataclass(frozen=True)
class Geometry:
    """Filters and how they slide; `ceil` also counts windows that stick out at the far edge."""

    filters: int
    kernel: Pair
    stride: Pair = (1, 1)
    pad: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    ceil: bool = False
    pad_end: Pair | None = None  # behind the last row and column; as before the first where None

    def out(self, size: Pair) -> Pair:
        """Output height and width; not positive where the window does not fit."""
        high, wide = (self._axis(size[i], i) for i in (0, 1))
        return high, wide

    def _axis(self, size: int, i: int) -> int:
        padded = size + self.pad[i] + (self.pad_end or self.pad)[i]
        room = padded - self.dilation[i] * (self.kernel[i] - 1) - 1
        if room < 0:
            return 0
        return (-(-room // self.stride[i]) if self.ceil else room // self.stride[i]) + 1

    def fit(self, name: str, source: Image) -> Pair:
        """Output size.

        Raises:
            InputError: E107 when a window does not fit the image, or groups do not divide it.
        """
        misfit = self.misfit(source.channels, source.size)
        if misfit:
            raise InputError(f"{name}: {misfit}", code="E107")
        return self.out(source.size)

    def misfit(self, channels: int, size: Pair) -> str | None:
        """Why a window does not fit an image, or groups do not divide its channels."""
        if min(self.out(size)) < 1:
            window, image = (f"{x[0]} x {x[1]}" for x in (self.kernel, size))
            return f"a window of {window} does not fit an input of {image}"
        if channels % self.groups or self.filters % self.groups:
            both = f"{channels} channels and {self.filters} filters"
            return f"{self.groups} groups do not divide {both}"
        return None

    def touched(self, name: str, source: Image, batch: int) -> int | None:
        """Distinct input elements that the windows reach; None where that is the whole tensor.

        Raises:
            InputError: E107 when padding is all that they reach.
        """
        size, reached = self.out(source.size), []
        for i in (0, 1):
            of = (size[i], self.stride[i], self.kernel[i], self.dilation[i], self.pad[i])
            reached.append(touched_axis(*of, source.size[i]))
        if tuple(reached) == source.size and source.whole:
            return None
        if min(reached) == 0:
            raise InputError(f"{name}: its windows reach nothing but padding", code="E107")
        return batch * source.channels * reached[0] * reached[1]


def conv_op(
    name: str,
    source: Image,
    weight: Access,
    out: Access,
    g: Geometry,
    batch: int,
    bias: Access | None = None,
) -> Op:
    """The op of a convolution between tensors that exist.

    Raises:
        InputError: as `Geometry.fit` and `Geometry.touched`.
    """
    high, wide = g.fit(name, source)
    touched = g.touched(name, source, batch)
    inner, outer = source.channels // g.groups, g.filters // g.groups
    filters = Dim((("G", outer), ("OC", 1)))
    slide = tuple(
        Dim(((f"O{a}", g.stride[i]), (f"F{a}", g.dilation[i])), -g.pad[i])
        for i, a in enumerate("HW")
    )
    channels = Dim((("G", inner), ("IC", 1)), source.first)
    reads = [
        Access(source.at.tensor, (*dims("B"), channels, *slide), touched),
        Access(weight.tensor, dims("G", "OC", "IC", "FH", "FW")),
    ]
    if bias:
        reads.append(Access(bias.tensor, (filters,)))
    written = Access(out.tensor, (*dims("B"), filters, *dims("OH", "OW")))
    ranks = {
        "B": batch, "G": g.groups, "OH": high, "OW": wide,
        "OC": outer, "IC": inner, "FH": g.kernel[0], "FW": g.kernel[1],
    }  # fmt: skip
    window = Window(g.stride, g.dilation, g.pad, source.size)
    return Op(name, Kind.CONV, "conv", ranks, tuple(reads), (written,), window=window)


def convolve(
    p: Parts,
    name: str,
    source: Image,
    g: Geometry,
    batch: int,
    *,
    bias: bool = False,
    scope: str = "",
) -> tuple[Op, Image]:
    """The op of a convolution and the map it makes; tensors are named after scope and op.

    Raises:
        InputError: as `Geometry.fit` and `Geometry.touched`.
    """
    high, wide = g.fit(name, source)
    inner, outer = source.channels // g.groups, g.filters // g.groups
    weight = p.weight(f"{scope}{name}.weight", g.groups, outer, inner, *g.kernel)
    out = p.tensor(f"{scope}{name}.out", (batch, g.filters, high, wide))
    start = p.weight(f"{scope}{name}.bias", g.filters) if bias else None
    op = conv_op(name, source, weight, out, g, batch, start)
    return op, Image(out, g.filters, high, wide)


def pool_op(
    p: Parts, name: str, source: Image, out: Access, g: Geometry, batch: int, *, average: bool
) -> Op:
    """A maximum or an average over windows: each output point takes its whole window.

    Raises:
        InputError: as `Geometry.fit` and `Geometry.touched`.
    """
    high, wide = g.fit(name, source)
    rows, taps = batch * source.channels * high * wide, g.kernel[0] * g.kernel[1]
    reads = [Access(source.at.tensor, (), g.touched(name, source, batch))]
    whole = Window(g.stride, g.dilation, g.pad, source.size)
    op = p.vector(name, "pool", reads, [out], (rows, taps), window=whole)
    if average:
        return replace(op, primitives={"add": 1}, row_primitives={"mul": 1})
    return replace(op, primitives={"max": 1})
