"""A parallel plan: how a model is divided over devices, as a description that users write.

What a plan does to an op graph is in the room `parallel`; which links its axes use, in `system`.
"""

from __future__ import annotations

from math import prod
from typing import Annotated, Literal

from pydantic import Field, field_validator

from archsim.core.spec import PositiveInt, Spec, problem

Axis = Literal["tensor", "context", "expert", "data", "pipeline"]
AXES: tuple[Axis, ...] = ("tensor", "context", "expert", "data", "pipeline")
KIND = "kind"  # the axis of devices of unlike kinds that do the work of one together
_ALL = ", ".join(AXES)

Ways = Annotated[int, Field(ge=1, le=65_536)]


class ParallelPlan(Spec):
    """How many ways each axis divides the work, and how. Their product is the number of devices."""

    tensor: Ways = 1
    """Devices that share each matrix: heads of attention, and columns or rows of the others."""

    layout: Literal["1d", "2d", "columns", "gathered_x", "gathered_xy", "gathered_xyz"] = "1d"
    """How feed-forward matrices are shared over the tensor axis: by columns, then rows (`1d`), by
    both at once (`2d`), or with weights gathered before use over a part of the axis or all of it
    (Pope et al., MLSys 2023, section 3.2); or every matrix by columns, with all else on the first
    device (`columns`: Gu et al., CENT, ASPLOS 2025)."""

    tensor_dims: tuple[PositiveInt, ...] | None = Field(default=None, examples=[[4, 4, 4]])
    """Devices along each dimension of the tensor axis, nearest first, for layouts that tell these
    apart. Default: for `2d`, two that move the fewest bytes; for others, three as even as can
    be."""

    attention: Literal["heads", "batch"] = "heads"
    """How attention is shared over the tensor axis: by heads, or by sequences."""

    experts: Literal["shared", "sliced", "dealt"] = "shared"
    """How experts are divided over the tensor axis: each one's matrices shared by all its devices;
    shared, where tokens for other places of the expert axis are sent a slice by each device and
    gathered behind (Singh et al., ICS 2023, section 5.1, drop copies likewise); or whole experts
    dealt out, which the all-reduce behind them adds up (more devices than experts share each
    between some)."""

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
    or as sequences where they are fewer; 1 in decode, where each part reads all weights again."""

    schedule: Literal["gpipe", "1f1b", "interleaved"] = "1f1b"
    """Order of microbatches in training; an inference step has one order, forward."""

    virtual_stages: PositiveInt = 1
    """Parts of each stage under `interleaved`: more, smaller bubbles, and more messages."""

    overlap_chunks: PositiveInt = 1
    """Parts into which a product and the collective behind it are cut, so that one part is on its
    way while the next is computed."""

    order: tuple[Axis, ...] = AXES
    """All axes from nearest to furthest: devices of the first have consecutive numbers."""

    @field_validator("order")
    @classmethod
    def _all_axes(cls, order: tuple[Axis, ...]) -> tuple[Axis, ...]:
        """Each axis once: devices are numbered along all of them."""
        if sorted(order) != sorted(AXES):
            raise problem("E203", "order names each axis once", f"a permutation of {_ALL}")
        return order

    def ways(self, axis: str) -> int:
        """Devices along an axis, or along a part of it, such as `tensor.yz`."""
        whole, _, part = axis.partition(".")
        if part:
            return prod(n for _, n in self._dims(part))
        ways: int = getattr(self, whole)
        return ways

    def _dims(self, part: str) -> list[tuple[int, int]]:
        """Stride inside the tensor axis and devices of each dimension that a part names."""
        dims = self.tensor_dims or (self.tensor,)
        return [
            (prod(dims[:i]), n) for i, (letter, n) in enumerate(zip("xyz", dims, strict=False))
            if letter in part
        ]  # fmt: skip

    @property
    def devices(self) -> int:
        """Devices of the whole plan."""
        return prod(self.ways(axis) for axis in AXES)

    @property
    def of_a_kind(self) -> int:
        """Devices with consecutive numbers that have the same parts: all, but for several kinds."""
        return self.devices

    def groups(self, axis: str) -> tuple[tuple[int, ...], ...]:
        """Numbers of the devices of each group along an axis or a part of it, in order along it."""
        whole, _, part = axis.partition(".")
        before = list(self.order[: [str(a) for a in self.order].index(whole)])
        stride = prod(self.ways(a) for a in before)
        dims = self._dims(part) if part else [(1, self.ways(whole))]
        steps = [0]
        for inner, ways in dims:
            steps = [step + i * inner * stride for i in range(ways) for step in steps]
        firsts = (
            d
            for d in range(self.devices)
            if all((d // (stride * inner)) % ways == 0 for inner, ways in dims)
        )
        return tuple(tuple(first + step for step in steps) for first in firsts)


class PlanOfKinds(ParallelPlan):
    """A plan each of whose devices is several: one of each kind, with its own part of the ops.

    Those of the first kind have the lowest numbers, then come those of the next, in the same order.
    """

    kinds: PositiveInt = 1
    """Kinds of devices of the machine."""

    def ways(self, axis: str) -> int:
        """Devices along an axis; of `kind` one of each."""
        return self.kinds if axis == KIND else super().ways(axis)

    def of_one_kind(self) -> ParallelPlan:
        """The plan of the devices of one kind, as users give it."""
        return ParallelPlan(**{key: value for key, value in self if key != "kinds"})

    @property
    def of_a_kind(self) -> int:
        """Devices of each kind."""
        return super().devices

    @property
    def devices(self) -> int:
        """Devices of all kinds."""
        return self.kinds * self.of_a_kind

    def groups(self, axis: str) -> tuple[tuple[int, ...], ...]:
        """Groups along an axis, in every kind; along `kind` those that share one device's ops."""
        if axis != KIND:
            return super().groups(axis)
        firsts = range(self.of_a_kind)
        return tuple(tuple(range(d, self.devices, self.of_a_kind)) for d in firsts)
