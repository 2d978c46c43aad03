"""Energy of a run: integer counts times table rows, leakage times time, parts that sum."""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum

from archsim.core.errors import LawViolation
from archsim.ir.record import RunRecord
from archsim.report.account import Totals

PJ = 1e-12


@dataclass(frozen=True)
class Spent:
    """Joules by component and by stage, and the rows that they come from."""

    total_j: float
    by_component: dict[str, float]
    by_stage: tuple[float, ...]
    rows: dict[str, dict[str, object]]


def spend(run: RunRecord, totals: Totals) -> Spent:
    """Energy of a run; every count of a priced action has its row in the table.

    Raises:
        LawViolation: when the stages and the components do not sum to the same.
    """
    everything, prices = totals.all, run.machine.prices
    by_component: dict[str, list[float]] = {}
    rows: dict[str, dict[str, object]] = {}
    for key in sorted(everything):
        price = prices[key]
        if price is None:
            continue
        joules = everything[key] * price.pj * PJ
        by_component.setdefault(price.component, []).append(joules)
        rows[key] = {
            "count": everything[key], "pj": price.pj, "j": joules,
            "component": price.component, "source": price.source, "accuracy": price.accuracy,
        }  # fmt: skip
    by_stage = tuple(
        fsum(n * p.pj * PJ for key, n in sorted(counts.items()) if (p := prices[key]))
        for counts in totals.by_stage
    )
    sums = {name: fsum(sorted(parts)) for name, parts in sorted(by_component.items())}
    active = fsum(sorted(sums.values()))
    sums["leakage"] = fsum(sorted(run.machine.leakage_w.values())) * run.time_ps * PJ
    if abs(fsum(by_stage) - active) > 1e-9 * active:
        raise LawViolation("energy of the stages is not that of the components")
    return Spent(fsum(sorted(sums.values())), sums, by_stage, rows)
