"""Composes the report of a run: `result.json`, its warnings, and the manifest beside it."""

from __future__ import annotations

import platform
import resource
import sys
import time
from dataclasses import asdict
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from math import fsum
from typing import Any

from archsim import __version__
from archsim.core.units import PS_PER_S
from archsim.core.yamlio import sha256_of
from archsim.ir.record import RunRecord
from archsim.ir.tensor import Role
from archsim.report.account import Totals, account
from archsim.report.banks import banks
from archsim.report.banks import note as bank_note
from archsim.report.budgets import kept
from archsim.report.energy import Spent, spend
from archsim.report.floor import floor, floor_note
from archsim.report.model import Report
from archsim.report.pim import check_inside, pim, pim_note
from archsim.report.pod import NOTE as POD_NOTE
from archsim.report.pod import network, pod_answers
from archsim.report.provenance import not_modelled, provenance
from archsim.report.result import (
    critical,
    op_classes,
    op_rows,
    stall_shares,
    tiers,
    traffic,
)
from archsim.report.staging import expert_cache, staging
from archsim.report.stream import streams
from archsim.report.verdict import verdict

NOTES = {
    "cycle": "cycle equals tile here: no bank-level DRAM or network on the chip is described",
    "tile": "memory is bandwidth and latency behind one port",
    "analytic": "each stage takes as long as its busiest resource; stages do not overlap",
    "bound": "compulsory bytes and peak arithmetic only; not a prediction",
}

LIBRARIES = ("numpy", "simpy", "pydantic", "pint", "numba")
LAWS = ("tokens_conserved", "bytes_conserved", "macs_counted", "time_accounted", "energy_sums")


def compose(
    run: RunRecord, inputs: dict[str, Any], options: dict[str, Any], how: dict[str, Any]
) -> Report:
    """The report of a run; of the bound alone when nothing was timed.

    Args:
        run: what the run left behind.
        inputs: hardware and workload in resolved form.
        options: what alters the answer beside them: fidelity and seed.
        how: what does not: engine, exactness, wall times; goes to the manifest.

    Raises:
        LawViolation: when bytes, operations, time or energy do not add up.
    """
    graph, least = run.graph, run.bound
    warnings = [f"W204 {rule} never matched an op of this workload" for rule in run.unmatched]
    warnings += [f"{code} {text}" for code, text in run.unheard]
    warnings += [f"{code} {text}" for code, text in graph.facts.get("warnings", ())]
    warnings += [f"{code} {text}" for code, text in (run.pod.notes if run.pod else ())]
    hidden = ("warnings", "source", "content")
    data: dict[str, Any] = {
        "schema": "archsim.result/1",
        "key": sha256_of({**inputs, **options, "content": graph.facts.get("content"),
                          "version": __version__}),
        "fidelity": options["fidelity"],
        "status": "ok",
        "seed": options["seed"],
        "inputs": {
            "hardware": {"name": run.machine.name, "sha256": sha256_of(inputs["hardware"])},
            "workload": {"name": graph.name, "sha256": sha256_of(inputs["workload"])},
        },
        "time_ps": run.time_ps,
        "bound_ps": least.ps,
        "bound_by": least.by,
        "bound": {f"{name}_ps": ps for name, ps in least.times.items()},
        "ratio_to_bound": run.time_ps / least.ps if least.ps else None,
        "machine": _machine(run),
        "fidelity_notes": [
            bank_note(run.banks) if run.banks else NOTES[_note_of(run, options["fidelity"])],
            *pim_note(run),
            *floor_note(run),
            *([POD_NOTE] if run.pod else ()),
        ],
        "warnings": warnings,
        "model": {k: v for k, v in sorted(graph.facts.items()) if k not in hidden},
    }  # fmt: skip
    if run.dispatch:
        data["dispatch"] = [asdict(one) for one in run.dispatch]
    ops: list[dict[str, Any]] = []
    if run.timed:
        totals = account(run)
        check_inside(run, totals)
        spent = spend(run, totals)
        ops = op_rows(run, totals, spent)
        data |= {"metrics": _metrics(run) | _spent(run, totals, spent) | network(run, totals)}
        data |= _answers(run, totals, spent, ops)
        data |= pod_answers(run, totals)
        data |= floor(run, totals)
        if run.pims:
            data["pim"] = pim(run)
        if run.streams:
            data["streams"] = streams(run)
        data["provenance"] = provenance(spent.rows, run.machine.area_mm2, inputs["hardware"])
        data["not_modelled"] = list(not_modelled(run, inputs["hardware"]))
    else:
        data["metrics"] = _metrics(run)
    data["budgets"] = kept(run.machine.budgets, data["metrics"])
    return Report(data, ops, warnings, inputs, _manifest(how, run))


