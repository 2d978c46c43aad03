"""The network on a chip in the report: bandwidth of each flow, bytes of each link, the hottest."""

from __future__ import annotations

from math import fsum
from typing import Any

from archsim.core.units import PS_PER_S, format_si
from archsim.ir.record import RunRecord
from archsim.report.account import Totals

SHOWN = 8  # flows in the console summary
HEADER = ("Flows on the chip", "at most", "hops", "fullest link of all flows")
SHARED = (
    "steps that overlap share links within a stage; stages that overlap, and several memories "
    "behind the chip, do not wait for each other's bytes"
)


def floor_note(run: RunRecord) -> list[str]:
    """What stands for the network on the chip at the fidelity of a run."""
    if run.floor is None or not run.timed:
        return []
    measured = [one.reached for one in run.floor.flows.values() if one.reached < 1]
    if not measured:
        return [f"links of {run.floor.name} are ideal: {SHARED}"]
    least, most = (f"{100 * share:.0f}" for share in (min(measured), max(measured)))
    how = f"{least} %" if least == most else f"{least} to {most} %"
    return [
        f"routers of {run.floor.name} reach {how} of their links, flit by flit for each flow "
        f"alone: {SHARED}"
    ]


def floor(run: RunRecord, totals: Totals) -> dict[str, Any]:
    """What a result says of the network on the chip; of several chips, of all of them together."""
    net = run.floor
    if net is None:
        return {}
    counts = totals.all
    links = [0.0] * len(net.ends)
    for key, one in net.flows.items():
        for i, share in enumerate(one.share):
            links[i] += counts[key] * share
    wires = [0.0] * len(links)
    for i, wire in enumerate(net.wires):
        wires[wire] += links[i]
    time_s = run.devices * run.time_ps / PS_PER_S
    use = [wires[net.wires[i]] / (rate * time_s) for i, rate in enumerate(net.bytes_per_s)]
    rows = [
        {"from": a, "to": b, "bytes": round(size), "utilization": share}
        for (a, b), size, share in zip(net.ends, links, use, strict=True)
    ]
    moved = fsum(counts[key] for key in net.flows)
    hottest = max(range(len(rows)), key=use.__getitem__, default=None)
    return {
        "noc": {
            "network": net.name,
            "kind": net.kind,
            "place": {part: list(nodes) for part, nodes in net.place.items()},
            "flows": {
                one.name: {
                    "bytes": counts[key],
                    "effective_bytes_per_s": one.bytes_per_s,
                    "reached": one.reached,
                    "hops": one.hops,
                    "mean_latency_ps": one.mean_ps,
                    "worst_latency_ps": one.worst_ps,
                }
                for key, one in net.flows.items()
            },
            "mean_hops": fsum(links) / moved if moved else None,
            "hottest_link": rows[hottest] if hottest is not None and links[hottest] else None,
            "bound_steps": counts[f"bound.{net.name}"],
            "links": rows,
        }
    }


def lines(result: dict[str, Any]) -> list[list[str]]:
    """Rows of the console summary: flows, those of most bytes first."""
    net = result.get("noc")
    if net is None:
        return []
    hot = net["hottest_link"]
    text = f"{hot['from']} to {hot['to']}, {100 * hot['utilization']:.0f} % busy" if hot else "none"
    flows = sorted(net["flows"].items(), key=lambda f: (-f[1]["bytes"], f[0]))[:SHOWN]
    rows: list[list[str]] = []
    for name, one in flows:
        rate = one["effective_bytes_per_s"]
        least = format_si(rate, "B/s") if rate else "-"
        rows.append([name, least, f"{one['hops']:.2f}", "" if rows else text])
    return rows
