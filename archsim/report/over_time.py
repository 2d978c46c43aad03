"""Figures over time: what each memory held and moved while the run went on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archsim.report import style
from archsim.report.style import Rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCALES = ((1e9, "s"), (1e6, "ms"), (1e3, "us"), (1, "ns"))  # of 1000 ps each
PREFIXES = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))


def held(moments: Rows, capacity: dict[str, int]) -> Rows:
    """Bytes that each memory holds at most in each part of the run, and what it could."""
    return [
        {"time_s": m["time_ps"] * 1e-12}
        | {f"{name}_held_bytes": m[f"{name}.held_bytes"] for name in _names(m, "held_bytes")}
        | {f"{name}_capacity_bytes": capacity[name] for name in _names(m, "held_bytes")}
        for m in moments
    ]


def moved(moments: Rows) -> Rows:
    """Mean rate at the port of each memory in each part of the run."""
    return [
        {"time_s": m["time_ps"] * 1e-12}
        | {f"{name}_bytes_per_s": m[f"{name}.bytes_per_s"] for name in _names(m, "bytes_per_s")}
        for m in moments
    ]


def paint_held(ax: Axes, rows: Rows) -> None:
    """Share of each memory's capacity, so that all of them fit one axis."""
    names = [k.removesuffix("_held_bytes") for k in rows[0] if k.endswith("_held_bytes")]
    for i, name in enumerate(names):
        size = rows[0][f"{name}_capacity_bytes"]
        share = [100 * r[f"{name}_held_bytes"] / size for r in rows]
        most = max(r[f"{name}_held_bytes"] for r in rows)
        label = f"{name}: at most {_bytes(most)} of {_bytes(size)}"
        _step(ax, rows, share, i, label)
    ax.set_ylim(0, 105)
    ax.set_ylabel("Held [% of capacity]")
    style.legend_above(ax, ncols=1)


def paint_moved(ax: Axes, rows: Rows) -> None:
    """Gigabytes a second."""
    names = [k.removesuffix("_bytes_per_s") for k in rows[0] if k.endswith("_bytes_per_s")]
    for i, name in enumerate(names):
        _step(ax, rows, [r[f"{name}_bytes_per_s"] / 1e9 for r in rows], i, name)
    ax.set_ylim(bottom=0)
    ax.set_ylabel("Bandwidth [GB/s]")
    style.legend_above(ax, ncols=4)


def _step(ax: Axes, rows: Rows, values: list[float], i: int, label: str) -> None:
    width = rows[1]["time_s"] - rows[0]["time_s"]
    ends = [*(r["time_s"] for r in rows), rows[-1]["time_s"] + width]
    scale, unit = next((s, u) for s, u in SCALES if ends[-1] >= s * 1e-9 or s == 1)
    x = [1e9 * end / scale for end in ends]
    ax.stairs(values, x, color=style.colour(i), label=label, linewidth=0.8, baseline=None)
    ax.set_xlim(0, x[-1])
    ax.set_xlabel(f"Time [{unit}]")


def _names(moment: dict[str, Any], what: str) -> list[str]:
    return [key.rpartition(".")[0] for key in moment if key.endswith(f".{what}")]


def _bytes(size: float) -> str:
    scale, unit = next((s, u) for s, u in PREFIXES if size >= s or s == 1)
    return f"{size / scale:.3g} {unit}"
