"""A parallel plan: how a model is divided over devices, as a description that users write.

What a plan does to an op graph is in the room `parallel`; which links its axes use, in `system`.
"""

from __future__ import annotations

from math import prod
from typing import Annotated, Literal

from pydantic import Field

from archsim.core.spec import PositiveInt, Spec

Axis = Literal["tensor", "context", "expert", "data", "pipeline"]
AXES: tuple[Axis, ...] = ("tensor", "context", "expert", "data", "pipeline")

Ways = Annotated[int, Field(ge=1, le=65_536)]


class ParallelPlan(Spec):
    """How many ways each axis divides the work, and how. Their product is the number of devices."""

    tensor: Ways = 1
    """Devices that share each matrix: heads of attention, and columns or rows of the others."""

    layout: Literal["1d", "2d", "gathered_x", "gathered_xy", "gathered_xyz"] = "1d"
    """How feed-forward matrices are shared over the tensor axis: by columns, then rows (`1d`), by
    both at once (`2d`), or with weights gathered before use over a part of the axis or all of it
    (Pope et al., MLSys 2023, section 3.2)."""

    attention: Literal["heads", "batch"] = "heads"
    """How attention is shared over the tensor axis: by heads, or by sequences."""

    sequence: bool = False
    """Whether norms and residuals are shared along tokens over the tensor axis: a reduce-scatter
    and an all-gather in place of each all-reduce."""

    context: Ways = 1
    """Devices that share the tokens of each sequence; in decode, its cached keys and values."""

    context_kind: Literal["ring", "striped", "all_gather"] = "ring"
    """How keys and values reach the other tokens of a sequence: passed round while attention goes
    on, in contiguous parts or in stripes (causal work is then even), or gathered first."""

    expert: Ways = 1
    """Devices over which experts are dealt, whole; elsewhere each holds its share of the batch."""

    capacity_factor: Annotated[float, Field(ge=1.0)] | None = None
    """Most tokens that an expert takes, over an even share; others are dropped. Default: none is
    dropped."""

    shadow_experts: Annotated[int, Field(ge=0)] = 0
    """Experts with most tokens that every device of the expert axis holds too."""

    data: Ways = 1
    """Copies of the model, each with its share of the batch."""

    pipeline: Ways = 1
    """Stages of consecutive layers."""

    microbatches: PositiveInt | None = None
    """Parts of the batch that follow each other through the stages. Default: as many as stages,
    or as sequences where they are fewer."""

    schedule: Literal["gpipe", "1f1b", "interleaved"] = "1f1b"
    """Order of microbatches in training; an inference step has one order, forward."""

    virtual_stages: PositiveInt = 1
    """Parts of each stage under `interleaved`: more, smaller bubbles, and more messages."""

    overlap_chunks: PositiveInt = 1
    """Parts into which a product and the collective behind it are cut, so that one part is on its
    way while the next is computed."""

    order: tuple[Axis, ...] = AXES
    """Axes from nearest to furthest: devices of the first have consecutive numbers."""

    def ways(self, axis: str) -> int:
        """Devices along an axis."""
        ways: int = getattr(self, axis)
        return ways

    @property
    def devices(self) -> int:
        """Devices of the whole plan."""
        return prod(self.ways(axis) for axis in AXES)

    def groups(self, axis: str) -> tuple[tuple[int, ...], ...]:
        """Numbers of the devices of each group along an axis, in order along it."""
        stride = prod(self.ways(a) for a in self.order[: self.order.index(axis)])
        ways = self.ways(axis)
        firsts = (d for d in range(self.devices) if (d // stride) % ways == 0)
        return tuple(tuple(first + i * stride for i in range(ways)) for first in firsts)
