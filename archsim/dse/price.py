"""What the designs of a study cost in time, told by a few of them.

One by one, that is the time of the machine as it is described, or of the first design that runs
where that one does not; at the bound, the share of one design in a batch over arrays.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from archsim.dse.evaluate import evaluate
from archsim.dse.plan import Plan
from archsim.dse.screen import screen

TRIED = 4  # designs, where the described machine does not run
TOGETHER = 64  # designs at the bound


@dataclass(frozen=True)
class Price:
    """The time of one design.

    Attributes:
        wall_s: on one core; None where no design that was tried runs.
        note: why the described machine does not run; empty where it does.
    """

    wall_s: float | None
    note: str = ""


def price(plan: Plan, fidelity: str) -> Price:
    """The time of one design at a fidelity.

    Raises:
        InputError: E701 for objectives and constraints on numbers that runs do not have.
    """
    note = ""
    for settings in chain([{}], _first(plan, TRIED)):
        task = plan.task(settings, fidelity)
        outcome = evaluate(task)  # what is read once is read
        if outcome.status == "ok":
            plan.check_names(outcome.metrics, fidelity)
            wall_s = _together_s(plan) if fidelity == "bound" else evaluate(task).wall_s
            return Price(wall_s, note)
        if not note:
            said = outcome.error or {}
            note = f"the machine as described is {outcome.status}: {said.get('message', '')}"
    return Price(None, note)


def _together_s(plan: Plan) -> float:
    """Seconds of one design of the first batch, answered over arrays."""
    tasks = [plan.task(settings, "bound") for settings in _first(plan, TOGETHER)]
    began = time.perf_counter()
    screened = screen(tasks, plan.spec.seed)
    for i in range(len(tasks)):
        screened.outcome(i)
    return (time.perf_counter() - began) / len(tasks)


def _first(plan: Plan, count: int) -> Iterator[Mapping[str, Any]]:
    """The first designs that a study asks for, before it hears of any."""
    sampler = plan.sampler()
    for number in range(min(count, sampler.batch, sampler.total)):
        yield sampler.ask(number)
