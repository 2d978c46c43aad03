"""Figures of a run for papers: one column wide, SVG and PNG, with the data they show as CSV.

Each figure is a function from a stored result to rows and a drawing; how all of them look is in
`report.style`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsim.core.files import atomic_write
from archsim.report import over_time, roofline, style
from archsim.report.model import Report, csv_text
from archsim.report.style import Rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Result = Mapping[str, Any]
BAR_IN = 0.16  # so high is a bar at least, with the room around it
Paint = Callable[["Axes", Rows], None]
Ops = Sequence[Mapping[str, Any]]


def draw(report: Report, folder: Path | str, moments: Rows | None = None) -> list[Path]:
    """Draw every figure that a run has data for; returns the PNG files.

    Args:
        report: of a run that was timed.
        folder: where `<name>.svg`, `.png` and `.csv` go; made where it is missing.
        moments: what memories did over time (see `report.moments`); without them, those figures
            are left out.
    """
    root, written = Path(folder), []
    for name, rows, paint, height in figures(report, moments):
        atomic_write(root / f"{name}.csv", csv_text(rows, first=""))
        written.append(style.save(root / name, paint, rows, height))
    return written


def figures(
    report: Report, moments: Rows | None = None
) -> Iterator[tuple[str, Rows, Paint, float]]:
    """Name, data, drawing and height in inches of every figure that there are data for."""
    for name, (table, paint, height) in FIGURES.items():
        rows = table(report.result, report.ops)
        bars = len(rows) if paint in (_paint_breakdown, _paint_stalls) else 0
        if rows:
            yield name, rows, paint, max(height, 0.9 + BAR_IN * bars)
    if moments:
        held = over_time.held(moments, report.result["machine"]["capacity_bytes"])
        yield "memory_held", held, over_time.paint_held, 1.9
        yield "memory_bandwidth", over_time.moved(moments), over_time.paint_moved, 1.8


def breakdown(result: Result, _: Ops) -> Rows:
    """Share of the critical path by op class, with what bounds each."""
    return [
        {"op_class": c["op_class"], "share_pct": 100 * c["share"], "bound_by": c["bound_by"],
         "engine": c["engine"]}
        for c in result.get("op_classes", ()) if c["share"] >= 5e-4
    ]  # fmt: skip


def _paint_breakdown(ax: Axes, rows: Rows) -> None:
    reasons = list(dict.fromkeys(r["bound_by"] for r in rows))
    names = [r["op_class"] for r in rows]
    for i, reason in enumerate(reasons):
        mine = [r["share_pct"] if r["bound_by"] == reason else 0 for r in rows]
        ax.barh(names, mine, color=style.colour(i), label=reason, height=0.7)
    ax.invert_yaxis()
    ax.set_xlabel("Share of the critical path [%]")
    style.legend_above(ax, ncols=2, title="bound by")


STATES = ("busy", "stall_in", "stall_out", "stall_shared", "idle")


def stalls(result: Result, _: Ops) -> Rows:
    """What each unit does with the makespan; units that only pass tokens on are left out."""
    total = result["time_ps"]
    return [
        {"unit": name, **{f"{s}_pct": 100 * spent[f"{s}_ps"] / total for s in STATES}}
        for name, spent in result.get("units", {}).items()
        if spent["busy_ps"]
    ]


def _paint_stalls(ax: Axes, rows: Rows) -> None:
    names, left = [r["unit"] for r in rows], [0.0] * len(rows)
    for i, state in enumerate(STATES):
        width = [r[f"{state}_pct"] for r in rows]
        shade = style.PALE if state == "idle" else style.colour(i)
        ax.barh(names, width, left=left, color=shade, label=state.replace("_", " "), height=0.7)
        left = [a + b for a, b in zip(left, width, strict=True)]
    ax.invert_yaxis()
    ax.set_xlim(0, 100)
    ax.set_xlabel("Share of the makespan [%]")
    style.legend_above(ax, ncols=3)


def occupancy(result: Result, _: Ops) -> Rows:
    """Most bytes that each memory held at once, against its capacity."""
    capacity = (result.get("machine") or {}).get("capacity_bytes", {})
    held = result["metrics"].get("memory_peak_bytes", {})
    return [
        {"memory": name, "held_bytes": held[name], "capacity_bytes": capacity[name],
         "held_pct": 100 * held[name] / capacity[name]}
        for name in held if capacity.get(name)
    ]  # fmt: skip


def _paint_occupancy(ax: Axes, rows: Rows) -> None:
    from archsim.core.units import format_bytes

    names = [
        f"{r['memory']}\n{format_bytes(r['held_bytes'])} of {format_bytes(r['capacity_bytes'])}"
        for r in rows
    ]
    ax.barh(names, [100] * len(rows), color=style.PALE, height=0.6)
    ax.barh(names, [r["held_pct"] for r in rows], color=style.colour(0), height=0.6)
    ax.invert_yaxis()
    ax.set_xlim(0, 100)
    ax.set_xlabel("Held at most [% of capacity]")


COSTS = {"energy_j": "J", "area_mm2": "mm2"}


def cost(result: Result, _: Ops) -> Rows:
    """Energy and area by component, in percent of their totals."""
    found = {m: (result["metrics"].get(m) or {}).get("by_component", {}) for m in COSTS}
    return [
        {
            "metric": metric, "component": name, "value": parts[name], "unit": COSTS[metric],
            "share_pct": 100 * parts[name] / sum(parts.values()),
        }
        for metric, parts in found.items()
        for name in sorted(parts, key=lambda n: -parts[n])
        if parts[name] >= 1e-3 * sum(parts.values()) > 0
    ]  # fmt: skip


def _paint_cost(ax: Axes, rows: Rows) -> None:
    names = list(dict.fromkeys(r["component"] for r in rows))
    for j, metric in enumerate(COSTS):
        left = 0.0
        for r in (r for r in rows if r["metric"] == metric):
            shade = style.colour(names.index(r["component"]))
            ax.barh([j], [r["share_pct"]], left=[left], color=shade, height=0.6)
            left += r["share_pct"]
    for i, name in enumerate(names):
        ax.bar([0], [0], color=style.colour(i), label=name)
    totals = [sum(r["value"] for r in rows if r["metric"] == m) for m in COSTS]
    ax.set_yticks([0, 1], [f"energy\n{totals[0]:.3g} J", f"area\n{totals[1]:.3g} mm²"])
    ax.invert_yaxis()
    ax.set_xlim(0, 100)
    ax.set_xlabel("Share [%]")
    style.legend_above(ax, ncols=4)


# name: (rows, drawing, height in inches)
FIGURES: dict[str, tuple[Callable[[Result, Ops], Rows], Paint, float]] = {
    "roofline": (roofline.roofline, roofline.paint, 2.6),
    "op_breakdown": (breakdown, _paint_breakdown, 2.4),
    "stalls": (stalls, _paint_stalls, 2.4),
    "occupancy": (occupancy, _paint_occupancy, 1.4),
    "energy_area": (cost, _paint_cost, 1.7),
}
