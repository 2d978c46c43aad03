"""What a search for a mapping left behind: candidates tried, the best, the distance to the bound.

Plain data and its text. The search itself is in `system.mapper`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

UNITS = {
    "latency": "s", "energy": "pJ", "edp": "pJ s", "traffic": "B", "compute": "cycles",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Searched:
    """One stage's search.

    Attributes:
        objective: what was minimised.
        value, bound: of the mapping found, and the least that any mapping takes, in the unit of the
            objective.
        tried, space: candidates whose cost was found, and those there are; on a spatial array
            those that its templates propose, which are not all nests.
        proved: all of the space was tried: no candidate is better.
        time_s, traffic_bytes, energy_pj: predicted for the mapping found, from its first tile's
            load to its last result's store, with leakage over that time.
        analytic_s, dynamic_pj: of its busiest resource alone, and without leakage: what a run at
            fidelity `analytic` counts. On a spatial array energy is not predicted so finely.
    """

    objective: str
    value: float
    bound: float
    tried: int
    space: int
    proved: bool
    time_s: float
    traffic_bytes: int
    energy_pj: float | None = None
    analytic_s: float | None = None
    dynamic_pj: float | None = None

    @property
    def ratio(self) -> float:
        """How far the mapping found is from the bound: 1 is the best there can be."""
        return self.value / self.bound if self.bound else 1.0

    def data(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self) | {"ratio_to_bound": self.ratio}

    def lines(self) -> list[str]:
        """For people: what was searched, and how good the answer is."""
        of = "all" if self.proved else f"of {self.space:,}"
        if self.tried == self.space and not self.proved:
            of = "all that templates propose"
        unit = UNITS[self.objective]
        return [
            f"searched {self.tried:,} candidates ({of}) for {self.objective}: "
            f"{_short(self.value)} {unit}, {self.ratio:.2f} x the bound of "
            f"{_short(self.bound)} {unit}"
        ]


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1e4 else f"{value:.4g}"
