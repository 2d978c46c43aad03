"""What engines inside memories, exchanges, links and streams did, where a run has them."""

from __future__ import annotations

from archsim.core.units import PS_PER_S, format_bytes, format_si
from archsim.report.figure_chart import Axis, Bars, Chart, Figure
from archsim.report.model import Report
from archsim.report.style import Rows

MOST_BARS = 16  # of the busiest links; the others are in the data
BAR_IN, ROOM_IN = 0.19, 0.5


def inside(report: Report) -> Figure | None:
    """Time of the banks of each engine inside a memory, by what it was spent on."""
    rows = [
        {"engine": engine, "spent_on": what, "time_s": ps / PS_PER_S,
         "share_pct": 100 * ps / found["banks_ps"]}
        for engine, found in report.result.get("pim", {}).items() if found["banks_ps"]
        for what, ps in sorted(found["waits_ps"].items(), key=lambda one: -one[1])
        if ps
    ]  # fmt: skip
    if not rows:
        return None
    engines = list(dict.fromkeys(r["engine"] for r in rows))
    marks = []
    for i, what in enumerate(dict.fromkeys(r["spent_on"] for r in rows)):
        mine = {r["engine"]: r for r in rows if r["spent_on"] == what}
        values = [mine[e]["share_pct"] if e in mine else 0.0 for e in engines]
        hover = [f"{e}: {what} {v:.3g} %" for e, v in zip(engines, values, strict=True)]
        marks.append(Bars(what, engines, values, i, hover))
    first = rows[0]
    return Figure(
        "pim", "What banks with processing units did",
        f"{first['engine']} spends {first['share_pct']:.0f} % of its banks' time on "
        f"{first['spent_on']}.", rows,
        Chart(tuple(marks), x=Axis("Share of the banks' time [%]", low=0, high=100),
              y=Axis(names=tuple(engines)), legend="spent on"),
        ROOM_IN + BAR_IN * len(engines),
    )  # fmt: skip


def collectives(report: Report) -> Figure | None:
    """Time of each exchange between devices: what bytes take, and what does not grow with them."""
    rows = [
        {
            "path": c["path"], "pattern": c["pattern"], "algorithm": c["algorithm"],
            "repeats": c["repeats"], "size_bytes": c["size_bytes"],
            "latency_s": c["repeats"] * c["latency_ps"] / PS_PER_S,
            "transfer_s": c["repeats"] * c["transfer_ps"] / PS_PER_S,
            "least_s": c["repeats"] * c["least_ps"] / PS_PER_S,
        }
        for c in report.result.get("collectives", ())
    ]  # fmt: skip
    rows.sort(key=lambda r: (-r["latency_s"] - r["transfer_s"], r["path"]))
    shown = [r for r in rows if r["latency_s"] + r["transfer_s"] > 0][:MOST_BARS]
    if not shown:
        return None
    names = [r["path"] for r in shown]
    marks = []
    for i, (part, label) in enumerate((("transfer", "bytes"), ("latency", "steps and launch"))):
        values = [1e6 * r[f"{part}_s"] for r in shown]
        hover = [
            f"{r['path']}: {r['repeats']} x {r['pattern']} of {format_bytes(r['size_bytes'])}, "
            f"{r['algorithm']}; {label} {format_si(r[f'{part}_s'], 's')}"
            for r in shown
        ]
        marks.append(Bars(label, names, values, i, hover))
    return Figure(
        "collectives", "Exchanges between devices",
        f"{names[0]} takes longest; times are of all its repeats, hidden or not.", rows,
        Chart(tuple(marks), x=Axis("Time [us]"), y=Axis(names=tuple(names))),
        ROOM_IN + BAR_IN * len(names),
    )  # fmt: skip


def links(report: Report) -> Figure | None:
    """The busiest links of a network on the chip, or the levels of one between devices."""
    noc = report.result.get("noc") or {}
    rows = [
        {"link": f"{_node(one['from'])} to {_node(one['to'])}", "bytes": one["bytes"],
         "busy_pct": 100 * one["utilization"]}
        for one in noc.get("links", ())
    ]  # fmt: skip
    network = report.metrics.get("network") or {}
    for level, used in (network.get("utilization") or {}).items():
        size = network["bytes"]["by_level"].get(level)
        rows.append({"link": f"level {level}", "bytes": size, "busy_pct": 100 * used})
    rows.sort(key=lambda r: (-r["busy_pct"], r["link"]))
    if not rows:
        return None
    shown = rows[:MOST_BARS]
    names = [r["link"] for r in shown]
    hover = [f"{r['link']}: {format_bytes(r['bytes'])}, busy {r['busy_pct']:.3g} %" for r in shown]
    which = f"the {len(shown)} busiest of {len(rows)}" if len(rows) > len(shown) else "all"
    return Figure(
        "links", "How busy links are",
        f"{names[0]} is the busiest, {shown[0]['busy_pct']:.0f} % of the makespan ({which} shown).",
        rows,
        Chart((Bars("", names, [r["busy_pct"] for r in shown], 0, hover, _percents(shown)),),
              x=Axis("Busy [% of the makespan]", low=0), y=Axis(names=tuple(names))),
        ROOM_IN + BAR_IN * len(names),
    )  # fmt: skip


def _percents(rows: Rows) -> list[str]:
    return [f"{r['busy_pct']:.3g} %" for r in rows]


def _node(text: str) -> str:
    return text.strip("[]").replace(", ", ",")


def streams(report: Report) -> Figure | None:
    """How busy each node of a stream was, and what it waited for."""
    rows = [
        {"op": stream["op"], "node": node["name"], "unit": node["unit"],
         "busy_pct": 100 * node["busy"]}
        for stream in report.result.get("streams", ()) for node in stream["nodes"]
    ]  # fmt: skip
    if not rows:
        return None
    shown = sorted(rows, key=lambda r: -r["busy_pct"])[:MOST_BARS]
    names = [f"{r['op']} {r['node']}" for r in shown]
    return Figure(
        "streams", "How busy nodes of a stream are",
        f"{names[0]} sets the pace: busy {shown[0]['busy_pct']:.0f} % of the time.", rows,
        Chart((Bars("", names, [r["busy_pct"] for r in shown], 0, names, _percents(shown)),),
              x=Axis("Busy [%]", low=0, high=100), y=Axis(names=tuple(names))),
        ROOM_IN + BAR_IN * len(names),
    )  # fmt: skip