def _note_of(run: RunRecord, fidelity: str) -> str:
    """Which note says how memory is timed: with routers or PIM, cycle and tile differ beside."""
    return "tile" if (run.floor or run.pims) and fidelity == "cycle" else fidelity


def _machine(run: RunRecord) -> dict[str, Any]:
    """What the machine offers: the roofs that ops are compared with."""
    machine, memory = run.machine, run.memory
    return {
        "peak_flop_per_s": machine.peak_flops if machine.engine_peak_flops else None,
        "engine_peak_flop_per_s": dict(machine.engine_peak_flops),
        "bandwidth_bytes_per_s": machine.dram_peak_bytes_per_s,
        "capacity_bytes": {machine.sram: memory.sram_capacity_bytes}
        | {tier.name: tier.capacity_bytes for tier in memory.tiers},
    }


def _answers(
    run: RunRecord, totals: Totals, spent: Spent, ops: list[dict[str, Any]]
) -> dict[str, Any]:
    stalls = stall_shares(totals, run.time_ps)
    memory = run.memory
    return {
        "verdict": verdict(run, stalls),
        "stalls": stalls,
        "critical": critical(run, totals),
        "op_classes": op_classes(run, ops, totals),
        "traffic": traffic(run, totals),
        "counts": dict(sorted(totals.all.items())),
        "units": totals.units,
        "launches": run.launches,
        "energy_rows": spent.rows,
        "fold": [asdict(fold) for fold in run.folds],
        "placement": {
            "resident": list(memory.resident),
            "resident_bytes": memory.resident_bytes,
            "stream_bytes": memory.stream_bytes,
            "tiers": tiers(run),
        },
        "staging": staging(run),
        "expert_cache": expert_cache(run),
        "banks": banks(run),
        # each of these was checked on the way here; a law that fails ends the run
        "checks": dict.fromkeys(LAWS, True),
        "placeholders_used": sorted(
            key for key, row in spent.rows.items() if row["accuracy"] == "assumed"
        ),
    }


def _metrics(run: RunRecord) -> dict[str, Any]:
    time_s = run.time_ps / PS_PER_S
    machine, memory = run.machine, run.memory
    tokens = {kind: run.graph.facts.get(f"{kind}_tokens") for kind in ("prompt", "output")}
    return {
        "time_s": time_s,
        "latency": None,
        "throughput": {
            f"{kind}_tok_per_s": count / time_s if count else None for kind, count in tokens.items()
        },
        "area_mm2": {
            "total": fsum(machine.area_mm2.values()), "by_component": dict(machine.area_mm2),
        },
        "memory_peak_bytes": {
            machine.sram: memory.resident_bytes + memory.tiles_bytes,
            **{tier.name: tier.peak_bytes for tier in memory.tiers},
        },
    }  # fmt: skip


def _spent(run: RunRecord, totals: Totals, spent: Spent) -> dict[str, Any]:
    machine, time_s = run.machine, run.time_ps / PS_PER_S
    tokens = run.graph.facts.get("output_tokens")
    kept = sum(totals.used(machine.dram, "read", r) for r in (Role.WEIGHT, Role.KV_CACHE))
    peak_bytes = time_s * machine.dram_peak_bytes_per_s
    busy = {
        name: unit["busy_ps"] / run.time_ps
        for name, unit in totals.units.items()
        if unit["busy_ps"]
    }
    return {
        "energy_j": {
            "total": spent.total_j,
            "by_component": spent.by_component,
            "per_output_tok": spent.total_j / tokens if tokens else None,
        },
        "power_w": {"mean": spent.total_j / time_s, "peak": None},
        "utilization": {
            "mfu": 2 * run.graph.macs() / (time_s * machine.peak_flops),
            "mbu": kept / peak_bytes,
            "by_resource": busy
            | {
                tier.name: totals.matching(totals.prefix(tier.name))
                / (time_s * tier.peak_bytes_per_s)
                for tier in run.memory.tiers
            },
        },
    }


def _manifest(how: dict[str, Any], run: RunRecord) -> dict[str, Any]:
    """What may differ between equal runs."""
    return {
        "schema": "archsim.manifest/1",
        "archsim": __version__,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "host": platform.node(),
        "argv": sys.argv,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "libraries": {name: _version(name) for name in LIBRARIES},
        "steps": run.steps or None,
        "steps_simulated": run.steps_simulated or None,
        **how,
    }


@cache
def _version(library: str) -> str:
    """Of an installed library; its metadata take longer to read than a small run takes."""
    try:
        return version(library)
    except PackageNotFoundError:
        return "absent"
