"""A plan with nothing left open, or why there is none: what divides what.

How a plan is carried out is said in the passes; each may rely on what is refused here.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from math import gcd, lcm

from archsim.core.errors import InputError
from archsim.ir.graph import OpGraph
from archsim.ir.parallel import AXES, ParallelPlan
from archsim.parallel.batch import alike
from archsim.parallel.layouts import check_gathered, with_dims
from archsim.parallel.limits import check_context, check_experts, check_tensor
from archsim.parallel.proposals import proposals, spoken, tensor_ways
from archsim.parallel.refusal import divisors, listed, refused
from archsim.parallel.shape import Shape
from archsim.parallel.tensor_columns import check_led

SEVERAL = "networks that run at once, and stream graphs, are of one device"
ONE_DEVICE = "a machine without a network between chips"


def resolve(plan: ParallelPlan | None, graph: OpGraph, devices: int) -> ParallelPlan:
    """A plan for a graph on so many devices, every number given.

    Args:
        plan: the user's; without one, tensor parallelism as far as heads and widths divide, and
            copies with their share of the batch beyond that; where both do not reach, parts of
            prompts or stages of layers too.
        graph: of the whole model.
        devices: of the machine.

    Raises:
        InputError: E203, with the values that are legal.
    """
    shape = Shape.of(graph)
    if plan is None and devices == 1:
        plan = ParallelPlan()
    if plan is None:
        chosen = next(legal_plans(shape, graph, devices), None)
        if chosen is None:
            raise _none(shape, graph, devices)
        return chosen
    if plan.devices != devices:
        raise _other(plan, shape, graph, devices)
    return _settled(plan, shape, graph)


def legal_plans(shape: Shape, graph: OpGraph, devices: int) -> Iterator[ParallelPlan]:
    """Plans that divide a graph over so many devices, the default one first."""
    for plan in proposals(shape, devices):
        try:
            found = _settled(plan, shape, graph)
        except InputError:
            continue
        yield found


def _settled(plan: ParallelPlan, shape: Shape, graph: OpGraph) -> ParallelPlan:
    """A plan with every number given, of which the machine has as many devices.

    Raises:
        InputError: E203, with the values that are legal.
    """
    if plan.devices > 1 and _several(graph):
        raise refused(SEVERAL, ONE_DEVICE)
    check_experts(plan, shape)
    check_context(plan, shape, graph)
    _batch(plan, shape)
    plan = _micro(with_dims(plan, shape, graph), shape)
    check_led(plan, shape, graph)
    check_tensor(plan, shape)
    check_gathered(plan, shape)
    _uneven(plan, shape, graph)
    _pipeline(plan, shape, graph)
    return plan


def _several(graph: OpGraph) -> bool:
    return len(graph.networks) > 1 or any(op.stream for _, op in graph.ops())


def _other(plan: ParallelPlan, shape: Shape, graph: OpGraph, devices: int) -> InputError:
    """A plan of more or fewer devices than the machine has."""
    used = [axis for axis in AXES if plan.ways(axis) > 1]
    ways = " x ".join(f"{axis} {plan.ways(axis)}" for axis in used)
    known = [spoken(p) for p in islice(legal_plans(shape, graph, devices), 3)]
    return refused(
        f"the parallel plan takes {plan.devices} devices ({ways or 'tensor 1'}), "
        f"and the machine has {devices}",
        f"the product of {', '.join(AXES)} must be {devices}"
        + (f", such as {' or '.join(f'{{{text}}}' for text in known)}" if known else ""),
        used[0] if len(used) == 1 else "",
    )


def _none(shape: Shape, graph: OpGraph, devices: int) -> InputError:
    """No plan at all for so many devices."""
    if _several(graph):
        return refused(SEVERAL, ONE_DEVICE)
    heads = f"neither {shape.heads} heads nor {shape.batch} sequences"
    what = heads if shape.heads else f"no batch of {shape.batch}, and there are no heads"
    ways = devices // tensor_ways(shape, devices)[0]
    return refused(
        f"no plan was given, and {devices} devices divide {what}",
        f"a batch that is a multiple of {ways}, or fewer devices",
    )


def _batch(plan: ParallelPlan, shape: Shape) -> None:
    """Shares of the batch."""
    ways = plan.data * plan.expert
    if shape.batch % ways:
        raise refused(
            f"data x expert: {ways} does not divide {shape.batch} sequences",
            f"data x expert: {listed(divisors(shape.batch))}",
            "data" if plan.data > 1 else "expert",
        )


def _micro(plan: ParallelPlan, shape: Shape) -> ParallelPlan:
    """A plan that says how many microbatches there are."""
    batch = shape.batch // (plan.data * plan.expert)
    micro = plan.microbatches
    if micro is None and shape.tokens == shape.batch and not shape.trains:
        micro = 1  # a step of decode: weights are then read once
    if micro is None:  # as many as stages, as far as what is left can be shared further
        part = plan.layout.removeprefix("gathered_")
        needs = plan.ways(f"tensor.{part}") if plan.layout.startswith("gathered") else 1
        if plan.attention == "batch" and plan.tensor > 1:
            needs = lcm(needs, plan.tensor)
        per = shape.tokens // shape.batch if shape.batch else 1
        if plan.sequence:
            needs = lcm(needs, plan.tensor // gcd(plan.tensor, per))
        known = [n for n in divisors(batch) if n <= plan.pipeline and batch // n % needs == 0]
        micro = max(known, default=1)
    if micro > batch or batch % micro:
        raise refused(f"microbatches: {micro} does not divide {batch} sequences",
                      f"microbatches: {listed(divisors(batch))}")  # fmt: skip
    return plan.model_copy(update={"microbatches": micro})


def _uneven(plan: ParallelPlan, shape: Shape, graph: OpGraph) -> None:
    """Sequences that differ can be dealt to copies, and to nothing that must be alike."""
    shares = plan.data * plan.expert * (plan.microbatches or 1)
    further = plan.tensor if plan.attention == "batch" or plan.layout.startswith("g") else 1
    parts = [op.name for _, op in graph.ops() if op.name.endswith("attn.join")]
    several = shape.parts > 1 and shares * further > plan.expert
    if several or (parts and shares * further > 1):
        raise refused(
            "steps of several parts are divided by tensor, expert and pipeline alone, and sequences"
            " with a common prefix not by expert either, in one microbatch",
            "data: 1, microbatches: 1",
        )
    if (plan.microbatches or 1) * further > 1 and not alike(graph, shares * further, shape.batch):
        raise refused(
            "sequences of these lengths cannot be dealt out evenly",
            "microbatches: 1, attention: heads, or lengths that come in equal numbers",
        )


def _pipeline(plan: ParallelPlan, shape: Shape, graph: OpGraph) -> None:
    """Layers for every stage, microbatches for an order that takes them in groups."""
    micro = plan.microbatches or 1
    layers = dict(shape.layers)
    units = sum(block.count for block in graph.blocks if block.name in layers)
    weaves = plan.schedule == "interleaved" and shape.trains
    parts = plan.virtual_stages if weaves else 1
    if plan.pipeline > 1:
        if plan.pipeline * parts > units:
            what = f"pipeline: {plan.pipeline}" + (f" x virtual_stages: {parts}" if weaves else "")
            raise refused(f"{what} exceeds the {units} layers that can be dealt out",
                          f"a product of {units} at most")  # fmt: skip
        if any("@" in block.name for block in graph.blocks):
            raise refused("pipeline: stages run one step of a phase, and this one has several",
                          "phase.steps: 1")  # fmt: skip
    if weaves and micro % plan.pipeline:
        known = [n for n in divisors(shape.batch // plan.data) if n % plan.pipeline == 0]
        raise refused(f"schedule: interleaved takes microbatches in groups of {plan.pipeline}, "
                      f"and there are {micro}",
                      f"microbatches: {listed(known) or 'a larger batch'}")  # fmt: skip
