"""Screens a whole space by the closed forms of the bound, many designs at once.

Designs that differ in rates alone share a plan: it is made once, and the forms of
`system.bound_rates` are evaluated over arrays with one element a design, the same operations in the
same order as for one design. Some designs are always computed one by one as well and compared;
where they differ, all are. What tiles decide (`metrics.memory_peak_bytes`) is not screened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

import numpy as np
from numpy.typing import NDArray

from archsim.core.errors import ArchsimError
from archsim.dse.combine import adds_up
from archsim.dse.evaluate import evaluate
from archsim.dse.point import Outcome, Task
from archsim.dse.screen_floor import FLOOR
from archsim.dse.screen_group import Group, grouped

UNSCREENED = "metrics.memory_peak_bytes."
CHECKS = 8  # designs, at most, that are computed one by one as well
SHARE = 50  # of so many designs one is


@dataclass
class Screened:
    """Answers of the bound for many designs.

    Attributes:
        tasks: of fidelity bound, in their order.
        columns: by metric, [designs]; not a number where a design has no answer. Beside metrics,
            the least energy in J: see `screen_floor`.
        groups: designs that share a plan.
        note: why nothing was screened, and all are computed one by one; empty where it was.
        slow: answers that were computed one by one, by design.
    """

    tasks: Sequence[Task]
    columns: Mapping[str, NDArray[np.float64]]
    groups: Sequence[Group]
    note: str = ""
    slow: dict[int, Outcome] = field(default_factory=dict)

    def metrics(self, path: str) -> NDArray[np.float64]:
        """A metric of every design, [designs]; not a number where a design has none."""
        if self.note:
            every = (self.outcome(i).metrics.get(path, np.nan) for i in range(len(self.tasks)))
            return np.fromiter(every, dtype=np.float64, count=len(self.tasks))
        missing = np.full(len(self.tasks), np.nan)
        return self.columns.get(path, missing)

    def outcome(self, number: int) -> Outcome:
        """What came of one design, without the text of a result."""
        if self.note or np.isnan(self.columns["time_ps"][number]):
            return self._alone(number)
        task = self.tasks[number]
        alone = len(task.workloads) == 1 and task.weights[0] == 1
        metrics = {
            path: int(value)
            if path.endswith("_ps") and (alone or not adds_up(path))
            else float(value)
            for path, column in self.columns.items()
            if path != FLOOR and not np.isnan(value := column[number])
        }
        return Outcome(task.key, "ok", metrics)

    def _alone(self, number: int) -> Outcome:
        """A design computed by itself; those that do not fit for the same reason are alike."""
        task = self.tasks[number]
        group = next((g for g in self.groups if not self.note and number in g), None)
        first = group.refused_as(number) if group else number
        if first not in self.slow:
            self.slow[first] = _screenable(evaluate(self.tasks[first]))
        return replace(self.slow[first], key=task.key)


def screen(tasks: Sequence[Task], seed: int = 0, checks: int | None = None) -> Screened:
    """The bound of many designs.

    Args:
        tasks: of fidelity bound.
        seed: of which designs are computed one by one as well.
        checks: how many, beside the fastest and the slowest. Default: one of fifty, at most eight.
    """
    columns: dict[str, NDArray[np.float64]] = {}
    try:
        groups = grouped(tasks)
        for group in groups:
            for path, values in group.columns().items():
                column = columns.setdefault(path, np.full(len(tasks), np.nan))
                column[group.at] = values
    except (ArchsimError, OverflowError) as error:
        return Screened(tasks, {}, [], f"closed forms over many designs do not hold: {error}")
    found = Screened(tasks, columns, groups)
    count = min(len(tasks) // SHARE, CHECKS) if checks is None else checks
    for number in sorted(_drawn(found, seed, count)):
        alone, here = _screenable(evaluate(tasks[number])), found.outcome(number)
        if (alone.status, alone.metrics) != (here.status, here.metrics):
            shown = tasks[number].settings
            return Screened(tasks, {}, [], f"closed forms over many designs differ at {shown}")
    return found


def _drawn(found: Screened, seed: int, checks: int) -> set[int]:
    """Designs to compare: the fastest, the slowest, and some by chance."""
    time_ps, count = found.columns.get("time_ps", np.array([])), len(found.tasks)
    drawn = set(Random(seed).sample(range(count), min(count, checks)))
    if np.isnan(time_ps).all():
        return drawn
    return drawn | {int(np.nanargmin(time_ps)), int(np.nanargmax(time_ps))}


def _screenable(outcome: Outcome) -> Outcome:
    """An answer without what tiles decide, and without texts."""
    kept = {k: v for k, v in outcome.metrics.items() if not k.startswith(UNSCREENED)}
    return replace(outcome, metrics=kept, results=(), wall_s=0.0)
