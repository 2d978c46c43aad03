"""Dimensions of the tensor axis, for layouts that tell them apart."""

from __future__ import annotations

from math import prod

from archsim.ir.graph import OpGraph
from archsim.ir.parallel import ParallelPlan
from archsim.parallel.limits import LATENT
from archsim.parallel.refusal import divisors, refused
from archsim.parallel.shape import Shape


def with_dims(plan: ParallelPlan, shape: Shape, graph: OpGraph) -> ParallelPlan:
    """A plan whose layout has the dimensions of its tensor axis."""
    if plan.layout in ("1d", "columns"):
        if plan.tensor_dims is not None:
            raise refused("tensor_dims is of layouts that tell dimensions apart, and 1d does not",
                          "layout: 2d, gathered_x, gathered_xy or gathered_xyz")  # fmt: skip
        return plan
    if plan.layout == "2d" and plan.attention == "heads" and (
        shape.kv_heads > 1 and shape.kv_heads % plan.tensor
    ):  # fmt: skip
        raise refused(f"layout: 2d: tensor: {plan.tensor} does not divide {shape.kv_heads} heads "
                      "of keys", "attention: batch")  # fmt: skip
    if shape.experts or shape.trains or (shape.kv_heads != 1 and shape.vocab == 0):
        raise refused(f"layout: {plan.layout} is of decoders with dense feed-forward parts",
                      "layout: 1d")  # fmt: skip
    if plan.layout == "2d" and not _plain(graph):
        raise refused(
            "layout: 2d is of models without latent keys and without norms behind a product",
            "layout: 1d",
        )
    if plan.sequence and plan.layout == "2d":
        raise refused("sequence: 2d deals the residual stream out by width, not by tokens",
                      "sequence: false")  # fmt: skip
    dims = plan.tensor_dims or (
        _square(plan.tensor, shape) if plan.layout == "2d" else _cube(plan.tensor)
    )
    if prod(dims) != plan.tensor or len(dims) > 3:
        raise refused(f"tensor_dims: {list(dims)} are not the dimensions of tensor: {plan.tensor}",
                      f"three numbers at most whose product is {plan.tensor}")  # fmt: skip
    return plan.model_copy(update={"tensor_dims": dims})


def _plain(graph: OpGraph) -> bool:
    """Whether what products yield goes to a sum, heads of keys are stored, and no norm is late."""
    made = {
        a.tensor for _, op in graph.ops() if op.op_class in ("out_proj", "ffn") for a in op.writes
    }
    late = any(op.op_class == "norm" and op.reads[0].tensor in made for _, op in graph.ops())
    latent = any(op.op_class == "qkv_proj" and op.name.endswith(LATENT) for _, op in graph.ops())
    return not late and not latent


def check_gathered(plan: ParallelPlan, shape: Shape) -> None:
    """Sequences for every device that gathers weights."""
    if plan.layout in ("1d", "2d", "columns"):
        return
    part = plan.ways("tensor." + plan.layout.removeprefix("gathered_"))
    batch = shape.batch // (plan.data * plan.expert * (plan.microbatches or 1))
    if batch % part:
        raise refused(
            f"layout: {plan.layout} deals {batch} sequences out over {part} devices",
            f"a batch that is a multiple of {part}",
        )


def _square(ways: int, shape: Shape) -> tuple[int, int]:
    """Two dimensions that move the fewest elements: E / x + F / yz of each token."""
    ratio = max(shape.ffn, default=4) / max(shape.width, 1)
    x = min(divisors(ways), key=lambda n: (1 / n + ratio * n / ways, n))
    return x, ways // x


def _cube(ways: int) -> tuple[int, int, int]:
    """Three dimensions as even as can be."""
    pairs = ((x, y, ways // x // y) for x in divisors(ways) for y in divisors(ways // x))
    return min(pairs, key=lambda dims: (max(dims) - min(dims), dims))
