"""`result.json`: the answer as plain data, in which nothing differs between equal runs."""

from __future__ import annotations

from typing import Any

from archsim.core.units import PS_PER_S
from archsim.ir.record import RunRecord, StageRecord
from archsim.ir.tensor import TRAINING, Role
from archsim.report.account import CLASS, Totals
from archsim.report.energy import Spent


def op_rows(run: RunRecord, totals: Totals, spent: Spent) -> list[dict[str, Any]]:
    """One row per stage: what it is, where it ran, what it took; repeats are summed."""
    rows = []
    port, cells = _at_work(run)
    nests = any(stage.cells_used for stage in run.stages)
    for i, (stage, counts) in enumerate(zip(run.stages, totals.by_stage, strict=True)):
        own = sum(ps for (s, _), ps in totals.critical_ps.items() if s == i)
        rows.append(
            {
                "op": stage.path,
                "fused": stage.fused,
                "op_class": stage.op_class,
                "engine": stage.engine,
                "dataflow": stage.dataflow,
                "repeats": stage.repeats,
                "time_ps": own,
                "share": own / run.time_ps,
                "busy_ps": max(port[i], cells[i]),
                "bound_by": _bound_by(totals, i),
                "macs": totals.macs(i),
                "vector_points": counts["vector.points"],
                "compute_cycles": counts["array.cycles" if stage.is_mac else "vector.cycles"],
                "vector_cycles": counts["vector.cycles"],
                "folds": counts["array.folds"],
                "mapping_eff_pct": stage.mapping_eff_pct,
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
            | ({"cells_used": stage.cells_used} if nests else {})
            | _by_tier(run, totals, i)
            | _conflicts(totals, i)
        )
    return rows


def _conflicts(totals: Totals, stage: int) -> dict[str, int]:
    """Cycles that operands of an engine wait for a bank, where on-chip banks are counted."""
    counts = totals.by_stage[stage]
    return {
        f"sram_{operand}_conflict_cycles": counts[key]
        for operand in ("in", "weight", "out")
        if (key := f"array.{operand}_conflict_cycles") in counts
    }


def _by_tier(run: RunRecord, totals: Totals, stage: int) -> dict[str, int]:
    """Bytes behind the port of each memory, where there are several."""
    names = [tier.name for tier in run.memory.tiers]
    if len(names) < 2:
        return {}
    return {f"{name}_bytes": totals.matching(totals.prefix(name), stage) for name in names}


def _dram(counts: Any, way: str, operand: str) -> int:
    """Bytes between memory and chip, whichever memory it is."""
    return sum(
        n
        for key, n in counts.items()
        if key.startswith(("dram.", "tier.")) and f".{way}." in key and key.endswith(f".{operand}")
    )


def _bound_by(totals: Totals, stage: int) -> str:
    parts = {reason: ps for (s, reason), ps in totals.critical_ps.items() if s == stage}
    return max(sorted(parts), key=parts.__getitem__) if parts else "hidden"


def traffic(run: RunRecord, totals: Totals) -> dict[str, dict[str, int]]:
    """Bytes behind each memory's port by role and direction.

    Every class is listed, be it zero; those of training only where the graph has such tensors.
    """
    found = {}
    held = {tensor.role for tensor in run.graph.tensors.values()}
    roles = [role for role in Role if role in held or role not in TRAINING]
    for tier in run.memory.tiers:
        prefix, out = totals.prefix(tier.name), {}
        for role in roles:
            out[f"{role.value}_read_bytes"] = totals.matching(f"{prefix}read.{role.value}.")
            out[f"{role.value}_written_bytes"] = totals.matching(f"{prefix}write.{role.value}.")
        out["total_bytes"] = totals.matching(prefix)
        if len(run.memory.tiers) > 1:
            out["staged_bytes"] = out["total_bytes"] - totals.used(tier.name)
        found[tier.name] = out
    return found


def tiers(run: RunRecord) -> list[dict[str, Any]]:
    """What each memory behind the chip holds at most, the nearest first."""
    return [
        {
            "memory": tier.name,
            "path": [*tier.path, run.machine.sram],
            "capacity_bytes": tier.capacity_bytes,
            "held_bytes": dict(tier.held_bytes),
            "staging_bytes": tier.staging_bytes,
            "peak_bytes": tier.peak_bytes,
        }
        for tier in run.memory.tiers
    ]


def op_classes(run: RunRecord, rows: list[dict[str, Any]], totals: Totals) -> list[dict[str, Any]]:
    """Shares of the critical path by op class; they sum to one.

    A class that loads or computes behind another is on the critical path for less time than it is
    at work: MFU and MBU are over the longer of the two, so that neither exceeds its peak.
    """
    port, cells = _at_work(run)
    groups: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        groups.setdefault(row["op_class"], []).append(i)
    peak_bw = run.machine.dram_peak_bytes_per_s
    out = []
    for op_class, members in groups.items():
        ps = sum(rows[i]["time_ps"] for i in members)
        parts = [run.devices // run.stages[i].devices for i in members]  # peaks are of all devices
        alike = [_having(run, run.stages[i]) // run.stages[i].devices for i in members]
        moved = sum(
            part * totals.matching(f"dram.read.{role}.", i)
            for i, part in zip(members, parts, strict=True)
            for role in ("weight", "kv_cache")
        )
        flops = 2 * sum(part * rows[i]["macs"] for i, part in zip(members, alike, strict=True))
        longest = max(members, key=lambda i: rows[i]["time_ps"])
        out.append(
            {
                "op_class": op_class,
                "share": ps / run.time_ps,
                "time_ps": ps,
                "engine": rows[longest]["engine"],
                "bound_by": rows[longest]["bound_by"],
                "mfu": _rate(flops, max(ps, sum(cells[i] for i in members)))
                / run.machine.peak_flops,
                "mbu": _rate(moved, max(ps, sum(port[i] for i in members))) / peak_bw,
            }
        )
    return sorted(out, key=lambda c: (-c["time_ps"], c["op_class"]))


def _having(run: RunRecord, stage: StageRecord) -> int:
    """Devices that have the engine of a stage."""
    return run.machine.engine_devices.get(stage.engine, run.devices)


def _at_work(run: RunRecord) -> tuple[list[int], list[int]]:
    """Picoseconds that each stage keeps the memory's port and its own engine busy, on a device."""
    port, cells = ([0] * len(run.stages) for _ in range(2))
    for row in run.rows:
        unit = row.unit.partition(CLASS)[0] if run.pod else row.unit
        if row.port == run.machine.dram:
            port[row.stage] += row.devices * row.busy_ps
        elif unit == run.stages[row.stage].engine:
            cells[row.stage] += row.devices * row.busy_ps
    alike = [stage.devices for stage in run.stages]
    port, cells = ([ps // n for ps, n in zip(of, alike, strict=True)] for of in (port, cells))
    return port, cells


def _rate(amount: int, ps: int) -> float:
    """So many a second; none in no time."""
    return amount * PS_PER_S / ps if ps else 0.0


def critical(run: RunRecord, totals: Totals) -> dict[str, dict[str, int]]:
    """Picoseconds on the critical path by op and reason; they sum to the makespan."""
    found: dict[str, dict[str, int]] = {}
    for (stage, reason), ps in sorted(totals.critical_ps.items()):
        found.setdefault(run.stages[stage].path, {})[reason] = ps
    return found


def stall_shares(totals: Totals, time_ps: int) -> dict[str, float]:
    """Share of the makespan by reason: whatever the critical path waited on; sums to one."""
    reasons: dict[str, int] = {}
    for (_, reason), ps in totals.critical_ps.items():
        reasons[reason] = reasons.get(reason, 0) + ps
    order = sorted(reasons, key=lambda r: (-reasons[r], r))
    return {reason: reasons[reason] / time_ps for reason in order}
