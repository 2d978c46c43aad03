"""An ONNX model as plain data: nodes, shapes, and which tensors are weights.

Every extent is a number, shape arithmetic is gone, and so are the weights' values. How it is read
from a file is in `onnx_import`; what the nodes cost is said by the handlers beside this file.
"""

from __future__ import annotations

from math import prod
from typing import Annotated, Literal

from pydantic import Field

from archsim.core.spec import Spec
from archsim.lowering.phase import Count, Several

Attribute = int | float | str | tuple[int, ...] | tuple[float, ...] | tuple[str, ...]


class Node(Spec):
    """One node of the model."""

    name: str = Field(min_length=1)
    """Its name, or that of its first result where it has none; unique."""

    op: str
    """Operator; one of another domain than ONNX's own carries it, as `com.microsoft.Attention`."""

    inputs: tuple[str, ...]
    """Tensors read, in the operator's order; an optional one that is absent is empty."""

    outputs: tuple[str, ...]
    """Tensors written."""

    attributes: dict[str, Attribute] = {}
    """Attributes that the file gives."""


class Data(Spec):
    """What is known of a tensor."""

    shape: tuple[Count, ...]
    """Extents; none is a single number."""

    role: Literal["weight", "activation", "index"]
    """What it is to the model; `weight` is all that is known before the run."""

    value: float | None = None
    """The number itself, where it is a constant of one element."""

    @property
    def elements(self) -> int:
        """Number of elements."""
        return prod(self.shape)


class Onnx(Spec):
    """An ONNX model without its weights' values."""

    architecture: Literal["onnx"] = "onnx"
    """Which builder reads these numbers."""

    opset: Annotated[int, Field(ge=1)]
    """Version of ONNX's own operators."""

    parameters: Annotated[int, Field(ge=0)]
    """Elements of the floating-point weights in the file, running statistics not counted."""

    nodes: Several[Node]
    """Nodes in order."""

    tensors: dict[str, Data]
    """Every tensor that a node names."""

    results: tuple[str, ...] = ()
    """Tensors that the model gives back."""
