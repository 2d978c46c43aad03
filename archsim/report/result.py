"""`result.json`: the answer as plain data, in which nothing differs between equal runs."""

from __future__ import annotations

from math import fsum
from typing import Any

from archsim.components.base import MacEngine
from archsim.ir.tensor import Role
from archsim.report.account import Totals
from archsim.report.energy import Spent
from archsim.system.place import Plan, Stage
from archsim.system.simulate import PS_PER_S, Bound, Timed


def op_rows(plan: Plan, timed: Timed, totals: Totals, spent: Spent) -> list[dict[str, Any]]:
    """One row per stage: what it is, where it ran, what it took; repeats are summed."""
    rows = []
    for i, stage in enumerate(timed.schedule.stages):
        counts = totals.by_stage[i]
        own = sum(ps for (s, _), ps in totals.critical_ps.items() if s == i)
        macs = totals.matching("mac.", i)
        folds = counts["array.folds"]
        rows.append(
            {
                "op": stage.path,
                "fused": " + ".join(op.name for op in stage.ops[1:]),
                "op_class": stage.ops[0].op_class,
                "engine": stage.engine.name,
                "dataflow": stage.mapping.dataflow if stage.mapping else "streaming",
                "repeats": timed.schedule.repeats[i],
                "time_ps": own,
                "share": own / timed.time_ps,
                "bound_by": _bound_by(totals, i),
                "macs": macs,
                "vector_points": counts["vector.points"],
                "compute_cycles": counts["array.cycles"] if stage.mapping else
                counts["vector.cycles"],
                "vector_cycles": counts["vector.cycles"],
                "folds": folds,
                "mapping_eff_pct": _mapping_eff(stage),
                "sram_in_reads": counts["array.in_reads"],
                "sram_weight_reads": counts["array.weight_reads"],
                "sram_out_writes": counts["array.out_writes"],
                "sram_read_bytes": counts["sram.read"],
                "sram_write_bytes": counts["sram.write"],
                "dram_in_bytes": _dram(counts, "read", "in"),
                "dram_weight_bytes": _dram(counts, "read", "weight"),
                "dram_out_bytes": _dram(counts, "write", "out"),
                "dram_partial_bytes": _dram(counts, "read", "partial")
                + _dram(counts, "write", "partial"),
                "energy_j": spent.by_stage[i],
            }
        )  # fmt: skip
    return rows


def _dram(counts: Any, way: str, operand: str) -> int:
    return sum(
        n
        for key, n in counts.items()
        if key.startswith(f"dram.{way}.") and key.endswith(f".{operand}")
    )


def _bound_by(totals: Totals, stage: int) -> str:
    parts = {reason: ps for (s, reason), ps in totals.critical_ps.items() if s == stage}
    return max(sorted(parts), key=parts.__getitem__) if parts else "hidden"


def _mapping_eff(stage: Stage) -> float | None:
    """Share of the array's cells that hold work, mean over the folds, in percent."""
    mapping = stage.mapping
    if mapping is None or not isinstance(stage.engine, MacEngine):
        return None
    high, wide, _ = stage.engine.grid
    along = {"weight": ("k", "n"), "input": ("k", "m"), "output": ("m", "n")}[mapping.stationary]
    used = cells = 0
    for e in mapping.problem.cases:
        rows, cols = e.of(along[0]), e.of(along[1])
        folds = -(-rows // high) * -(-cols // wide)
        used += e.b * rows * cols
        cells += e.b * folds * high * wide
    return 100.0 * used / cells


def traffic(plan: Plan, totals: Totals) -> dict[str, dict[str, int]]:
    """DRAM bytes by role and direction; every class listed, zero where it fits on chip."""
    out = {}
    for role in Role:
        out[f"{role.value}_read_bytes"] = totals.matching(f"dram.read.{role.value}.")
        out[f"{role.value}_written_bytes"] = totals.matching(f"dram.write.{role.value}.")
    out["total_bytes"] = totals.matching("dram.")
    return {plan.machine.dram.name: out}


def op_classes(
    plan: Plan, rows: list[dict[str, Any]], time_ps: int, totals: Totals
) -> list[dict[str, Any]]:
    """Shares of the critical path by op class; they sum to one."""
    groups: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        groups.setdefault(row["op_class"], []).append(i)
    peak_bw = plan.machine.dram.peak_bytes_per_s
    out = []
    for op_class, members in groups.items():
        ps = sum(rows[i]["time_ps"] for i in members)
        time_s = ps / PS_PER_S
        moved = sum(
            totals.matching(f"dram.read.{role}.", i)
            for i in members
            for role in ("weight", "kv_cache")
        )
        flops = 2 * sum(rows[i]["macs"] for i in members)
        longest = max(members, key=lambda i: rows[i]["time_ps"])
        out.append(
            {
                "op_class": op_class,
                "share": ps / time_ps,
                "time_ps": ps,
                "engine": rows[longest]["engine"],
                "bound_by": rows[longest]["bound_by"],
                "mfu": flops / (time_s * peak_flops(plan)) if ps else None,
                "mbu": moved / (time_s * peak_bw) if ps else None,
            }
        )
    return sorted(out, key=lambda c: (-c["time_ps"], c["op_class"]))


def peak_flops(plan: Plan) -> float:
    """Peak FLOP/s of the MAC engines at the dtype of most of the MACs."""
    dtypes: dict[str, int] = {}
    for block, op in plan.graph.ops():
        if op.is_mac:
            name = plan.graph.tensors[op.reads[1].tensor].dtype.name
            dtypes[name] = dtypes.get(name, 0) + block.count * op.macs()
    if not dtypes:
        return float("inf")
    dtype = max(sorted(dtypes), key=dtypes.__getitem__)
    return 2 * fsum(e.macs_per_s(dtype) for e in plan.machine.mac_engines)


def stall_shares(totals: Totals, time_ps: int) -> dict[str, float]:
    """Share of the makespan by reason: whatever the critical path waited on; sums to one."""
    reasons: dict[str, int] = {}
    for (_, reason), ps in totals.critical_ps.items():
        reasons[reason] = reasons.get(reason, 0) + ps
    order = sorted(reasons, key=lambda r: (-reasons[r], r))
    return {reason: reasons[reason] / time_ps for reason in order}


def verdict(plan: Plan, time_ps: int, least: Bound, stalls: dict[str, float]) -> str:
    """One sentence: what bounds the run, how far from physics, and what takes the rest."""
    ratio = time_ps / least.ps if least.ps else float("inf")
    first, share = next(iter(stalls.items()))
    text = (
        f"{plan.graph.name} on {plan.machine.spec.name} is bound by {least.by}: "
        f"{ratio:.2f} x the physical bound, {100 * share:.0f} % of the time goes to {first}"
    )
    if ratio <= 1.3:
        return text + "."
    dram = plan.machine.dram.name
    macs = [e.name for e in plan.machine.mac_engines]
    own = {f"{dram}_bandwidth"} if least.by == "memory" else {f"{name}_busy" for name in macs}
    itself = ratio * fsum(share for reason, share in stalls.items() if reason in own)
    reasons = [f"{r} ({100 * s:.0f} %)" for r, s in stalls.items() if r not in own and s >= 0.03]
    if itself > 1.02:
        waste = "tiles read again" if least.by == "memory" else "part-filled folds, fill and drain"
        reasons.append(f"{' and '.join(sorted(own))} at {itself:.2f} x its least ({waste})")
    return f"{text}; above 1.3 because of {', '.join(reasons)}."
