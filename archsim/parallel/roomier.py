"""What to say where a plan that nobody gave does not fit memory: the plan, and a roomier one."""

from __future__ import annotations

from archsim.core.errors import Infeasible
from archsim.ir.parallel import AXES
from archsim.ir.partition import Partition
from archsim.parallel.proposals import spoken
from archsim.parallel.resolve import legal_plans
from archsim.parallel.shape import Shape


def with_roomier(error: Infeasible, divided: Partition) -> Infeasible:
    """The error with the plan that was chosen and, if there is one, a plan with smaller shares.

    Smaller are those of weights, which tensor and pipeline divide; whether they fit is not tried.
    """
    graph, plan = divided.whole, divided.plan
    message = f"{error.message}, as the default plan ({spoken(plan)}) divides it"
    found = list(legal_plans(Shape.of(graph), graph, plan.of_a_kind))
    best = max(found, key=lambda p: p.tensor * p.pipeline, default=plan)
    helps = error.help
    if best.tensor * best.pipeline > plan.tensor * plan.pipeline:
        sets = " ".join(
            f"--set workload.parallel.{axis}={best.ways(axis)}"
            for axis in AXES if best.ways(axis) > 1
        )  # fmt: skip
        helps = f"less on each device with {sets}; {helps}"
    return Infeasible(message, code=error.code, help=helps, details=error.details)
