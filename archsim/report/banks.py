"""What memories with banks made of the transfers: row hits, conflicts, efficiency by tensor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from archsim.core.units import PS_PER_S
from archsim.ir.record import BankRecord, RunRecord


def banks(run: RunRecord) -> dict[str, Any]:
    """By memory: how it was used on the whole, and by stage and tensor.

    A row hit found its row open, a miss the bank closed, a conflict another row open; efficiency is
    the share of the peak bandwidth that transfers reach while they hold the port.
    """
    peak = {tier.name: tier.peak_bytes_per_s for tier in run.memory.tiers}
    found = {}
    for memory in sorted({record.memory for record in run.banks}):
        mine = [record for record in run.banks if record.memory == memory]
        whole = _summary(mine, peak[memory])
        stages = {}
        for record in mine:
            stages[record.stage] = _summary([record], peak[memory]) | {
                "tensors": {
                    name: {
                        "bytes": record.repeats * size,
                        "efficiency": _efficiency(size, held, peak[memory]),
                    }
                    for name, (size, held) in sorted(record.moved.items())
                }
            }
        found[memory] = whole | {"stages": stages}
    return found


def note(records: Iterable[BankRecord]) -> str:
    """Which memories were simulated down to their banks, and how much of their bursts."""
    by_memory: dict[str, tuple[int, int]] = {}
    for record in records:
        simulated, bursts = by_memory.get(record.memory, (0, 0))
        by_memory[record.memory] = (
            simulated + min(record.simulated, record.bursts),
            bursts + record.bursts,
        )
    parts = [
        f"{name} bank by bank, {simulated / bursts:.1%} of the bursts of its stages streamed"
        for name, (simulated, bursts) in sorted(by_memory.items())
        if bursts
    ]
    return "; ".join(parts)


def _summary(records: Iterable[BankRecord], peak: float) -> dict[str, Any]:
    """Totals over stages; what was simulated of a stage stands for the whole of it."""
    mine = list(records)
    size = sum(r.repeats * s for r in mine for s, _ in r.moved.values())
    held = sum(r.repeats * t for r in mine for _, t in r.moved.values())
    counted = {
        key: sum(r.repeats * _scaled(r, getattr(r, key)) for r in mine)
        for key in ("row_hits", "row_misses", "row_conflicts", "activates")
    }
    columns = counted["row_hits"] + counted["row_misses"] + counted["row_conflicts"]
    return {
        "bursts": sum(r.repeats * r.bursts for r in mine),
        "simulated_bursts": sum(r.simulated for r in mine),
        "efficiency": _efficiency(size, held, peak),
        "row_hit_rate": counted["row_hits"] / columns if columns else None,
        "row_conflict_rate": counted["row_conflicts"] / columns if columns else None,
        "activates": counted["activates"],
    }


def _scaled(record: BankRecord, count: int) -> int:
    return round(count * record.bursts / record.simulated) if record.simulated else 0


def _efficiency(size_bytes: int, held_ps: int, peak_bytes_per_s: float) -> float | None:
    return size_bytes * PS_PER_S / (held_ps * peak_bytes_per_s) if held_ps else None


HEADER = ("Banks", "of peak", "row hits", "conflicts")


def lines(found: Mapping[str, Any], most: int = 4) -> list[list[str]]:
    """Rows of the report: each memory, then the tensors whose transfers lose most time.

    Columns are those of `HEADER`; hits and conflicts of a tensor are those of its stage.
    """
    rows = []
    for memory, whole in found.items():
        rows.append(_line(memory, whole["efficiency"], whole))
        for stage, tensor, efficiency in _costly(whole)[:most]:
            name = f"  {stage.rpartition('/')[2]}: {tensor}"
            rows.append(_line(name, efficiency, whole["stages"][stage]))
    return rows


def _line(name: str, efficiency: float | None, rows: Mapping[str, Any]) -> list[str]:
    shares = (efficiency, rows["row_hit_rate"], rows["row_conflict_rate"])
    return [name, *map(_percent, shares)]


def _costly(whole: Mapping[str, Any]) -> list[tuple[str, str, float]]:
    """(stage, tensor, efficiency), those first that lose most time against the peak bandwidth."""
    found = [
        (stage, name, part["efficiency"], part["bytes"])
        for stage, one in whole["stages"].items()
        for name, part in one["tensors"].items()
        if part["efficiency"]
    ]
    lost = {(stage, name): size * (1 / share - 1) for stage, name, share, size in found}
    ordered = sorted(found, key=lambda row: (-lost[row[0], row[1]], row[0], row[1]))
    return [(stage, name, share) for stage, name, share, _ in ordered]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
