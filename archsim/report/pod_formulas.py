"""What the numbers of several devices are made of: exchanges, the network, the breakdown."""

from __future__ import annotations

import re
from typing import Any

from archsim.report.formulas import Explanation, Formula, Part, Stored, unit_of
from archsim.report.pod import what


def _breakdown(run: Stored, metric: str, value: Any, found: re.Match[str]) -> Explanation:
    kind, parts = found["kind"], run.split(run.get("breakdown"), "")
    text = "share of the critical path, times what bubbles leave of the makespan"
    if kind == "bubble":
        text = "mean over devices of the time in which another stage of the pipeline is waited for"
        if "pipeline" not in run.get("parallel", "groups"):
            text = "mean over devices of the time in which a message or the last end is waited for"
    elif "bubble" not in run.get("breakdown"):
        text = "share of the critical path"
    return Explanation(metric, value, "", text, parts)


def _collective(run: Stored, metric: str, value: Any, found: re.Match[str]) -> Explanation:
    one = run.get("collectives")[int(found["nth"])]
    name, path = found["name"], str(one["path"])
    text = f"{what(one)}: {one['reason']}"
    parts = (
        Part("latency_ps", one["latency_ps"], "ps", note="launch, steps and ways"),
        Part("transfer_ps", one["transfer_ps"], "ps", note="bytes on the fullest links"),
        Part("least_ps", one["least_ps"], "ps", note="least bytes at the bandwidth of a device"),
        Part("repeats", one["repeats"]),
    )
    unit = "" if name == "over_least" else unit_of(name)
    return Explanation(metric, value, unit, text, parts, (Part(path, one["time_ps"], "ps"),))


def _network(run: Stored, metric: str, value: Any, found: re.Match[str]) -> Explanation:
    name = found["name"]
    net = run.get("metrics", "network")
    if name.startswith("bytes"):
        text = "bytes times links passed, over all links of a kind; kinds are levels of the network"
        return Explanation(metric, value, "B", text, run.split(net["bytes"]["by_level"], "B"))
    if name == "sent_bytes":
        return Explanation(metric, value, "B", "bytes that all devices send, each message once")
    text = "bytes over the bandwidth of all links of a kind and the makespan"
    if name == "busiest_link":
        text = "time that the bytes of the fullest link take, over the makespan"
    return Explanation(metric, value, "", text)


POD_FORMULAS: tuple[tuple[str, Formula], ...] = (
    (r"breakdown\.(?P<kind>\w+)", _breakdown),
    (r"collectives\[(?P<nth>\d+)\]\.(?P<name>\w+)", _collective),
    (r"metrics\.network\.(?P<name>.+)", _network),
)
