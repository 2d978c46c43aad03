"""What `map` prints: each stage's loop nest, and the bytes it moves at each level."""

from dataclasses import asdict
from typing import Any

from archsim.cli._operands import operand_bytes, operand_lines
from archsim.cli._reasons import sent_lines
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
    from archsim.system.dispatch_record import dispatch_records
    from archsim.system.record_pod import named_stages

    plan = api.place_only(hardware, workload, **options)
    chosen = _selected(plan, selector)  # before anything is counted: a slip is told at once
    named = {id(stage): name for name, stage in named_stages(plan)}
    rows = {row["op"]: row for row in _moved(hardware, workload, options)}
    sent = {one.op: asdict(one) for one in dispatch_records(plan)}
    found = []
    for block, stage in chosen:
        row, operands = rows[named[id(stage)]], operand_bytes(stage, plan, block.block.count)
        data = _data(block.block.count, stage, row)
        if operands:
            data["operand_bytes"] = operands
        lines = [_text(block, stage, row), *operand_lines(operands)]
        if decided := sent.get(named[id(stage)]):
            data["dispatch"] = decided
            lines += sent_lines(decided)
        found.append((data, "\n".join(lines)))
    return found


def rules(hardware: str, workload: str, selector: str, **options: Any) -> str:
    """Mapping rules that give the same run, as YAML text: a nest for each stage that has one.

    Ops that run as one region have a rule that names them. The machine's own rules follow, and
    settle the rest; the text is laid over the machine with `--set-file`.

    Raises:
        InputError: E201 when the selector covers nothing.
    """
    from archsim import api
    from archsim.core.yamlio import dump_yaml
    from archsim.ir.mapping import Mapping
    from archsim.ir.nest import NestMapping
    from archsim.ir.nest_fused import FusedNest
    from archsim.ir.region import RegionMapping
    from archsim.system.fused_nest_stage import block_of
    from archsim.system.fused_nest_written import fused_data
    from archsim.system.nest_matrix import nest_data
    from archsim.system.rules import rule_option

    plan = api.place_only(hardware, workload, **options)
    found: list[dict[str, Any]] = []
    notes = [f"# mappings of {workload} on {plan.machine.spec.name}: use it with --set-file"]
    for _, stage in _selected(plan, selector):
        mapping, data, ops = stage.mapping, None, stage.path
        option = "fuse" if isinstance(mapping, RegionMapping) else "dataflow"
        asked = rule_option(plan.machine, stage.path, stage.ops[0], option, set())
        if isinstance(mapping, NestMapping):
            data = {"dataflow": mapping.dataflow, **mapping.to_data()}
        elif isinstance(mapping, Mapping):
            data = nest_data(mapping)
        elif isinstance(mapping, FusedNest):
            data, ops = fused_data(mapping), [f"{stage.block}/{o.name}" for o in block_of(stage)[0]]
        if data is not None:
            found.append({"ops": ops, "nest": data})
        elif isinstance(mapping, RegionMapping) and asked in (None, "region"):
            paths = [f"{stage.block}/{op.name}" for op in stage.ops]
            found.append({"ops": paths, "fuse": "region"})
        elif mapping is not None:
            who = "a rule below asks for it" if asked else "its engine chooses it"
            notes.append(f"# {stage.path}: {mapping.dataflow} is no nest, {who}")
    said = [rule["ops"] for rule in found if "nest" in rule]
    own = [
        rule
        for rule in plan.machine.spec.to_data().get("mapping", [])
        if rule not in found and ("nest" not in rule or rule["ops"] not in said)
    ]
    lines = [line for rule in found for line in _rule_lines(rule)]
    rest = dump_yaml(own).rstrip() if own else ""
    return "\n".join([*notes, "mapping:" + ("" if found or own else " []"), *lines, rest]).rstrip()


def _rule_lines(rule: dict[str, Any]) -> list[str]:
    """A rule: of a nest with one line a level, of a region with one line an op."""
    if "nest" not in rule:
        return ["- ops:", *(f"  - {path}" for path in rule["ops"]), f"  fuse: {rule['fuse']}"]
    nest, ops = rule["nest"], rule["ops"]
    lines = [f"- ops: {ops if isinstance(ops, str) else _flow(ops)}", "  nest:"]
    lines.append(f"    dataflow: {nest['dataflow']}")
    if "fuse" in nest:
        lines.append("    fuse:")
        for key, value in nest["fuse"].items():
            if key in ("first", "last"):
                lines += [f"      {key}:", *_level_lines(value, "        ")]
            else:
                lines.append(f"      {key}: {_flow(value)}")
        return lines
    return [*lines, "    levels:", *_level_lines(nest["levels"], "      ")]


def _level_lines(levels: dict[str, Any], indent: str) -> list[str]:
    """One line a level."""
    return [
        f"{indent}{name}: {{{', '.join(f'{key}: {_flow(v)}' for key, v in level.items())}}}"
        for name, level in levels.items()
    ]


def _flow(value: Any) -> str:
    """A value in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {v}" for key, v in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(value)}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _selected(plan: Any, selector: str) -> list[tuple[Any, Any]]:
    """Blocks and stages that a selector covers."""
    from archsim.system.build import selects

    plans = plan.pod.plans if plan.pod else (plan,)
    stages = [(block, s) for one in plans for block in one.blocks for s in block.stages]
    found = [
        (block, stage)
        for block, stage in stages
        if any(selects(selector, f"{stage.block}/{op.name}", op.op_class) for op in stage.ops)
    ]
    if not found:
        paths = [stage.path for _, stage in stages]
        classes = {stage.ops[0].op_class for _, stage in stages}
        close = nearest(selector, {*paths, *classes})
        help_text = f'did you mean "{close}"?' if close else f"paths are: {', '.join(paths)}"
        where = Diagnostic("E201", "", f"--op {selector}")
        raise InputError("covers no op", help=help_text, where=where)
    return found


def _moved(hardware: str, workload: str, options: dict[str, Any]) -> list[dict[str, Any]]:
    """Bytes by stage and level: the counts of the closed-form reduction."""
    from archsim import api

    return api.run(hardware, workload, fidelity="analytic", advice=False, **options).ops


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
        "searched": stage.searched.data() if stage.searched else None,
    }


def _text(block: Any, stage: Any, row: dict[str, Any]) -> str:
    from archsim.core.units import format_bytes
    from archsim.ir.nest_fused import FusedNest
    from archsim.ir.pim import PimMapping
    from archsim.system.fused_nest_stage import block_of

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
    if row.get("cells_used"):
        share = f"{row['mapping_eff_pct']:.1f} % of all steps"
        lines.append(f"    at work: {row['cells_used']}: {share}")
    after = stage.ops[1:]
    if isinstance(stage.mapping, FusedNest | PimMapping):
        inner, after = block_of(stage)
        if isinstance(stage.mapping, PimMapping):
            between = (op.name for op in inner if not op.is_mac)
            lines += [f"    {name} between, on {stage.vector.name}" for name in between]
    lines += [f"    then {op.name} on each tile" for op in after]
    lines += [f"  {line}" for line in (stage.searched.lines() if stage.searched else ())]
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
