"""What a study makes small or large: metrics, turned so that less is better."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pydantic import Field

from archsim.core.spec import Spec

Direction = Literal["minimize", "maximize"]


class Objective(Spec):
    """A metric and which way is better."""

    metric: str = Field(examples=["metrics.time_s"])
    """Dotted path of a number in `result.json`; see `archsim list metrics`."""

    direction: Direction = "minimize"
    """Which way is better."""

    @property
    def sign(self) -> int:
        """Factor that makes less better."""
        return 1 if self.direction == "minimize" else -1


TIME, ENERGY, AREA = (
    Objective(metric=f"metrics.{name}") for name in ("time_s", "energy_j.total", "area_mm2.total")
)


def usual(fidelities: Iterable[str]) -> tuple[Objective, ...]:
    """What is better where a study does not say: time and energy, or area, where no energy is."""
    return (TIME, AREA) if "bound" in fidelities else (TIME, ENERGY)


def turned(
    objectives: Sequence[Objective], metrics: Mapping[str, float]
) -> tuple[float, ...] | None:
    """Values of the objectives, all to be minimised; None where a design lacks one."""
    if any(one.metric not in metrics for one in objectives):
        return None
    return tuple(one.sign * float(metrics[one.metric]) for one in objectives)
