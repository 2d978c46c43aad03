"""A list of independent layers, as SCALE-Sim runs them: inputs are given, results are stored."""

from __future__ import annotations

from collections import Counter
from typing import Literal, Self

from pydantic import model_validator

from archsim.core.spec import Spec, problem
from archsim.ir.graph import Block
from archsim.ir.op import Op
from archsim.lowering.architectures.base import Architecture
from archsim.lowering.convolution import Geometry, Image, convolve
from archsim.lowering.parts import Parts
from archsim.lowering.phase import AnyPhase, Count, Infer, Several


class GemmRow(Spec):
    """A product of m x k and k x n."""

    name: str = "layer"
    """Name of the layer."""

    m: Count
    """Rows of the result."""

    n: Count
    """Columns of the result."""

    k: Count
    """Length of the reduction."""


class ConvRow(Spec):
    """A convolution without padding: the input's size includes it."""

    name: str = "layer"
    """Name of the layer."""

    ifmap_height: Count
    """Input height."""

    ifmap_width: Count
    """Input width."""

    filter_height: Count
    """Filter height."""

    filter_width: Count
    """Filter width."""

    channels: Count
    """Input channels."""

    num_filter: Count
    """Filters."""

    strides: Count
    """Step of the window, over both axes where there is no second one."""

    strides_w: Count | None = None
    """Step along the width."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        misfit = self.geometry().misfit(self.channels, (self.ifmap_height, self.ifmap_width))
        if misfit:
            raise problem("E107", f"{self.name}: {misfit}")
        return self

    def geometry(self) -> Geometry:
        """SCALE-Sim's output size is ceil((in - filter + stride) / stride) along each axis."""
        kernel = (self.filter_height, self.filter_width)
        stride = (self.strides, self.strides_w or self.strides)
        return Geometry(self.num_filter, kernel, stride, ceil=True)


class Layers(Spec):
    """The rows of a SCALE-Sim topology."""

    architecture: Literal["layers"] = "layers"
    """Which builder reads these numbers."""

    layers: Several[GemmRow | ConvRow]
    """Layers in order; none reads another's result."""


class LayersBuilder(Architecture):
    """One op a row, in one block."""

    kind = "layers"
    Spec = Layers

    spec: Layers

    @property
    def default_dtypes(self) -> tuple[str, str]:
        """SCALE-Sim counts words of one size, partial sums too; its default word is a byte."""
        return "int8", "int8"

    def blocks(self, phase: AnyPhase, parts: Parts) -> tuple[Block, ...]:
        """Inputs of a batch are further rows of a product, further images of a convolution."""
        assert isinstance(phase, Infer)
        ops, seen = [], Counter[str]()
        for row in self.spec.layers:
            seen[row.name] += 1
            name = row.name if seen[row.name] == 1 else f"{row.name}#{seen[row.name]}"
            if isinstance(row, GemmRow):
                ops.append(_gemm(parts, name, row, phase.batch))
            else:
                ops.append(_conv(parts, name, row, phase.batch))
        return (Block("layers", 1, tuple(ops)),)


def _gemm(p: Parts, name: str, row: GemmRow, batch: int) -> Op:
    m = batch * row.m
    source, out = p.tensor(f"{name}.in", (m, row.k)), p.tensor(f"{name}.out", (m, row.n))
    return p.linear(name, "gemm", source, out, (m, row.n, row.k))


def _conv(p: Parts, name: str, row: ConvRow, batch: int) -> Op:
    size = (row.channels, row.ifmap_height, row.ifmap_width)
    source = Image(p.tensor(f"{name}.in", (batch, *size)), *size)
    return convolve(p, name, source, row.geometry(), batch)[0]
