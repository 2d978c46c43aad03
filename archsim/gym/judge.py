"""How good a design is beside another: what agents see of it, and their reward.

Ratios are powers of two, so that twice as good counts as much as half as good costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log2
from typing import TYPE_CHECKING

from archsim.core.errors import InputError
from archsim.dse.constraint import Constraint
from archsim.dse.metric import closest
from archsim.dse.objective import Objective
from archsim.dse.plan import Plan
from archsim.dse.point import Outcome
from archsim.gym.asker import Asker
from archsim.gym.spec import GymSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

LIMIT = 8.0
"""Largest power of two of a ratio that is told apart: 256 times."""


@dataclass(frozen=True)
class Judge:
    """What counts in a design.

    Attributes:
        base: metrics of the design that others are measured against.
        observed: metrics that agents see.
        weighted: objectives with their weights, whose sum is one.
        constraints: what a design must keep.
        penalty: what no answer costs.
    """

    base: Mapping[str, float]
    observed: Sequence[str]
    weighted: Sequence[tuple[Objective, float]]
    constraints: Sequence[Constraint]
    penalty: float

    def seen(self, outcome: Outcome) -> list[float]:
        """Observed metrics as powers of two of the base's, within +-LIMIT; 0 where one lacks."""
        if outcome.status != "ok":
            return [0.0] * len(self.observed)
        return [
            ratio(outcome.metrics[name], self.base.get(name, 0.0))
            if name in outcome.metrics else 0.0
            for name in self.observed
        ]  # fmt: skip

    def violations(self, outcome: Outcome) -> list[float]:
        """By how much each constraint is broken, relative to its limit; none without an answer."""
        if outcome.status != "ok":
            return []
        return [limit.violation(outcome.metrics) for limit in self.constraints]

    def kept(self, outcome: Outcome) -> bool:
        """Whether there is an answer that keeps every constraint."""
        return outcome.status == "ok" and not any(v > 0 for v in self.violations(outcome))

    def reward(self, outcome: Outcome) -> float:
        """Weighted mean of how many times better objectives are, as powers of two.

        Broken constraints cost the penalty times how far they are broken, once at most; without an
        answer, or without one of the objectives, the penalty is all. No reward is below it.
        """
        lacking = any(one.metric not in outcome.metrics for one, weight in self.weighted if weight)
        if outcome.status != "ok" or lacking:
            return -self.penalty
        gained = sum(
            -one.sign * weight * ratio(outcome.metrics[one.metric], self.base[one.metric])
            for one, weight in self.weighted
            if weight
        )
        broken = min(1.0, sum(self.violations(outcome)))
        return max(gained - self.penalty * broken, -self.penalty)


def ratio(value: float, base: float) -> float:
    """log2 of a ratio within +-LIMIT; of what is not above zero, the difference."""
    found = log2(value / base) if value > 0 and base > 0 else float(value - base)
    return min(max(found, -LIMIT), LIMIT)


def judge(spec: GymSpec, plan: Plan, asker: Asker) -> Judge:
    """The judge of an environment; runs the design that others are measured against.

    Raises:
        ArchsimError: where that design gives no answer.
        InputError: E701 for metrics that runs do not have.
    """
    base = asker.described(spec.against)
    objectives = [one.metric for one in plan.spec.objectives]
    for name in spec.weights:
        if name not in objectives:
            raise InputError(
                f'weights name "{name}", which is no objective of the study',
                code="E701",
                help=f"its objectives are {', '.join(objectives)}",
                details={"path": "weights"},
            )
    for name in spec.observe:
        if name not in base:
            close = closest(name, base)
            raise InputError(
                f'observe names "{name}", which a run at fidelity {plan.spec.fidelity} '
                "does not have",
                code="E701",
                help=f'did you mean "{close}"?' if close else "see `archsim list metrics`",
                details={"path": "observe"},
            )
    limits = [name for limit in plan.constraints for name in limit.metrics]
    weights = [spec.weights.get(name, 0.0 if spec.weights else 1.0) for name in objectives]
    total = sum(weights)
    return Judge(
        base,
        tuple(spec.observe) or tuple(dict.fromkeys([*objectives, *limits])),
        [(one, w / total) for one, w in zip(plan.spec.objectives, weights, strict=True)],
        plan.constraints,
        spec.penalty,
    )
