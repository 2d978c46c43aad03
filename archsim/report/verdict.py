"""The verdict: one sentence on what bounds a run, and one on what to change first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import fsum
from typing import Any

from archsim.ir.record import RunRecord

NEAR = 1.3  # times the bound: below it there is nothing to explain
WASTE = {
    "memory": "below the peak bandwidth, or tiles read again",
    "compute": "part-filled folds, fill and drain, masked tiles",
    "vector": "masked points",
    "communication": "rounds, links that others use too",
}
STREAM_WASTE = "nodes that wait for one another, fill and drain"
LEAST_GAIN = 1.005  # a smaller one is no change worth a name


@dataclass(frozen=True, slots=True)
class Tried:
    """A change of the machine and the time that the changed machine took.

    Attributes:
        reason: what it relieves.
        share: of the makespan that the reason takes.
        settings: (path, value before, value tried).
        overrides: the same as `--set` takes them.
        time_ps: makespan of the changed machine.
    """

    reason: str
    share: float
    settings: tuple[tuple[str, Any, Any], ...]
    overrides: tuple[str, ...]
    time_ps: int


def verdict(run: RunRecord, stalls: dict[str, float]) -> str:
    """What bounds the run, how far from physics it is, and what takes the rest."""
    least, machine = run.bound, run.machine
    ratio = run.time_ps / least.ps if least.ps else float("inf")
    first, share = next(iter(stalls.items()))
    text = (
        f"{run.graph.name} on {machine.name}: {ratio:.2f} x the physical bound, which {least.by} "
        f"sets; {100 * share:.0f} % of the time goes to {first}"
    )
    if ratio <= NEAR:
        return text + "."
    own = {f"{name}_busy" for name in machine.mac_engines}
    stalls = _by_engine(stalls)
    if least.by == "memory":
        own = {f"{tier.name}_bandwidth" for tier in run.memory.tiers} & set(stalls)
    elif least.by == "communication" and run.pod is not None:
        own = {f"{run.pod.network}_bandwidth"} & set(stalls)
    elif least.by == "vector" and not run.streams:  # nodes of a stream are busy on one engine
        own = {reason for reason in stalls if reason.endswith("_busy")} - own
    itself = ratio * fsum(share for reason, share in stalls.items() if reason in own)
    reasons = [f"{r} ({100 * s:.0f} %)" for r, s in stalls.items() if r not in own and s >= 0.03]
    if itself > 1.02:
        waste = STREAM_WASTE if run.streams and least.by != "memory" else WASTE[least.by]
        reasons.append(f"{' and '.join(sorted(own))} at {itself:.2f} x least ({waste})")
    return f"{text}; above {NEAR} because of {', '.join(reasons)}."


def _by_engine(stalls: dict[str, float]) -> dict[str, float]:
    """Shares of the time with those of an engine's parts together: `engine.op_busy` counts so."""
    found: dict[str, float] = {}
    for reason, share in stalls.items():
        owner, part, _ = reason.partition(".")
        whole = f"{owner}_busy" if part and reason.endswith("_busy") else reason
        found[whole] = found.get(whole, 0.0) + share
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def advised(result: dict[str, Any], tried: Tried | None) -> None:
    """Put what to change first into a result: as data, and as the verdict's second sentence."""
    found = _advice(tried, result["time_ps"])
    result["advice"] = found
    if found is not None:
        result["verdict"] += f" {_sentence(found)}"


def unadvised(result: Mapping[str, Any]) -> dict[str, Any]:
    """A result as it is where nobody asked what to change first."""
    left = {key: value for key, value in result.items() if key != "advice"}
    if found := result.get("advice"):
        left["verdict"] = left["verdict"].removesuffix(f" {_sentence(found)}")
    return left


def _advice(tried: Tried | None, before_ps: int) -> dict[str, Any] | None:
    """What to change first and what it gains; None where no single setting would help."""
    if tried is None:
        return None
    return {
        "reason": tried.reason,
        "share": tried.share,
        "settings": [{"path": p, "now": now, "tried": new} for p, now, new in tried.settings],
        "set": list(tried.overrides),
        "time_ps": tried.time_ps,
        "gain": before_ps / tried.time_ps,
    }


def _sentence(found: Mapping[str, Any]) -> str:
    what = " and ".join(f"{s['path']} {s['now']} -> {s['tried']}" for s in found["settings"])
    gain = found["gain"]
    if gain < LEAST_GAIN:
        return f"No first change: {what} would not make it faster (simulated)."
    return f"First to change: {what}, {gain:.2f} x faster (simulated)."
