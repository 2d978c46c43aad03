"""What `map` prints: each stage's loop nest, and the bytes it moves at each level."""

from typing import Any

from archsim.core.errors import Diagnostic, InputError, nearest


def stages(
    hardware: str, workload: str, selector: str, **options: Any
) -> list[tuple[dict[str, Any], str]]:
    """Data and text of every stage that a selector covers.

    Args:
        hardware: name or path of a machine.
        workload: name or path of a workload or model.
        selector: op class, family, or glob on the path `block/op`.
        options: overrides and phase, as `api.run` takes them.

    Raises:
        InputError: E201 when the selector covers nothing; the help is the closest path, or all.
    """
    from archsim import api
    from archsim.system.build import selects

    plan = api.place_only(hardware, workload, **options)
    rows = {row["op"]: row for row in _moved(hardware, workload, options)}
    found = [
        (_data(block.block.count, stage, rows[stage.path]), _text(block, stage, rows[stage.path]))
        for block in plan.blocks
        for stage in block.stages
        if any(selects(selector, f"{stage.block}/{op.name}", op.op_class) for op in stage.ops)
    ]
    if not found:
        paths = ", ".join(rows)
        known = {*rows, *(row["op_class"] for row in rows.values())}
        close = nearest(selector, known)
        help_text = f'did you mean "{close}"?' if close else f"paths are: {paths}"
        where = Diagnostic("E201", "", f"--op {selector}")
        raise InputError("covers no op", help=help_text, where=where)
    return found


def _moved(hardware: str, workload: str, options: dict[str, Any]) -> list[dict[str, Any]]:
    """Bytes by stage and level: the counts of the closed-form reduction."""
    from archsim import api

    return api.run(hardware, workload, fidelity="analytic", **options).ops


def _data(count: int, stage: Any, row: dict[str, Any]) -> dict[str, Any]:
    mapping = stage.mapping
    return {
        "op": stage.path,
        "repeats": count,
        "fused": [op.name for op in stage.ops[1:]],
        "engine": stage.engine.name,
        "dataflow": row["dataflow"],
        "order": list(mapping.order) if mapping else ["m"],
        "tile": dict(mapping.tile) if mapping else {"m": stage.tile_rows},
        "held": sorted(mapping.keep) if mapping else [],
        "room_bytes": stage.room_bytes,
        "traffic_bytes": {key: value for key, value in row.items() if key.endswith("_bytes")},
    }


def _text(block: Any, stage: Any, row: dict[str, Any]) -> str:
    from archsim.core.units import format_bytes

    count = block.block.count
    lines = [stage.path + (f"  x {count}" if count > 1 else "")]
    if stage.mapping:
        lines += ["  " + line for line in stage.mapping.render().splitlines()]
    else:
        op, name = stage.ops[0], stage.engine.name
        lines.append(f"  {op.name}: streaming on {name}   [m {op.rows()}]")
        if stage.tile_rows:
            tiles = -(-op.rows() // stage.tile_rows)
            lines.append(f"    for m in {tiles} tiles of {stage.tile_rows}")
    lines += [f"    then {op.name} on each tile" for op in stage.ops[1:]]
    for level, keys in _LEVELS:
        moved = [f"{name} {format_bytes(row[key])}" for name, key in keys if row[key]]
        together = ", all repeats together" if count > 1 else ""
        lines.append(f"  {level}{together}: {', '.join(moved) or 'nothing'}")
    return "\n".join(lines)


_LEVELS = (
    (
        "off chip",
        (
            ("in", "dram_in_bytes"),
            ("weight", "dram_weight_bytes"),
            ("out", "dram_out_bytes"),
            ("partial", "dram_partial_bytes"),
        ),
    ),
    ("on chip", (("read", "sram_read_bytes"), ("written", "sram_write_bytes"))),
)
