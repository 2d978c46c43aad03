"""Constraints that no design of a study can keep, told before the first one is simulated.

The closed forms of the bound give a floor of time and of energy, and areas exactly, for every
design that will be asked for. Where even the best floor breaks a constraint, nothing is run. Of a
space without end, or one whose designs need many plans, the corners are asked and some designs
drawn between them: a limit that the best of these breaks is taken for one that all break. Nothing
is told where corners are too many, or some of them do not fit their memories.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from random import Random
from typing import Any

import numpy as np

from archsim.core.errors import ArchsimError, Diagnostic, InputError
from archsim.core.units import format_si
from archsim.dse.constraint import Constraint
from archsim.dse.dimension import Dimension
from archsim.dse.plan import Plan
from archsim.dse.screen import screen
from archsim.dse.screen_group import grouped
from archsim.report.formulas import unit_of

MOST_DESIGNS = 20_000
MOST_PLANS = 64  # that the closed forms are asked for
FEW_PLANS = 16  # where designs beside the corners need more
MOST_CORNERS = 4096
DRAWN = 256  # designs between the corners
FLOORS = {
    "metrics.time_s": "metrics.time_s",
    "time_ps": "time_ps",
    "metrics.energy_j.total": "bound.energy_j",
}
"""Metrics of a run, and what is never larger among those of its bound."""
EXACT = ("metrics.area_mm2.", "bound_ps", "bound.")  # the same at every fidelity


@dataclass(frozen=True)
class Floors:
    """What the bound says of designs.

    Attributes:
        designs: settings of each.
        columns: metrics of the bound by path, [designs]; not a number where one does not fit.
        where: which designs these are, where they are not all that there are.
    """

    designs: Sequence[Mapping[str, Any]]
    columns: Mapping[str, Any]
    where: str = ""


def refuse_hopeless(plan: Plan) -> None:
    """Refuse constraints that every design breaks.

    Raises:
        InputError: E704 with the constraint and the best that the bound allows.
    """
    limits = [(i, one) for i, one in enumerate(plan.constraints) if _decidable(one)]
    floors = (_of_all(plan) or _of_corners(plan)) if limits else None
    if floors is None:
        return
    found = [said for i, limit in limits if (said := _refused(plan, i, limit, floors))]
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


def _of_all(plan: Plan) -> Floors | None:
    """Floors of every design that may be asked for; None where they are not to be had at once."""
    designs = _designs(plan)
    return _floors(plan, designs, len(designs)) if designs else None


def _of_corners(plan: Plan) -> Floors | None:
    """Floors at the ends of all ranges and at some designs between; None where one is not known."""
    values = [_ends(d) for d in plan.space.dimensions]
    if not values or prod(map(len, values)) > MOST_CORNERS:
        return None
    corners = [plan.space.settings(one) for one in product(*values)]
    chance = Random(plan.spec.seed)
    drawn = [plan.space.at([chance.random() for _ in values]) for _ in range(DRAWN)]
    floors = _floors(plan, [*corners, *drawn], len(corners))
    if floors is None or np.isnan(floors.columns["time_ps"][: len(corners)]).any():
        return None  # the best that fits may lie at no corner
    return Floors(floors.designs, floors.columns, " at the ends of all ranges and between")


def _ends(dimension: Dimension) -> tuple[Any, ...]:
    """Values of a dimension that are corners: both ends, or all words."""
    if dimension.levels is None:
        return (dimension.at(0.0), dimension.at(1.0))
    if not dimension.ordered:
        return dimension.levels
    return tuple(dict.fromkeys((dimension.levels[0], dimension.levels[-1])))


def _floors(plan: Plan, designs: Sequence[Mapping[str, Any]], needed: int) -> Floors | None:
    """Floors of the first designs, and of so many others as do not need too many plans."""
    tasks = [plan.task(settings, "bound") for settings in designs]
    try:
        groups = sorted(grouped(tasks), key=lambda group: int(group.at[0]))
        own = sum(int(group.at[0]) < needed for group in groups)
        if own > MOST_PLANS:
            return None
        asked = sorted(int(at) for group in groups[: max(own, FEW_PLANS)] for at in group.at)
        screened = screen([tasks[i] for i in asked], plan.spec.seed)
    except ArchsimError:
        return None  # some design is refused where it is described: running them will tell
    return None if screened.note else Floors([designs[i] for i in asked], screened.columns)


def _refused(
    plan: Plan,
    number: int,
    limit: Constraint,
    floors: Floors,
) -> Diagnostic | None:
    """The mistake that a constraint is; None where some design may keep it."""
    total: Any = 0.0
    for factor, names in limit.terms:
        term: Any = factor
        for name in names:
            column = floors.columns.get(FLOORS.get(name, name))
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
    settings = ", ".join(f"{path}={value}" for path, value in floors.designs[at].items())
    most = "most" if limit.least else "least"
    among = f"{len(floors.designs)} designs{floors.where}"
    message = f'constraint "{limit.text}" cannot be met: the {most} of {among} is {shown}'
    help_text = f"by the closed forms of the bound, at {settings}"
    return plan.document.diagnostic(("constraints", number), "E704", message, help=help_text)
