"""The roofline of a run: ops as points under the roof of the engine that ran them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log10
from typing import Any, Literal

from archsim.report.figure_chart import Axis, Chart, Figure, Line, Points
from archsim.report.model import Report
from archsim.report.style import Rows

DASHES: tuple[Literal["solid", "dash", "dot", "dashdot"], ...]
DASHES = ("solid", "dash", "dot", "dashdot")
SMALLEST, LARGEST = 10, 110  # pt^2 of a point, by its share of the time


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
                    "busy_s": int(op["busy_ps"]) * 1e-12,
                    "peak_flop_per_s": peaks[op["engine"]],
                    "bandwidth_bytes_per_s": inside * own["bytes_per_s"] if own else rate,
                }
            )  # fmt: skip
    return rows


def figure(report: Report) -> Figure | None:
    """One marker for each op class on each engine: area by share of time, colour by what binds it.

    One roof an engine, over all its ops: FLOP, bytes and time of a class are summed.
    """
    rows = roofline(report.result, report.ops)
    if not rows:
        return None
    groups = _by_class(rows)
    roofs = {r["engine"]: (r["peak_flop_per_s"], r["bandwidth_bytes_per_s"]) for r in rows}
    low = min(0.5, *(g["flop_per_byte"] / 2 for g in groups))
    ridges = {name: peak / rate for name, (peak, rate) in roofs.items()}
    high = max(10 * max(ridges.values()), *(g["flop_per_byte"] * 2 for g in groups))
    marks: list[Line | Points] = [
        Line(
            "", [low, ridges[name], high], [low * rate / 1e12, peak / 1e12, peak / 1e12], "ink",
            DASHES[i % len(DASHES)],
            note=f"{name}: {peak / 1e12:.4g} TFLOP/s, ridge {ridges[name]:.3g} FLOP/B",
        )
        for i, (name, (peak, rate)) in enumerate(roofs.items())
    ]  # fmt: skip
    named = _apart(groups, low, high)
    for i, reason in enumerate(dict.fromkeys(g["bound_by"] for g in groups)):
        mine = [g for g in groups if g["bound_by"] == reason]
        marks.append(Points(
            reason, [g["flop_per_byte"] for g in mine], [g["flop_per_s"] / 1e12 for g in mine], i,
            i, [SMALLEST + (LARGEST - SMALLEST) * g["share_pct"] / 100 for g in mine],
            [g["op_class"] if id(g) in named else "" for g in mine],
            [f"{g['op_class']} on {g['engine']}: {g['flop_per_byte']:.3g} FLOP/B, "
             f"{g['flop_per_s'] / 1e12:.3g} TFLOP/s, {g['share_pct']:.3g} % of the time"
             for g in mine],
        ))  # fmt: skip
    chart = Chart(
        tuple(marks), x=Axis("Operational intensity [FLOP/B]", log=True, low=low, high=high),
        y=Axis("Performance [TFLOP/s]", log=True), legend="bound by",
    )  # fmt: skip
    first = groups[0]
    of = min(first["peak"], first["flop_per_byte"] * first["rate"])
    says = (
        f"{first['op_class']} reaches {100 * first['flop_per_s'] / of:.0f} % of its roof while it "
        "is at work. A marker is an op class on an engine; its area grows with its share of time."
    )
    return Figure("roofline", "Roofline", says, rows, chart, 2.7)


def _by_class(rows: Rows) -> Rows:
    """Ops of a class on an engine as one point; the one with the largest share of time first."""
    groups: dict[tuple[str, str], Rows] = {}
    for row in rows:
        groups.setdefault((row["engine"], row["op_class"]), []).append(row)
    out = []
    for (engine, op_class), mine in groups.items():
        work = [r["flop_per_s"] * r["busy_s"] for r in mine]
        moved = sum(w / r["flop_per_byte"] for w, r in zip(work, mine, strict=True))
        out.append({
            "engine": engine, "op_class": op_class, "flop_per_byte": sum(work) / moved,
            "flop_per_s": sum(work) / sum(r["busy_s"] for r in mine),
            "share_pct": sum(r["share_pct"] for r in mine),
            "bound_by": max(mine, key=lambda r: r["share_pct"])["bound_by"],
            "peak": mine[0]["peak_flop_per_s"], "rate": mine[0]["bandwidth_bytes_per_s"],
        })  # fmt: skip
    return sorted(out, key=lambda g: (-g["share_pct"], g["engine"], g["op_class"]))


def _apart(groups: Rows, low: float, high: float) -> set[int]:
    """Groups whose names do not stand in each other's way, by `id`; larger shares come first."""
    placed: list[tuple[float, float]] = []
    named = set()
    wide = log10(high / low)
    for group in groups:
        x, y = log10(group["flop_per_byte"]) / wide, log10(group["flop_per_s"]) / 5
        if all(abs(x - a) > 0.3 or abs(y - b) > 0.07 for a, b in placed):
            placed.append((x, y))
            named.add(id(group))
    return named
