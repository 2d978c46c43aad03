"""What suites of published PIM systems share: their rows, how close each must come, and one step.

A row says how close it must come: a share, a band in which every model must lie, a bound, or that
it is only reported.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from archsim.api import run
from archsim.core.errors import Unsupported
from archsim.validation.base import Adapter, Row

WANT, HIGH = "want", "want_high"
BAND, BOUND, REPORT = "band", "bound", "report"
SIZES = ("small", "medium", "large", "xl")
STORED = ("weights", "activations", "kv_cache")


class Step(NamedTuple):
    """What a run takes: time, joules, those of them that are static, and time of each unit."""

    time_ps: int
    joules: float
    static_j: float
    busy_ps: dict[str, int]

    @property
    def seconds(self) -> float:
        """Its time."""
        return self.time_ps / 1e12


class PimSystem(Adapter):
    """An adapter of the table of PIM systems, whose rows have tolerances of their own."""

    NEEDS = ("id", "model", "workload", "system", "baseline", "metric", "tolerance_pct")
    ID = "id"

    def gates(self, metric: str, row: Row) -> bool:
        """All but rows that are only reported."""
        return row["tolerance_pct"] != REPORT

    def tolerance(self, metric: str, row: Row) -> str:
        """The row's own, where it is a share and the metric is what the table has."""
        own = row["tolerance_pct"]
        return "" if metric not in (WANT, HIGH) or own in (BAND, BOUND, REPORT) else f"{own}%"

    def inside(self, metric: str, row: Row, want: float, got: float) -> bool | None:
        """Whether an end lies in its band, or a figure above its bound."""
        if metric not in (WANT, HIGH) or row["tolerance_pct"] not in (BAND, BOUND):
            return None
        return got <= want if metric == HIGH else got >= want


def step(machine: str, workload: dict[str, Any], set_: Sequence[str] = ()) -> Step:
    """A run of a shipped machine, in tiles."""
    result = run(machine, workload, set_=set_, fidelity="tile", advice=False).result
    energy = result["metrics"]["energy_j"]
    busy = {name: unit["busy_ps"] for name, unit in result["units"].items()}
    static = energy["by_component"].get("leakage", 0.0)
    return Step(result["time_ps"], energy["total"], static, busy)


def decode(
    name: str, model: dict[str, Any], dtype: str, context: int | Sequence[int], **others: Any
) -> dict[str, Any]:
    """A step of generation, all that is stored in one element type.

    Args:
        name: of the workload.
        model: preset or config.
        dtype: of weights, activations and cache.
        context: tokens that attention sees, of each request where they differ.
        others: `batch`, and whatever else a workload says.
    """
    phase = {"batch": others.pop("batch")} if "batch" in others else {}
    return {
        "schema": "archsim.workload/1",
        "name": name,
        "model": model,
        "phase": {"kind": "decode", "context": context, **phase},
        "dtypes": dict.fromkeys(STORED, dtype),
        **others,
    }


def names(text: str) -> list[str]:
    """Models of a text such as `gpt2-small..xl;gpt3-xl`, in its order.

    Raises:
        Unsupported: for a range whose ends are no sizes.
    """
    found = []
    for part in text.split(";"):
        first, _, last = part.strip().partition("..")
        family, _, size = first.rpartition("-")
        if not last:
            found.append(first)
            continue
        if size not in SIZES or last not in SIZES:
            raise Unsupported(f'"{part}" is no range of {", ".join(SIZES)}')
        chosen = SIZES[SIZES.index(size) : SIZES.index(last) + 1]
        found += [f"{family}-{one}" for one in chosen]
    return found


def number(text: str, what: str) -> int:
    """The number of a text that stands with a word, such as 1 in `batch 1`.

    Raises:
        Unsupported: where there is none.
    """
    found = re.search(rf"{what} (\d+)|(\d+) {what}", text)
    if found is None:
        raise Unsupported(f'"{text}" has no number with {what}')
    return int(found[1] or found[2])


def figures(row: Row, ratios: Sequence[float]) -> dict[str, float]:
    """Both ends of what models give, where a band is asked for; else their mean."""
    if row["tolerance_pct"] == BAND:
        return {WANT: min(ratios), HIGH: max(ratios)}
    return {WANT: sum(ratios) / len(ratios)}
