"""A graph that has its collectives already: every device runs the whole of it, as it is written.

Graphs without any are divided by the passes.
"""

from __future__ import annotations

from archsim.core.errors import InputError
from archsim.ir.graph import OpGraph
from archsim.ir.parallel import ParallelPlan
from archsim.ir.partition import Partition, Share


def written(graph: OpGraph, plan: ParallelPlan | None, devices: int) -> Partition | None:
    """One class of all devices; None for a graph without collectives.

    Args:
        graph: of one device.
        plan: the user's; without one, all devices are along the first axis that an op names.
        devices: of the machine.

    Raises:
        InputError: E203 where the plan, the machine and an op's own number differ.
    """
    ops = [(f"{block.name}/{op.name}", op.collective) for block, op in graph.ops() if op.collective]
    if not ops:
        return None
    if plan is None:
        plan = ParallelPlan.model_validate({ops[0][1].axis: devices})
    if plan.devices != devices:
        message = f"the plan has {plan.devices} devices, and the machine {devices}"
        raise InputError(message, code="E203", help=f"a plan whose ways multiply to {devices}")
    for path, collective in ops:
        axis, ways = collective.axis, plan.ways(collective.axis)
        if ways != collective.devices:
            message = f"{path} is among {collective.devices} devices, and {axis} has {ways}"
            raise InputError(message, code="E203", help=f"parallel.{axis}: {collective.devices}")
    return Partition(plan, (Share("", tuple(range(devices)), graph),), graph)
