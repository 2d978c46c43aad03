"""Constraints that no design of a study can keep, told before the first one is simulated.

The closed forms of the bound give a floor of time and of energy, and areas exactly, for every
design that will be asked for. Where even the best floor breaks a constraint, nothing is run. A
space without end, or one whose designs need many plans, is not proven anything about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from archsim.core.errors import ArchsimError, Diagnostic, InputError
from archsim.core.units import format_si
from archsim.dse.constraint import Constraint
from archsim.dse.plan import Plan
from archsim.report.formulas import unit_of

MOST_DESIGNS = 20_000
MOST_PLANS = 64  # that the closed forms are asked for
FLOORS = {
    "metrics.time_s": "metrics.time_s",
    "time_ps": "time_ps",
    "metrics.energy_j.total": "bound.energy_j",
}
"""Metrics of a run, and what is never larger among those of its bound."""
EXACT = ("metrics.area_mm2.", "bound_ps", "bound.")  # the same at every fidelity


def refuse_hopeless(plan: Plan) -> None:
    """Refuse constraints that every design breaks.

    Raises:
        InputError: E704 with the constraint and the best that the bound allows.
    """
    limits = [(i, one) for i, one in enumerate(plan.constraints) if _decidable(one)]
    designs = _designs(plan) if limits else []
    if not designs:
        return
    columns = _floors(plan, designs)
    if columns is None:
        return
    found = [
        said for i, limit in limits if (said := _refused(plan, i, limit, columns, designs))
    ]  # fmt: skip
    if found:
        raise InputError.of(found)


def _decidable(limit: Constraint) -> bool:
    """Whether floors can show that a constraint is broken."""
    exact = all(name.startswith(EXACT) for name in limit.metrics)
    floored = all(name in FLOORS or name.startswith(EXACT) for name in limit.metrics)
    return exact or (floored and not limit.least and all(n >= 0 for n, _ in limit.terms))


def _designs(plan: Plan) -> list[Mapping[str, Any]]:
    """Every design that may be asked for; none where they are not known or too many."""
    sampler = plan.sampler()
    if not sampler.adaptive and sampler.total <= MOST_DESIGNS:
        return [sampler.ask(number) for number in range(sampler.total)]
    if plan.space.size is not None and plan.space.size <= MOST_DESIGNS:
        return [plan.space.numbered(number) for number in range(plan.space.size)]
    return []


def _floors(plan: Plan, designs: Sequence[Mapping[str, Any]]) -> Any:
    """Metrics of the bound by path, [designs]; None where they are not to be had at once."""
    from archsim.dse.screen import screen
    from archsim.dse.screen_group import grouped

    tasks = [plan.task(settings, "bound") for settings in designs]
    try:
        if len(grouped(tasks)) > MOST_PLANS:
            return None
        screened = screen(tasks, plan.spec.seed)
    except ArchsimError:
        return None  # some design is refused where it is described: running them will tell
    return None if screened.note else screened.columns


def _refused(
    plan: Plan,
    number: int,
    limit: Constraint,
    columns: Mapping[str, Any],
    designs: Sequence[Mapping[str, Any]],
) -> Diagnostic | None:
    """The mistake that a constraint is; None where some design may keep it."""
    import numpy as np

    total: Any = 0.0
    for factor, names in limit.terms:
        term: Any = factor
        for name in names:
            column = columns.get(FLOORS.get(name, name))
            if column is None:
                return None
            term = term * column
        total = total + term
    values = np.asarray(total)
    if np.isnan(values).all():
        return None
    at = int(np.nanargmax(values) if limit.least else np.nanargmin(values))
    best = float(values[at])
    metrics = limit.metrics
    if limit.excess(best) == 0:
        return None
    unit = unit_of(metrics[0]) if len(limit.terms) == len(limit.terms[0][1]) == 1 else ""
    shown = format_si(best, unit) if unit in ("s", "J") else f"{best:.4g} {unit}".rstrip()
    settings = ", ".join(f"{path}={value}" for path, value in designs[at].items())
    most = "most" if limit.least else "least"
    message = (
        f'constraint "{limit.text}" cannot be met: the {most} of {len(designs)} designs is {shown}'
    )
    help_text = f"by the closed forms of the bound, at {settings}"
    return plan.document.diagnostic(("constraints", number), "E704", message, help=help_text)
