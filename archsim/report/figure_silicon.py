"""What a run costs in joules and square millimetres, and how full its memories were."""

from __future__ import annotations

from typing import Any

from archsim.core.units import format_bytes, format_si
from archsim.report.figure_chart import Axis, Bars, Chart, Figure, Tiles, stacked
from archsim.report.model import Report
from archsim.report.style import Rows

LEAST_SHARE = 1e-3  # of the total; smaller parts are in the data and not in the drawing
MOST_ACTIONS = 9
BAR_IN, ROOM_IN = 0.19, 0.5


def occupancy(report: Report) -> Figure | None:
    """Most bytes that each memory held at once, against its capacity."""
    result = report.result
    capacity = (result.get("machine") or {}).get("capacity_bytes", {})
    held = result["metrics"].get("memory_peak_bytes", {})
    rows = [
        {"memory": name, "held_bytes": held[name], "capacity_bytes": capacity[name],
         "held_pct": 100 * held[name] / capacity[name]}
        for name in held if capacity.get(name)
    ]  # fmt: skip
    if not rows:
        return None
    texts = [f"{format_bytes(r['held_bytes'])} of {format_bytes(r['capacity_bytes'])}"
             for r in rows]  # fmt: skip
    names = tuple(f"{r['memory']}: {text}" for r, text in zip(rows, texts, strict=True))
    share = [r["held_pct"] for r in rows]
    free = [max(0.0, 100 - s) for s in share]
    fullest = max(rows, key=lambda r: r["held_pct"])
    return Figure(
        "occupancy", "How full each memory was",
        f"{fullest['memory']} is the fullest, {fullest['held_pct']:.0f} % of its capacity at most.",
        rows,
        Chart((Bars("held at most", names, share, 0, names), Bars("free", names, free, "pale")),
              x=Axis("Share of the capacity [%]", low=0, high=100), y=Axis(names=names)),
        ROOM_IN + 1.7 * BAR_IN * len(rows),
    )  # fmt: skip


def energy(report: Report) -> Figure | None:
    """Joules of each component, stacked by what they were spent on."""
    rows = energy_rows(report.result)
    total = sum(r["energy_j"] for r in rows)
    shown = [r for r in rows if r["energy_j"] >= LEAST_SHARE * total > 0]
    if not shown:
        return None

    def hover(part: str, action: str, share: float) -> str:
        return f"{part}, {action}: {format_si(share / 100 * total, 'J')}, {share:.3g} %"

    parts, marks = stacked(shown, "component", "action", MOST_ACTIONS, hover)
    part = sum(r["share_pct"] for r in shown if r["component"] == parts[0])
    return Figure(
        "energy", "Where the energy goes",
        f"{format_si(total, 'J')} in all; {part:.0f} % of it in {parts[0]}.", rows,
        Chart(tuple(marks), x=Axis("Share of the energy [%]"), y=Axis(names=tuple(parts))),
        ROOM_IN + BAR_IN * len(parts),
    )  # fmt: skip


def energy_rows(result: dict[str, Any]) -> Rows:
    """Joules by component and action, the largest first, with the source of each number."""
    spent: dict[tuple[str, str], dict[str, Any]] = {}
    for key, row in result.get("energy_rows", {}).items():
        into = row["component"], _action(key, row["component"])
        one = spent.setdefault(into, {"j": 0.0, "rows": []})
        one["j"] += row["j"]
        one["rows"].append(key)
    whole = (result["metrics"].get("energy_j") or {}).get("by_component", {})
    for name in whole.keys() - {component for component, _ in spent}:  # no action: leakage
        spent[name, "over time"] = {"j": whole[name], "rows": []}
    total = sum(one["j"] for one in spent.values()) or 1.0
    order = sorted(spent, key=lambda into: (-spent[into]["j"], into))
    return [
        {"component": into[0], "action": into[1], "energy_j": spent[into]["j"],
         "share_pct": 100 * spent[into]["j"] / total, "rows": " ".join(spent[into]["rows"])}
        for into in order
    ]  # fmt: skip


def _action(key: str, component: str) -> str:
    """What a row of energy was spent on: `dram.read.kv_cache.weight` is `read kv_cache`."""
    words = key.split(".")
    if words[0] == "tier" and len(words) > 3:
        words = words[1:]
    if words[0] in ("dram", component) and len(words) >= 3:
        return f"{words[1]} {words[2]}"
    return " ".join(words[:2])


def area(report: Report) -> Figure | None:
    """Square millimetres of each component."""
    parts = (report.result["metrics"].get("area_mm2") or {}).get("by_component", {})
    total = sum(parts.values())
    rows = [
        {"component": name, "area_mm2": parts[name], "share_pct": 100 * parts[name] / total}
        for name in sorted(parts, key=lambda n: (-parts[n], n))
        if parts[name] >= LEAST_SHARE * total > 0
    ]
    if not rows:
        return None
    names = [r["component"] for r in rows]
    hover = [f"{r['component']}: {r['area_mm2']:.4g} mm², {r['share_pct']:.3g} %" for r in rows]
    return Figure(
        "area", "Where the silicon is",
        f"{total:.4g} mm² in all; {rows[0]['share_pct']:.0f} % of it in {names[0]}.", rows,
        Chart((Tiles(names, [r["area_mm2"] for r in rows], hover),)), 1.7,
    )  # fmt: skip
