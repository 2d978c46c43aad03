"""What `bound` prints: the bound of a run and of each stage by itself."""

from dataclasses import asdict
from typing import Any


def bounds(hardware: str, workload: str, **options: Any) -> dict[str, Any]:
    """The bound of a workload on a machine, and of each of its stages.

    Args:
        hardware: name or path of a machine.
        workload: name or path of a workload or model.
        options: overrides and phase, as `api.run` takes them.
    """
    from archsim import api
    from archsim.system.bound import bound, one_after_another_ps, stage_bounds

    plan = api.place_only(hardware, workload, **options)
    least = bound(plan)
    rows, stages = [], stage_bounds(plan)
    for stage in stages:
        moved = stage.read_bytes + stage.write_bytes
        intensity = 2 * stage.macs / moved if moved else None
        known = {name: value for name, value in asdict(stage).items() if value is not None}
        rows.append({**known, "flop_per_byte": intensity, "ps": stage.ps, "by": stage.by})
    return {
        "hardware": plan.machine.spec.name,
        "workload": plan.graph.name,
        "bound_ps": least.ps,
        "bound_by": least.by,
        "bound": {f"{name}_ps": ps for name, ps in least.times.items()},
        "one_after_another_ps": one_after_another_ps(stages),
        "ops": rows,
    }


def text(found: dict[str, Any]) -> str:
    """The bound for people: the total first, then the ops."""
    from archsim.cli._output import table_text
    from archsim.core.units import format_bytes, format_si

    def seconds(ps: int) -> str:
        return format_si(ps * 1e-12, "s") if ps else "-"

    least = found["bound"]
    head = [
        [f"{found['workload']} on {found['hardware']}"],
        [f"at least {seconds(found['bound_ps'])}, bound by {found['bound_by']}"],
    ]
    totals = [[name.removesuffix("_ps"), seconds(ps)] for name, ps in least.items()]
    serial = seconds(found["one_after_another_ps"])
    whose = " of the busiest device" if any("share" in row for row in found["ops"]) else ""
    totals.append([f"ops{whose} one after another, data in the nearest memory", serial])
    rows = [
        [
            f"{row['path']} x {row['repeats']}",
            format_bytes(row["read_bytes"] + row["write_bytes"]),
            format_si(row["macs"], "MAC") if row["macs"] else "-",
            f"{row['flop_per_byte']:.3g}" if row["flop_per_byte"] else "-",
            seconds(row["ps"]),
            row["by"] if row["ps"] else "",
        ]
        for row in found["ops"]
    ]
    header = ["op", "bytes", "MACs", "FLOP/B", "at least", "by"]
    return "\n\n".join((table_text(head), table_text(totals), table_text(rows, header)))
