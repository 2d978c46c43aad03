"""What the numbers of the network on a chip are made of: flows, links, and the hottest of them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from archsim.report.formulas import FORMULAS, Explanation, Formula, Part, Stored, unit_of

TEXTS = {
    "bytes": "bytes of all steps of this flow",
    "effective_bytes_per_s": "least of bandwidth over share of the bytes, of all links that they "
    "pass; times the share of its links that routers reach",
    "reached": "how busy the fullest link is while packets of this flow alone wait at all sources",
    "hops": "links that a byte passes, mean over its sources and targets",
    "mean_latency_ps": "mean over all pairs of nodes",
    "worst_latency_ps": "longest way between any two nodes; delays the first byte of each step",
}


def _hottest(run: Stored) -> tuple[Part, ...]:
    """The links with most work."""
    rows = sorted(run.get("noc", "links"), key=lambda row: -row["utilization"])
    return tuple(
        Part(f"{row['from']} to {row['to']}", row["bytes"], "B",
             note=f"{100 * row['utilization']:.1f} % busy")
        for row in rows[:4]
    )  # fmt: skip


def _flow(run: Stored, metric: str, value: Any, found: re.Match[str]) -> Explanation:
    name = found["name"]
    of = (str(run.get("noc", "network")),)
    unit = "B" if name == "bytes" else "B/s" if name.endswith("per_s") else unit_of(name)
    return Explanation(metric, value, unit, TEXTS[name], _hottest(run), components=of)


def _noc(run: Stored, metric: str, value: Any, found: re.Match[str]) -> Explanation:
    name, net = found["name"], run.get("noc")
    text = {
        "mean_hops": "bytes times links passed, over bytes, of all flows",
        "bound_steps": "steps that last as long as a link needs, not as their engine or memory",
    }.get(name, "the link whose bytes take most of the time; bytes over bandwidth and makespan")
    unit = "B" if name.endswith("bytes") else ""
    return Explanation(metric, value, unit, text, _hottest(run), components=(str(net["network"]),))


def _bandwidth(run: Stored, metric: str, value: Any, found: re.Match[str]) -> Explanation:
    """A share of the time as of any other reason; of the network's, with the links behind it."""
    usual = next(formula for pattern, formula in FORMULAS if re.fullmatch(pattern, metric))
    explained = usual(run, metric, value, found)
    net = run.result.get("noc")
    if net is None or net["network"] != found["net"]:
        return explained
    hot = net["hottest_link"]
    text = f"{explained.formula}; its hottest link leads from {hot['from']} to {hot['to']}"
    return replace(explained, formula=text, parts=(*explained.parts, *_hottest(run)))


FLOOR_FORMULAS: tuple[tuple[str, Formula], ...] = (
    (r"stalls\.(?P<reason>(?P<net>.+)_bandwidth)", _bandwidth),
    (r"noc\.flows\.(?P<flow>.+)\.(?P<name>\w+)", _flow),
    (r"noc\.(?P<name>mean_hops|bound_steps|hottest_link\.\w+|links\[\d+\]\.\w+)", _noc),
)
