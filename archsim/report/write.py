"""Composes the report of a run: `result.json`, its warnings, and the manifest beside it."""

from __future__ import annotations

import platform
import resource
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from math import fsum
from typing import Any

from archsim import __version__
from archsim.core.yamlio import sha256_of
from archsim.report.account import Totals
from archsim.report.energy import Spent
from archsim.report.model import Report
from archsim.report.result import op_classes, peak_flops, stall_shares, traffic, verdict
from archsim.system.place import Plan
from archsim.system.simulate import PS_PER_S, Bound, Timed

NOTES = {
    "cycle": "cycle equals tile here: no bank-level DRAM or network is described by this machine",
    "tile": "memory is bandwidth and latency behind one port",
    "analytic": "each stage takes as long as its busiest resource; stages do not overlap",
    "bound": "compulsory bytes and peak arithmetic only; not a prediction",
}


def compose(
    plan: Plan,
    inputs: dict[str, Any],
    options: dict[str, Any],
    least: Bound,
    result: Timed | None,
    totals: Totals | None,
    spent: Spent | None,
    ops: list[dict[str, Any]],
    *,
    began: float,
    how: dict[str, Any] | None = None,
) -> Report:
    """The report of a run; of the bound alone when nothing was timed."""
    time_ps = result.time_ps if result else least.ps
    warnings = [f"W204 {rule} never matched an op of this workload" for rule in plan.unmatched]
    warnings += [f"{code} {text}" for code, text in plan.graph.facts.get("warnings", ())]
    name = plan.graph.name
    data: dict[str, Any] = {
        "schema": "archsim.result/1",
        "key": sha256_of({**inputs, **options, "version": __version__}),
        "fidelity": options["fidelity"],
        "status": "ok",
        "seed": options["seed"],
        "inputs": {
            "hardware": {"name": plan.machine.spec.name, "sha256": sha256_of(inputs["hardware"])},
            "workload": {"name": name, "sha256": sha256_of(inputs["workload"])},
        },
        "time_ps": time_ps,
        "bound_ps": least.ps,
        "bound_by": least.by,
        "ratio_to_bound": time_ps / least.ps if least.ps else None,
        "metrics": _metrics(plan, time_ps, totals, spent),
        "fidelity_notes": [NOTES[options["fidelity"]]],
        "warnings": warnings,
        "model": {
            k: v for k, v in sorted(plan.graph.facts.items()) if k not in ("warnings", "source")
        },
    }
    if result is not None and totals is not None and spent is not None:
        stalls = stall_shares(totals, time_ps)
        data |= {
            "verdict": verdict(plan, time_ps, least, stalls),
            "stalls": stalls,
            "op_classes": op_classes(plan, ops, time_ps, totals),
            "traffic": traffic(plan, totals),
            "counts": dict(sorted(totals.all.items())),
            "units": totals.units,
            "energy_rows": spent.rows,
            "fold": _folds(result),
            "placement": {
                "resident": sorted(plan.resident),
                "resident_bytes": plan.resident_bytes,
                "stream_bytes": plan.stream_bytes,
            },
            "checks": dict.fromkeys(
                ("tokens_conserved", "bytes_conserved", "macs_counted", "time_accounted",
                 "energy_sums"), True),
            "placeholders_used": sorted(
                key for key, row in spent.rows.items() if row["accuracy"] == "assumed"
            ),
        }  # fmt: skip
    return Report(data, ops, warnings, inputs, _manifest(began, how or {}, result))


def _metrics(
    plan: Plan, time_ps: int, totals: Totals | None, spent: Spent | None
) -> dict[str, Any]:
    graph, machine = plan.graph, plan.machine
    time_s = time_ps / PS_PER_S
    tokens = graph.facts.get("output_tokens")
    areas = machine.area_mm2()
    metrics: dict[str, Any] = {
        "time_s": time_s,
        "latency": None,
        "throughput": {"output_tok_per_s": tokens / time_s if tokens else None},
        "area_mm2": {"total": fsum(areas.values()), "by_component": areas},
        "memory_peak_bytes": {
            machine.sram.name: plan.resident_bytes + _room(plan),
            machine.dram.name: sum(plan.dram_bytes.values()),
        },
    }
    if totals is None or spent is None:
        return metrics
    moved = totals.matching("dram.")
    kept = totals.matching("dram.read.weight.") + totals.matching("dram.read.kv_cache.")
    metrics |= {
        "energy_j": {
            "total": spent.total_j,
            "by_component": spent.by_component,
            "per_output_tok": spent.total_j / tokens if tokens else None,
        },
        "power_w": {"mean": spent.total_j / time_s, "peak": None},
        "utilization": {
            "mfu": 2 * graph.macs() / (time_s * peak_flops(plan)),
            "mbu": kept / (time_s * machine.dram.peak_bytes_per_s),
            "by_resource": _busy(totals, time_ps)
            | {machine.dram.name: moved / (time_s * machine.dram.peak_bytes_per_s)},
        },
    }
    return metrics


def _room(plan: Plan) -> int:
    rooms = [s.room_bytes for b in plan.blocks for s in b.stages]
    return min(plan.stream_bytes, 2 * max(rooms, default=0))


def _busy(totals: Totals, time_ps: int) -> dict[str, float]:
    return {
        name: spent["busy_ps"] / time_ps for name, spent in totals.units.items() if spent["busy_ps"]
    }


def _folds(result: Timed) -> list[dict[str, Any]]:
    if result.run is None:
        return []
    return [
        {"loop": f.loop, "period": f.period, "simulated": f.simulated, "counted": f.counted}
        for f in result.run.folds
    ]


def _manifest(began: float, how: dict[str, Any], result: Timed | None) -> dict[str, Any]:
    """What may differ between equal runs."""
    libraries = {}
    for name in ("numpy", "simpy", "pydantic", "pint", "numba"):
        try:
            libraries[name] = version(name)
        except PackageNotFoundError:
            libraries[name] = "absent"
    run = result.run if result else None
    return {
        "schema": "archsim.manifest/1",
        "archsim": __version__,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "host": platform.node(),
        "argv": sys.argv,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "wall_s": time.perf_counter() - began,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "libraries": libraries,
        "steps": run.steps if run else None,
        "steps_simulated": run.steps_simulated if run else None,
        **how,
    }
