"""Plans that a machine could follow where nobody gave one, the most promising first.

Whether a model can be divided so is said in `resolve`, which tries them.
"""

from __future__ import annotations

from collections.abc import Iterator

from archsim.ir.parallel import AXES, Axis, ParallelPlan
from archsim.parallel.limits import legal
from archsim.parallel.refusal import divisors
from archsim.parallel.shape import Shape


def proposals(shape: Shape, devices: int) -> Iterator[ParallelPlan]:
    """Tensor and copies of the model first, then those with a third axis.

    As many ways of tensor as can be, of what is left as many copies; the third axis is `context`
    in prompts, whose tokens it shares, and otherwise `pipeline`, which leaves each device fewer
    layers; the other one follows.
    """
    prompts = not shape.trains and shape.tokens > shape.batch
    thirds: tuple[Axis, ...] = ("context", "pipeline") if prompts else ("pipeline", "context")
    pairs = [(t, d) for t in tensor_ways(shape, devices) for d in _copies(shape, devices // t)]
    for tensor, data in pairs:
        if tensor * data == devices:
            yield ParallelPlan(tensor=tensor, data=data)
    for axis in thirds:
        for tensor, data in pairs:
            if tensor * data < devices:
                ways = {"tensor": tensor, "data": data, axis: devices // tensor // data}
                yield ParallelPlan.model_validate(ways)


def tensor_ways(shape: Shape, devices: int) -> list[int]:
    """Ways of the tensor axis that divide devices and model, descending."""
    ways = [n for n in legal(shape) if devices % n == 0] or [1]
    if shape.trains:
        ways = [n for n in ways if shape.kv_heads % n == 0] or [1]
    return ways[::-1]


def _copies(shape: Shape, devices: int) -> list[int]:
    return [n for n in reversed(divisors(devices)) if shape.batch % n == 0]


def spoken(plan: ParallelPlan) -> str:
    """The ways of a plan as a description gives them: `tensor: 8, data: 2`."""
    found = [f"{axis}: {plan.ways(axis)}" for axis in AXES if plan.ways(axis) > 1]
    return ", ".join(found) or "tensor: 1"
