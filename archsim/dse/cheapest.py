"""The cheapest change that makes a machine a tenth faster: the least of each resource that does.

Every gain is that of a machine which was simulated. Costs are added area where the energy table
models it, else how far the setting moves; a change of one resource is preferred to one of two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any, Final

from archsim.dse.asking import Machine
from archsim.dse.point import Outcome
from archsim.dse.resources import Resource, Value

GAIN: Final = 1.10  # times as fast
FACTORS: Final = (1.0, 1.25, 2.0, 4.0)  # of a resource; beyond, it is another machine
STEPS: Final = 16  # factors between two of these: neighbours are 1.4 to 4.4 % apart
LEAST: Final = 0.02  # elasticity: a fourfold of less gains 3 %
PAIRED: Final = 5  # resources of which pairs are made
AREA: Final = "metrics.area_mm2.total"

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """Resources turned together, each its own way: 1 for more of it, -1 for less."""

    turned: tuple[tuple[Resource, int], ...]

    def values(self, factor: float) -> list[tuple[Resource, Value, float]] | None:
        """Resources, their values and amounts at a factor; None where one has no step there."""
        found = []
        for one, way in self.turned:
            value = one.times(factor**way)
            if value is None:
                return None
            found.append((one, *value))
        return found

    def settings(self, factor: float) -> dict[str, Value] | None:
        """Paths and values at a factor."""
        values = self.values(factor)
        if values is None:
            return None
        return {path: v for one, value, _ in values for path, v in one.settings(value).items()}


def cheapest(
    machine: Machine,
    known: Sequence[Resource],
    elasticity: Mapping[str, float],
    gain: float = GAIN,
) -> list[Row]:
    """Changes that make a machine so many times as fast, the cheapest first.

    Args:
        machine: that is asked.
        known: its resources.
        elasticity: of its time, by name of the resource; those that move nothing are left out, but
            for room, of which a little more may not show.
        gain: time before over time after.
    """
    singles = [
        Change(((one, _way(one, elasticity[one.name])),))
        for one in known
        if abs(elasticity[one.name]) >= LEAST or one.holds
    ]
    found, best = _enough(machine, singles, gain)
    if not found:
        order = sorted(best, key=lambda c: (-best[c], c.turned[0][0].name))
        pairs = [Change(a.turned + b.turned) for a, b in combinations(order[:PAIRED], 2)]
        found, _ = _enough(machine, pairs, gain)
    rows = [_row(machine, change, factor) for change, factor in found.items()]
    return sorted(rows, key=lambda row: (row["cost"], row["resources"]))


def _way(one: Resource, elasticity: float) -> int:
    """Which way a resource helps: as it was measured, else as its kind should."""
    return one.better if not elasticity else 1 if elasticity < 0 else -1


def _enough(
    machine: Machine, changes: Sequence[Change], gain: float
) -> tuple[dict[Change, float], dict[Change, float]]:
    """The least factor of each change that gains enough, and the most that each gains at all.

    More of a resource is no faster for certain (a mapping chosen for it may wait elsewhere), so
    that factors are tried upwards; between the first that does and the one before, by halving.
    """
    best: dict[Change, float] = {}
    found: dict[Change, float] = {}
    for below, factor in pairwise(FACTORS):
        gained = _gains(machine, {c: factor for c in changes if c not in found})
        best |= {c: max(got, best.get(c, 0.0)) for c, got in gained.items()}
        enough = [change for change, got in gained.items() if got >= gain]
        found |= _halved(machine, enough, (below, factor), gain)
    return found, best


def _halved(
    machine: Machine, changes: Sequence[Change], between: tuple[float, float], gain: float
) -> dict[Change, float]:
    """The least factor between two of which the second gains enough; all changes in step."""
    first, ratio = between[0], between[1] / between[0]
    low, high = dict.fromkeys(changes, 0), dict.fromkeys(changes, STEPS)
    while open_ := [change for change in changes if high[change] - low[change] > 1]:
        middle = {change: (low[change] + high[change]) // 2 for change in open_}
        gained = _gains(machine, {c: first * ratio ** (k / STEPS) for c, k in middle.items()})
        for change, k in middle.items():
            (high if gained[change] >= gain else low)[change] = k
    return {change: first * ratio ** (k / STEPS) for change, k in high.items()}


def _gains(machine: Machine, factors: Mapping[Change, float]) -> dict[Change, float]:
    """What each change gains at its factor; 0 where there is no such step or it is refused."""
    asked = {c: s for c, factor in factors.items() if (s := c.settings(factor)) is not None}
    answers = zip(asked, machine.ask(list(asked.values())), strict=True)
    return dict.fromkeys(factors, 0.0) | {c: _gain(machine, answer) for c, answer in answers}


def _gain(machine: Machine, answer: Outcome) -> float:
    """Time before over time after; 0 where the changed machine was refused."""
    return machine.now()["time_ps"] / answer.metrics["time_ps"] if answer.status == "ok" else 0.0


def _row(machine: Machine, change: Change, factor: float) -> Row:
    """A change as data: what to set, what it gains, and what it costs."""
    settings, values = change.settings(factor), change.values(factor)
    assert settings is not None, "it was run"
    assert values is not None
    answer, now = machine.ask([settings])[0], machine.now()
    moved = max(max(amount / one.amount, one.amount / amount) for one, _, amount in values)
    added_mm2 = answer.metrics[AREA] - now[AREA]
    modelled = added_mm2 > 1e-9 * now[AREA]  # a sum that rounds otherwise is no area
    return {
        "resources": [one.name for one, _ in change.turned],
        "settings": [
            {"path": path, "now": one.now, "tried": value}
            for one, value, _ in values for path in one.paths
        ],
        "set": [f"{path}={value}" for path, value in settings.items()],
        "factor": moved,
        "time_s": answer.metrics["metrics.time_s"],
        "gain": _gain(machine, answer),
        "energy_j": answer.metrics["metrics.energy_j.total"],
        "added_mm2": added_mm2,
        "cost": added_mm2 / now[AREA] if modelled else moved - 1,
        "cost_is": "added area" if modelled else "relative change",
    }  # fmt: skip
