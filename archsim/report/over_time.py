"""Figures over time: what each memory held and moved, and the power, while the run went on."""

from __future__ import annotations

from typing import Any

from archsim.core.units import format_bytes, format_si
from archsim.report.figure_chart import Axis, Chart, Figure, Line
from archsim.report.style import Rows

SCALES = ((1e9, "s"), (1e6, "ms"), (1e3, "us"), (1, "ns"))  # of 1000 ps each


def held(moments: Rows, capacity: dict[str, int]) -> Figure:
    """Share of each memory's capacity that it holds, so that all of them fit one axis."""
    rows, found = held_rows(moments, capacity), []
    for name in _names(moments[0], "held_bytes"):
        size = capacity[name]
        most = max(r[f"{name}_held_bytes"] for r in rows)
        share = [100 * r[f"{name}_held_bytes"] / size for r in rows]
        found.append((f"{name}: at most {format_bytes(most)} of {format_bytes(size)}", share))
    lines, title = _lines(rows, found)
    says = "The most that each memory holds in each of equal parts of the run."
    chart = Chart(lines, x=Axis(title, low=0, high=lines[0].x[-1]),
                  y=Axis("Held [% of capacity]", low=0, high=105), legend=" ")  # fmt: skip
    return Figure("memory_held", "What memories hold over time", says, rows, chart,
                  1.6 + 0.12 * len(found))  # fmt: skip


def moved(moments: Rows) -> Figure:
    """Gigabytes a second at the port of each memory behind the chip."""
    rows = moved_rows(moments)
    names = _names(moments[0], "bytes_per_s")
    lines, title = _lines(
        rows, [(name, [r[f"{name}_bytes_per_s"] / 1e9 for r in rows]) for name in names]
    )
    says = "The mean rate at the port of each memory in each of equal parts of the run."
    chart = Chart(lines, x=Axis(title, low=0, high=lines[0].x[-1]),
                  y=Axis("Bandwidth [GB/s]", low=0), legend=" ")  # fmt: skip
    return Figure("memory_bandwidth", "What memories move over time", says, rows, chart, 1.8)


def power(moments: Rows, mean_w: float) -> Figure:
    """Watts of all devices, and their mean over the run."""
    rows = [{"time_s": m["time_ps"] * 1e-12, "power_w": m["power_w"]} for m in moments]
    watts = [r["power_w"] for r in rows]
    lines, title = _lines(rows, [("mean of each part", watts)])
    end = lines[0].x[-1]
    mean = Line(
        f"of the run: {format_si(mean_w, 'W')}", [0.0, end], [mean_w, mean_w], "ink", "dash"
    )
    says = (
        "What actions spend, evenly over the steps that count them, and leakage throughout, in "
        f"equal parts of the run; at most {format_si(max(watts), 'W')}."
    )
    chart = Chart((*lines, mean), x=Axis(title, low=0, high=end), y=Axis("Power [W]", low=0))
    return Figure("power", "Power over time", says, rows, chart, 1.9)


def held_rows(moments: Rows, capacity: dict[str, int]) -> Rows:
    """Bytes that each memory holds at most in each part of the run, and what it could."""
    return [
        {"time_s": m["time_ps"] * 1e-12}
        | {f"{name}_held_bytes": m[f"{name}.held_bytes"] for name in _names(m, "held_bytes")}
        | {f"{name}_capacity_bytes": capacity[name] for name in _names(m, "held_bytes")}
        for m in moments
    ]


def moved_rows(moments: Rows) -> Rows:
    """Mean rate at the port of each memory in each part of the run."""
    return [
        {"time_s": m["time_ps"] * 1e-12}
        | {f"{name}_bytes_per_s": m[f"{name}.bytes_per_s"] for name in _names(m, "bytes_per_s")}
        for m in moments
    ]


def _lines(rows: Rows, found: list[tuple[str, list[float]]]) -> tuple[tuple[Line, ...], str]:
    """Values of each part of the run as steps, and the unit of the time axis."""
    width = rows[1]["time_s"] - rows[0]["time_s"]
    ends = [*(r["time_s"] for r in rows), rows[-1]["time_s"] + width]
    scale, unit = next((s, u) for s, u in SCALES if ends[-1] >= s * 1e-9 or s == 1)
    x = [1e9 * end / scale for end in ends]
    lines = (
        Line(label, x, [*values, values[-1]], i, step=True)
        for i, (label, values) in enumerate(found)
    )
    return tuple(lines), f"Time [{unit}]"


def _names(moment: dict[str, Any], what: str) -> list[str]:
    return [key.rpartition(".")[0] for key in moment if key.endswith(f".{what}")]
