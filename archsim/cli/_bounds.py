"""What `bound` prints: the bound of a run and of each stage by itself."""

from dataclasses import asdict
from typing import Any

GAP = 2  # columns between those of a table


def bounds(hardware: str, workload: str, **options: Any) -> dict[str, Any]:
    """The bound of a workload on a machine, and of each of its stages.

    Args:
        hardware: name or path of a machine.
        workload: name or path of a workload or model.
        options: overrides and phase, as `api.run` takes them.
    """
    from archsim import api
    from archsim.system.bound import bound, one_after_another_ps, stage_bounds
    from archsim.system.intensity import intensities

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
        "intensity": [
            {**asdict(one), "op_per_byte": one.op_per_byte} for one in intensities(plan.graph)
        ],
        "ops": rows,
    }


def text(found: dict[str, Any]) -> str:
    """The bound for people: the total first, then the ops."""
    from archsim.cli._output import table_text, width
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
    if _columns(rows, header) > width():  # paths are long: bytes and FLOP/B say the MACs too
        header, rows = _without(header, 2), [_without(row, 2) for row in rows]
    parts = [table_text(head), table_text(totals), table_text(rows, header)]
    asks = [
        [row["op_class"], row["phase"], f"{row['op_per_byte']:.3g}", f"{row['rows']:.4g}",
         format_bytes(row["size_bytes"])]
        for row in found["intensity"]
    ]  # fmt: skip
    if asks:
        header = ["asked of a device", "phase", "Op/B", "rows a matrix", "operands and results"]
        parts.append(table_text(asks, header))
    return "\n\n".join(parts)


def _columns(rows: list[list[str]], header: list[str]) -> int:
    """Columns of the terminal that a table takes."""
    widest = [max(map(len, cells)) for cells in zip(header, *rows, strict=True)]
    return sum(widest) + GAP * (len(widest) - 1)


def _without(cells: list[str], at: int) -> list[str]:
    return [*cells[:at], *cells[at + 1 :]]
