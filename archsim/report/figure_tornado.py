"""The tornado of a run: how its time answers to a little less and more of each resource."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from archsim.report.figure_chart import Axis, Bars, Chart, Figure, Line

MOST_BARS = 12
BAR_IN, ROOM_IN = 0.19, 0.5


def tornado(rows: Sequence[Mapping[str, Any]], time_s: float, step: float) -> Figure | None:
    """Change of the time with each resource, the one with the widest change first.

    Args:
        rows: `path`, `now`, `low` and `high` values of it, `time_s_low` and `time_s_high`; None
            where such a machine does not run.
        time_s: of the machine as it is.
        step: share of each resource that was taken away and added.
    """
    data = []
    for row in rows:
        change = {
            f"{side}_pct": None if (found := row.get(f"time_s_{side}")) is None
            else 100 * (found / time_s - 1)
            for side in ("low", "high")
        }  # fmt: skip
        data.append({"path": row["path"], **{k: row.get(k) for k in ("now", "low", "high")},
                     **change})  # fmt: skip
    data.sort(key=lambda r: (-_span(r), r["path"]))
    shown = [r for r in data if _span(r) > 0][:MOST_BARS]
    if not shown:
        return None
    names = [r["path"] for r in shown]
    marks: list[Bars | Line] = []
    for i, (side, label) in enumerate(
        (("low", f"{100 * step:.0f} % less"), ("high", f"{100 * step:.0f} % more"))
    ):
        values = [r[f"{side}_pct"] or 0.0 for r in shown]
        hover = [f"{r['path']} {r['now']} -> {r[side]}: time {v:+.3g} %"
                 for r, v in zip(shown, values, strict=True)]  # fmt: skip
        marks.append(Bars(label, names, values, i, hover, starts=[0.0] * len(names)))
    first = shown[0]
    return Figure(
        "sensitivity", "What each resource is worth",
        f"{first['path']} matters most; each bar is a simulation of the changed machine.", data,
        Chart(tuple(marks), x=Axis("Change of the time [%]"), y=Axis(names=tuple(names))),
        ROOM_IN + BAR_IN * len(names),
    )  # fmt: skip


def _span(row: Mapping[str, Any]) -> float:
    return max(abs(float(row[f"{side}_pct"] or 0.0)) for side in ("low", "high"))
