"""Metrics of a design over workloads that follow each other, each as often as its weight says.

Each number is what a run of all of them would report: work and what it costs add up, rates and
shares are means over the time. What a design is asked for, and by whom, is no matter of this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any, Literal

import numpy as np

Rule = Literal["sum", "mean", "cost", "largest"]
"""Added up; mean over the time; energy of a unit of work, a mean over the work; the largest."""
RULES: tuple[tuple[str, Rule], ...] = (
    ("time_ps", "sum"),
    ("bound", "sum"),
    ("metrics.time_s", "sum"),
    ("metrics.energy_j.per_", "cost"),
    ("metrics.energy_j.", "sum"),
    ("metrics.network.sent_bytes", "sum"),
    ("metrics.network.bytes.", "sum"),
    ("metrics.network.utilization.", "mean"),
    ("metrics.throughput.", "mean"),
    ("metrics.power_w.mean", "mean"),
    ("metrics.utilization.", "mean"),
    ("stalls.", "mean"),
    ("metrics.area_mm2.", "largest"),
    ("metrics.memory_peak_bytes.", "largest"),
)
"""Rule by the beginning of a path, the first that fits; other numbers have none."""
SHARES = "stalls."  # of the time by cause: a workload without a cause has none of it


def combined(each: Sequence[Mapping[str, Any]], weights: Sequence[float]) -> dict[str, Any]:
    """Metrics over all workloads.

    Times, energies, bytes and bounds add up. Work a second is all work over all time, energy of a
    unit of work is all energy over all work, mean power all energy over all time; utilization and
    the causes of stalls are means over the time. Of areas and peaks the largest stands. A metric
    that some workload lacks, or that no rule is known of, is left out.

    Args:
        each: metrics by path, one a workload: numbers, or arrays over designs.
        weights: how often each runs.

    Returns:
        Metrics by path; of a single workload with weight 1 those that it has.
    """
    if len(each) == 1 and weights[0] == 1:
        return dict(each[0])
    found: dict[str, Any] = {}
    for path in dict.fromkeys(path for one in each for path in one):
        default = 0.0 if path.startswith(SHARES) else None
        values = [one.get(path, default) for one in each]
        if any(value is None for value in values):
            continue
        value = _combined(path, values, each, weights)
        if value is not None:
            found[path] = value
    if "bound_ps" in found:
        ratio = _over(found["time_ps"], found["bound_ps"])
        found |= {} if ratio is None else {"ratio_to_bound": ratio}
    return found


def adds_up(path: str) -> bool:
    """Whether a metric is summed over workloads."""
    return _rule(path) == "sum"


def _rule(path: str) -> Rule | None:
    return next((rule for start, rule in RULES if path.startswith(start)), None)


def _combined(
    path: str, values: Sequence[Any], each: Sequence[Mapping[str, Any]], weights: Sequence[float]
) -> Any:
    """One metric; None where it has no rule, or nothing to be a mean over."""
    rule = _rule(path)
    if rule == "sum":
        return _sum(values, weights)
    if rule == "largest":
        return reduce(_larger, values)
    if rule == "mean":
        times = [w * one["metrics.time_s"] for w, one in zip(weights, each, strict=True)]
        return _over(_sum(values, times), reduce(add, times))
    if rule == "cost":
        spent = [w * one["metrics.energy_j.total"] for w, one in zip(weights, each, strict=True)]
        work = [_over(energy, value) for energy, value in zip(spent, values, strict=True)]
        known = all(part is not None for part in work)
        return _over(reduce(add, spent), reduce(add, work)) if known else None
    return None


def _sum(values: Sequence[Any], weights: Sequence[Any]) -> Any:
    return reduce(add, [w * value for w, value in zip(weights, values, strict=True)])


def _larger(a: Any, b: Any) -> Any:
    return np.maximum(a, b) if isinstance(a, np.ndarray) else max(a, b)


def _over(part: Any, whole: Any) -> Any:
    """A quotient; None, or no number in an array, over nothing."""
    if isinstance(whole, np.ndarray):
        none = np.full(whole.shape, np.nan)
        return np.divide(part, whole, out=none, where=whole != 0)
    return part / whole if whole else None
