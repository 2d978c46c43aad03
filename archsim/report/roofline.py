"""The roofline of a run: ops as points under the roof of the engine that ran them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from archsim.report import style
from archsim.report.style import Rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINES = ("-", "--", ":", "-.")
SMALLEST, LARGEST = 8, 60  # pt^2 of a point, by its share of the time


def roofline(result: Mapping[str, Any], ops: Sequence[Mapping[str, Any]]) -> Rows:
    """One row for each op with MACs: FLOP per byte off chip against FLOP/s while it is at work.

    Empty where nothing multiplies; an op that moves no byte off chip has no place. Bytes and
    bandwidth of an engine inside a memory are those between banks and its units.
    """
    pims, inside = result.get("pim", {}), result.get("devices", 1)
    machine = result.get("machine") or {}
    peaks, rate = machine.get("engine_peak_flop_per_s"), machine.get("bandwidth_bytes_per_s")
    rows = []
    for op in ops:
        moved = sum(int(op[k]) for k in op if k.startswith("dram_") and k.endswith("_bytes"))
        own = pims.get(op["engine"])
        if own:
            moved = own["stages"][op["op"]]["matrix_bytes"]
        if peaks and rate and op["macs"] and moved and op["busy_ps"]:
            flops = 2 * int(op["macs"])
            rows.append(
                {
                    "op": op["op"], "op_class": op["op_class"], "engine": op["engine"],
                    "bound_by": op["bound_by"], "share_pct": 100 * float(op["share"]),
                    "flop_per_byte": flops / moved,
                    "flop_per_s": flops / (int(op["busy_ps"]) * 1e-12),
                    "peak_flop_per_s": peaks[op["engine"]],
                    "bandwidth_bytes_per_s": inside * own["bytes_per_s"] if own else rate,
                }
            )  # fmt: skip
    return rows


def paint(ax: Axes, rows: Rows) -> None:
    """One roof for each engine, its ridge marked; a point's area grows with its share of time."""
    roofs = {r["engine"]: r["peak_flop_per_s"] for r in rows}
    rates = {r["engine"]: r["bandwidth_bytes_per_s"] for r in rows}
    ridges = {name: peak / rates[name] for name, peak in roofs.items()}
    low = min(0.5, *(r["flop_per_byte"] / 2 for r in rows))
    high = max(10 * max(ridges.values()), *(r["flop_per_byte"] * 2 for r in rows))
    for i, (name, peak) in enumerate(roofs.items()):
        x = [low, ridges[name], high]
        y = [low * rates[name] / 1e12, peak / 1e12, peak / 1e12]
        ax.loglog(x, y, color=style.INK, linewidth=1, linestyle=LINES[i % len(LINES)])
        ax.annotate(
            f"{name}: {peak / 1e12:.4g} TFLOP/s, ridge {ridges[name]:.3g} FLOP/B",
            (high, peak / 1e12), xytext=(0, 2), textcoords="offset points", ha="right", fontsize=6,
        )  # fmt: skip
    for i, op_class in enumerate(sorted({r["op_class"] for r in rows})):
        mine = [r for r in rows if r["op_class"] == op_class]
        ax.scatter(
            [r["flop_per_byte"] for r in mine], [r["flop_per_s"] / 1e12 for r in mine],
            s=[SMALLEST + (LARGEST - SMALLEST) * r["share_pct"] / 100 for r in mine],
            color=style.colour(i), marker=style.MARKERS[i % len(style.MARKERS)],
            label=op_class, zorder=3, linewidths=0, alpha=0.85,
        )  # fmt: skip
    ax.set_xlim(low, high)
    ax.set_xlabel("Operational intensity [FLOP/B]")
    ax.set_ylabel("Performance [TFLOP/s]")
    style.legend_above(ax, ncols=3, marks=18)
