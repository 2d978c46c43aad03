"""Budgets: what a machine's description allows a run to take, and whether the run took less."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def kept(limits: Mapping[str, float], metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each budget with what the run took and whether that is within it.

    Args:
        limits: by metric: latency_s, energy_j, area_mm2.
        metrics: those of `result.json`; one that the fidelity does not give stays open.
    """
    took = {
        "latency_s": metrics["time_s"],
        "energy_j": (metrics.get("energy_j") or {}).get("total"),
        "area_mm2": metrics["area_mm2"]["total"],
    }
    return [
        {
            "metric": metric,
            "limit": limit,
            "value": took[metric],
            "met": None if took[metric] is None else took[metric] <= limit,
        }
        for metric, limit in sorted(limits.items())
    ]
