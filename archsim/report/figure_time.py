"""Where time goes: by op class and what it waited on, and by what each unit did."""

from __future__ import annotations

from archsim.core.units import PS_PER_S, format_si
from archsim.report.figure_chart import REST, Axis, Bars, Chart, Figure, stacked
from archsim.report.model import Report
from archsim.report.style import Rows

LEAST_SHARE = 5e-4  # of the time; what takes less has no bar
MOST_REASONS = 8  # that colours tell apart; the rest are one series
BAR_IN, ROOM_IN = 0.17, 0.5  # of a bar with its gap; of the axis
STATES = {"busy": "busy", "stall_in": "waits for input", "stall_out": "waits for room",
          "stall_shared": "waits for a turn", "idle": "idle"}  # fmt: skip


def by_class(report: Report) -> Figure | None:
    """Share of the critical path by op class, stacked by what it was spent on."""
    rows = class_rows(report)
    shown = [r for r in rows if r["share_pct"] >= 100 * LEAST_SHARE]
    if not shown:
        return None
    classes, marks = stacked(
        shown, "op_class", "reason", MOST_REASONS,
        lambda name, reason, share: f"{name}: {reason} {share:.3g} % of the time",
    )  # fmt: skip
    chart = Chart(tuple(marks), x=Axis("Share of the critical path [%]"),
                  y=Axis(names=tuple(classes)), legend="spent on")  # fmt: skip
    first = classes[0]
    share = sum(r["share_pct"] for r in shown if r["op_class"] == first)
    return Figure(
        "time_by_class", "Time by op class",
        f"{first} takes {share:.0f} % of the critical path; colours say what it was spent on.",
        rows, chart, ROOM_IN + BAR_IN * len(classes),
    )  # fmt: skip


def class_rows(report: Report) -> Rows:
    """Time on the critical path by op class and reason; it sums to the makespan."""
    classes = {op["op"]: op["op_class"] for op in report.ops}
    spent: dict[tuple[str, str], int] = {}
    for path, reasons in report.result.get("critical", {}).items():
        for reason, ps in reasons.items():
            key = classes.get(path, REST), reason
            spent[key] = spent.get(key, 0) + ps
    whole = report.result.get("time_ps") or 1
    order = sorted(spent, key=lambda key: (-spent[key], key))
    return [
        {"op_class": name, "reason": reason, "time_s": spent[name, reason] / PS_PER_S,
         "share_pct": 100 * spent[name, reason] / whole}
        for name, reason in order if spent[name, reason]
    ]  # fmt: skip


def units(report: Report) -> Figure | None:
    """What each unit does with the makespan; those that only pass tokens on are left out."""
    result = report.result
    total = result["time_ps"]
    rows = [
        {"unit": name, **{f"{s}_pct": 100 * spent[f"{s}_ps"] / total for s in STATES}}
        for name, spent in result.get("units", {}).items()
        if spent["busy_ps"]
    ]
    if not rows:
        return None
    names = [r["unit"] for r in rows]
    marks = tuple(
        Bars(
            label, names, [r[f"{state}_pct"] for r in rows], "pale" if state == "idle" else i,
            [f"{r['unit']}: {label} {format_si(r[f'{state}_pct'] / 100 * total / PS_PER_S, 's')}"
             for r in rows],
        )
        for i, (state, label) in enumerate(STATES.items())
    )  # fmt: skip
    most = max(rows, key=lambda r: r["busy_pct"])
    return Figure(
        "stalls", "What each unit did",
        f"{most['unit']} is the busiest, {most['busy_pct']:.0f} % of the makespan.", rows,
        Chart(marks, x=Axis("Share of the makespan [%]", low=0, high=100),
              y=Axis(names=tuple(names))),
        ROOM_IN + BAR_IN * len(names),
    )  # fmt: skip
