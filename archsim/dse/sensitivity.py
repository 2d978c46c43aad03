"""Sensitivity: what time and energy do when a resource shrinks or grows by a fifth, simulated.

Nothing is guessed: every number is of a machine that was run with the changed setting. Which
resources a machine has is said in `dse.resources`, what to change for a gain in `dse.cheapest`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log
from typing import Any, Final

from archsim.api import FIDELITIES
from archsim.core.units import PS_PER_S
from archsim.dse.asking import Machine, machine_of
from archsim.dse.cheapest import cheapest
from archsim.dse.executors.base import Executor
from archsim.dse.point import Outcome
from archsim.dse.resources import Resource, resources
from archsim.report.model import Report
from archsim.system.advice import REREAD

SCHEMA: Final = "archsim.sensitivity/1"
STEP: Final = 0.2  # of a resource, either way
METRICS: Final = {
    "time_s": "metrics.time_s",
    "energy_j": "metrics.energy_j.total",
    "area_mm2": "metrics.area_mm2.total",
}
OWN: Final = 0.5  # of the largest elasticity: a component's own setting that has it is the cause

Row = dict[str, Any]


def sensitivity(
    report: Report,
    *,
    among: Sequence[Resource] = (),
    step: float = STEP,
    executor: Executor | None = None,
) -> dict[str, Any]:
    """What bounds a run, and what would help: every resource re-evaluated, by simulation.

    Args:
        report: of the run, as `api.run` returns it or as it was read back from its folder.
        among: resources that are asked about. Default: all that the machine has.
        step: share of a resource that is taken away and added; in (0, 1).
        executor: who simulates. Default: this process.

    Returns:
        Plain data, `sensitivity.json`: `rows` of all resources, those that matter most first;
        `bounded_by`; `changes` that gain a tenth, the cheapest first; `levels` of detail.

    Raises:
        InputError: E708 for a run at fidelity bound, E204 for one of another version.
    """
    machine = machine_of(report, executor)
    known = among or resources(machine.hardware)
    rows = tornado(machine, known, step)
    changes = cheapest(machine, known, {row["resource"]: row["elasticity_time"] for row in rows})
    now = machine.now()
    return {
        "schema": SCHEMA,
        "key": report.key,
        "fidelity": machine.fidelity,
        "step": step,
        **{name: now[path] for name, path in METRICS.items()},
        "bounded_by": bounded_by(report.result, rows, known, changes),
        "changes": changes,
        "levels": levels(machine),
        "rows": rows,
    }


def tornado(machine: Machine, known: Sequence[Resource], step: float = STEP) -> list[Row]:
    """One row a resource, those that move the time most first.

    A side is None where it has no legal step, or where the changed machine was refused; `said`
    then says why. Elasticities are of time and energy to the amount: -1 halves with twice of it.
    """
    sides = [(one, one.times(1 - step), one.times(1 + step)) for one in known]
    asked = [one.settings(side[0]) for one, *both in sides for side in both if side]
    answers = iter(machine.ask(asked))
    now = machine.now()
    rows = []
    for one, low, high in sides:
        found = [next(answers) if side else None for side in (low, high)]
        rows.append(_row(one, (low, high), found, now))
    return sorted(rows, key=lambda row: (-_span(row), row["resource"]))


def _row(
    one: Resource,
    values: Sequence[tuple[Any, float] | None],
    answers: Sequence[Outcome | None],
    now: Mapping[str, float],
) -> Row:
    row: Row = {
        "resource": one.name, "path": one.paths[0], "paths": list(one.paths),
        "dimension": one.dimension, "now": one.now,
        "low": values[0][0] if values[0] else None, "high": values[1][0] if values[1] else None,
    }  # fmt: skip
    ran = [answer if answer and answer.status == "ok" else None for answer in answers]
    for name, path in METRICS.items():
        row[name] = now[path]
        for side, answer in zip(("low", "high"), ran, strict=True):
            row[f"{name}_{side}"] = answer.metrics[path] if answer else None
    amounts = [value[1] if value else one.amount for value in values]
    for name in ("time", "energy"):
        metric = METRICS["time_s" if name == "time" else "energy_j"]
        points = [(one.amount, now[metric])]
        points += [
            (amount, answer.metrics[metric])
            for amount, answer in zip(amounts, ran, strict=True) if answer
        ]  # fmt: skip
        row[f"elasticity_{name}"] = _elasticity(points)
    row["relieves"], row["share"] = _relieved(now, [a.metrics for a in ran if a])
    for side, value, answer in zip(("low", "high"), values, answers, strict=True):
        row[f"said_{side}"] = _said(value, answer)
    return row


def _said(value: tuple[Any, float] | None, answer: Outcome | None) -> str:
    """Why a side has no answer; nothing where it has."""
    if value is None or answer is None:
        return "no step this way"
    return str((answer.error or {}).get("message", ""))


def _elasticity(points: Sequence[tuple[float, float]]) -> float:
    """Slope between the outermost points on logarithmic axes; 0 with one point alone."""
    (first, low), (last, high) = min(points), max(points)
    return log(high / low) / log(last / first) if last > first and low > 0 and high > 0 else 0.0


def _relieved(
    now: Mapping[str, float], others: Sequence[Mapping[str, float]]
) -> tuple[str, float | None]:
    """The stall reason that changes most as the time does, and its share of the time now."""
    change: dict[str, float] = {}
    for other in others:
        faster = 1 if other["time_ps"] < now["time_ps"] else -1
        if other["time_ps"] == now["time_ps"]:
            continue
        for reason in {path for path in (*now, *other) if path.startswith("stalls.")}:
            ps = now.get(reason, 0.0) * now["time_ps"] - other.get(reason, 0.0) * other["time_ps"]
            change[reason] = change.get(reason, 0.0) + faster * ps
    if not change:
        return "", None
    most = max(sorted(change), key=change.__getitem__)
    return most.removeprefix("stalls."), now.get(most, 0.0)


def _span(row: Row) -> float:
    """How far the time moves, in seconds."""
    sides = [row[f"time_s_{side}"] for side in ("low", "high")]
    return max((abs(time_s - row["time_s"]) for time_s in sides if time_s is not None), default=0.0)


def bounded_by(
    result: Mapping[str, Any],
    rows: Sequence[Row],
    known: Sequence[Resource],
    changes: Sequence[Row],
) -> Row | None:
    """The resource that bounds a run: that of the largest elasticity of time.

    Two rules sharpen it. A clock drives several components: a setting of one of them that is at
    least half as elastic is the cause. And a memory whose bytes are mostly moved again is slow for
    want of room on chip: where room alone gains a tenth, it is the cause. None where no resource
    moves the time.
    """
    moving = [row for row in rows if abs(row["elasticity_time"]) > 1e-6]
    if not moving:
        return None
    named = {one.name: one for one in known}
    told = {one["path"] for one in (result.get("advice") or {}).get("settings", ())}

    def rank(row: Row) -> tuple[float, bool]:  # of equals, that which the verdict names
        return round(abs(row["elasticity_time"]), 3), row["path"] in told

    most = max(moving, key=rank)
    least = OWN * abs(most["elasticity_time"])
    own = [row for row in moving if not named[row["resource"]].shared]
    first = max(own, key=rank, default=most)
    found = first if abs(first["elasticity_time"]) >= least else most
    why, again = "", reread(result)
    if found["resource"].startswith("memory.") and again > REREAD:
        alone = [c["resources"][0] for c in changes if len(c["resources"]) == 1]
        room = next((name for name in alone if named[name].holds), None)
        if room is not None:
            reason, share = next(iter(result["stalls"].items()))
            found = next(row for row in rows if row["resource"] == room)
            found = found | {"relieves": reason, "share": share}
            why = f"{100 * again:.0f} % of the bytes behind memory are moved again"
    keys = ("resource", "path", "now", "elasticity_time", "elasticity_energy", "relieves", "share")
    return {key: found[key] for key in keys} | {"why": why}


def reread(result: Mapping[str, Any]) -> float:
    """Share of the bytes behind the nearest memory that are not compulsory."""
    least = result["bound"]["memory_ps"] / PS_PER_S * result["machine"]["bandwidth_bytes_per_s"]
    moved = sum(m["total_bytes"] - m.get("staged_bytes", 0) for m in result["traffic"].values())
    return max(0.0, 1 - least * result.get("devices", 1) / moved) if moved else 0.0


def levels(machine: Machine) -> list[Row]:
    """Time at each level of detail up to the run's own, and what the level adds to the one below.

    From physics upwards: `bound` moves compulsory bytes at peak rates, `analytic` adds what tiles
    and mappings cost, `tile` lets stages overlap and wait, `cycle` adds banks and networks.
    """
    found: list[Row] = []
    for fidelity in FIDELITIES[: FIDELITIES.index(machine.fidelity) + 1]:
        answer = machine.ask([{}], fidelity)[0]
        time_s = answer.metrics["metrics.time_s"]
        least, below = (found[0]["time_s"], found[-1]["time_s"]) if found else (time_s, 0.0)
        found.append({
            "fidelity": fidelity, "time_s": time_s, "adds_s": time_s - below,
            "over_bound": time_s / least if least else None,
        })  # fmt: skip
    return found
