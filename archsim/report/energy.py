"""Energy and area of a run: integer counts times table rows, leakage times time, parts that sum."""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum

from archsim.report.account import Totals
from archsim.system.build import Machine

PJ = 1e-12


@dataclass(frozen=True)
class Spent:
    """Joules by component and by stage, and the rows that they come from."""

    total_j: float
    by_component: dict[str, float]
    by_stage: tuple[float, ...]
    leakage_j: float
    rows: dict[str, dict[str, object]]


def spend(machine: Machine, totals: Totals, time_s: float) -> Spent:
    """Energy of a run; every count of a priced action has its row in the table."""
    prices = {key: _price(machine, key) for key in sorted(totals.all)}
    leakage = {name: watts * time_s for name, watts in machine.leakage_w().items()}
    by_component: dict[str, list[float]] = {}
    by_stage: list[float] = []
    rows: dict[str, dict[str, object]] = {}
    everything = totals.all
    for key, price in prices.items():
        if price is None:
            continue
        component, pj, source, accuracy = price
        joules = everything[key] * pj * PJ
        by_component.setdefault(component, []).append(joules)
        rows[key] = {
            "count": everything[key], "pj": pj, "j": joules, "source": source, "accuracy": accuracy,
        }  # fmt: skip
    for counts in totals.by_stage:
        parts = [n * p[1] * PJ for key, n in sorted(counts.items()) if (p := prices[key])]
        by_stage.append(fsum(parts))
    sums = {name: fsum(sorted(parts)) for name, parts in sorted(by_component.items())}
    sums["leakage"] = fsum(sorted(leakage.values()))
    return Spent(fsum(sorted(sums.values())), sums, tuple(by_stage), sums["leakage"], rows)


def _price(machine: Machine, key: str) -> tuple[str, float, str, str] | None:
    """(component, pJ, source, accuracy) of one count; None for counts that spend nothing."""
    kind, _, action = key.partition(".")
    if kind == "sram":
        spec = machine.sram.spec
        macro = machine.table.sram(spec.capacity, spec.width_bits, spec.banks)
        row = macro.read if action == "read" else macro.write
        return machine.sram.name, row.pj, row.source, row.accuracy
    if kind == "dram":
        row = machine.table.of(machine.dram.energy_class(), action.partition(".")[0])
        return machine.dram.name, row.pj, row.source, row.accuracy
    if kind == "dma":
        row = machine.table.of("dma", "transfer")
        return machine.dma.name, row.pj, row.source, row.accuracy
    if kind in ("mac", "vector") and action not in ("points", "cycles"):
        row = machine.table.of(kind, action)
        return kind, row.pj, row.source, row.accuracy
    return None
