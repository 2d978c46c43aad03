"""Several devices in the report: the plan, what was exchanged, and where the time of a pod went."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from archsim.core.units import PS_PER_S, format_bytes, format_si
from archsim.ir.pod_record import PodRecord
from archsim.ir.record import RunRecord
from archsim.report import degraded
from archsim.report.account import LAUNCH, Totals

NOTE = "devices exchange messages in rounds, each as long as its fullest link, at any fidelity"
KINDS = ("compute", "memory", "communication", "bubble", "launch")


def pod_answers(run: RunRecord, totals: Totals) -> dict[str, Any]:
    """What a result says beside all else where there are several devices."""
    pod = run.pod
    if pod is None:
        return {}
    return {
        "devices": pod.devices,
        "parallel": {
            "plan": dict(pod.plan),
            "groups": {axis: {"groups": n, "devices": of} for axis, (n, of) in pod.groups.items()},
            "notes": [f"{code} {text}" for code, text in pod.notes],
            "shares": [
                {"name": s.name, "devices": s.devices, "held_bytes": dict(s.held_bytes)}
                for s in pod.shares
            ],
        },
        "breakdown": breakdown(run, totals),
        "collectives": [
            asdict(c) | {"over_least": c.time_ps / c.least_ps if c.least_ps else None}
            for c in pod.collectives
        ],
    }


def network(run: RunRecord, totals: Totals) -> dict[str, Any]:
    """Bytes between devices, by kind of link, and how busy links are."""
    pod = run.pod
    if pod is None:
        return {}
    time_s, head = run.time_ps / PS_PER_S, f"link.{pod.network}."
    counts = totals.all
    over = {key.removeprefix(head): counts[key] for key in pod.links}
    return {
        "network": {
            "kind": pod.kind,
            "sent_bytes": counts[f"sent.{pod.network}"],
            "bytes": {"total": sum(over.values()), "by_level": over},
            "utilization": {
                key.removeprefix(head): counts[key] / (time_s * rate)
                for key, rate in pod.links.items()
            },
            "busiest_link": pod.busiest_ps / run.time_ps,
        }
    }


def breakdown(run: RunRecord, totals: Totals) -> dict[str, float]:
    """Shares of the makespan by what devices do; they sum to one.

    A bubble is the mean, over devices, of the time in which a device stands still because of
    another stage of the pipeline; the rest is divided as the critical path is. What was not
    simulated has no bubbles: that a pipeline fills and drains is on its critical path.
    """
    pod = run.pod
    assert pod is not None
    sums = dict.fromkeys(KINDS, 0)
    for (_, reason), ps in totals.critical_ps.items():
        sums[_kind(run, pod, reason)] += ps
    whole = sum(sums.values())
    if not run.simulated:
        return {kind: ps / whole for kind, ps in sums.items() if kind != "bubble"}
    bubble = sum(pod.bubble_ps) / (run.time_ps * pod.devices)
    shares = {kind: (1 - bubble) * sums[kind] / whole for kind in KINDS}
    return shares | {"bubble": bubble}


def _kind(run: RunRecord, pod: PodRecord, reason: str) -> str:
    """What a reason of the critical path is a case of."""
    if reason == LAUNCH:
        return "launch"
    owner, _, what = reason.rpartition("_")
    if owner == pod.network or owner.startswith(f"{pod.network}."):
        return "communication"
    verb = owner.rpartition(".")[2]
    if what == "bandwidth" or verb.startswith(("load", "store")):
        return "memory"
    memories = {tier.name for tier in run.memory.tiers}
    return "memory" if owner in memories else "compute"


MOST = 10  # collectives that are shown
HEADER = ("Exchanges between devices", "each", "x least", "how")


def answer(result: dict[str, Any]) -> list[list[str]]:
    """Rows of the console summary's head: how many devices, and how they share the work."""
    if "parallel" not in result:
        return []
    groups = result["parallel"]["groups"]
    ways = ", ".join(f"{axis} {of['devices']}" for axis, of in groups.items()) or "not divided"
    rows = [["Devices", str(result["devices"]), ways]]
    plan = result["parallel"]["plan"]
    if "pipeline" in groups:
        rows[0][2] += f", {plan['microbatches']} microbatches ({plan['schedule']})"
    parts = result.get("breakdown", {})
    if parts:
        said = ", ".join(f"{kind} {100 * of:.1f} %" for kind, of in parts.items() if of)
        rows.append(["Spent on", "", said])
    return rows + degraded.row(result)


def lines(result: dict[str, Any]) -> list[list[str]]:
    """Rows of the console summary: collectives, those that take longest first.

    A receive is counted where it is sent.
    """
    found = [c for c in result.get("collectives", []) if c["algorithm"]]
    order = sorted(found, key=lambda c: (-c["repeats"] * c["time_ps"], c["path"]))
    rows = []
    for c in order[:MOST]:
        over = f"{c['over_least']:.2f}" if c["over_least"] else "-"
        path = c["path"].replace(":", ": ", 1)  # where a line may end
        size = f"{format_bytes(c['size_bytes'])} x {c['repeats']}, {path}"
        rows.append([what(c), format_si(c["time_ps"] / PS_PER_S, "s"), over, size])
    if len(order) > MOST:
        rows.append([f"{len(order) - MOST} more", "", "", ""])
    return rows


def what(c: dict[str, Any]) -> str:
    """An exchange in a few words."""
    how = c["algorithm"] or "nothing sent"
    return f"{c['pattern']} over {c['axis']} ({c['group']} devices, {how})"
