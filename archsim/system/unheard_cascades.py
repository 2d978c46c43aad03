"""Attentions as cascades: masks that save nothing, and options of rules that no cascade heard.

What other options of mapping rules do is in `unheard_rules`.
"""

from __future__ import annotations

from collections.abc import Iterator

from archsim.core.units import format_bytes
from archsim.ir.cascade_mapping import CascadeMapping
from archsim.ir.region import RegionMapping
from archsim.system.cascade import rule_is_for
from archsim.system.cascade_rule import CascadeRule
from archsim.system.place import PAGES, Plan, Stage


def unheard_cascades(plan: Plan) -> Iterator[tuple[str, str]]:
    """(code, text) of each warning."""
    stages = [stage for block in plan.blocks for stage in block.stages]
    by_reason: dict[str, list[str]] = {}
    for stage in stages:
        if isinstance(stage.mapping, CascadeMapping) and (why := stage.mapping.computes_masked):
            by_reason.setdefault(why, []).append(stage.path)
    for why, paths in by_reason.items():
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        yield "W101", f"{paths[0]}{more}: {why}"
    for i, rule in enumerate(plan.machine.spec.mapping):
        if rule.cascade is None:
            continue
        here = [stage for stage in stages if rule_is_for(rule, stage)]
        found = [s.mapping for s in here if isinstance(s.mapping, CascadeMapping)]
        at = f"mapping[{i}].cascade"
        if found:
            for option, why in _ignored(rule.cascade, found, plan):
                yield "W101", f"{at}.{option} has no effect: {why}"
        elif not all(isinstance(stage.mapping, RegionMapping) for stage in here):
            yield "W101", f"{at} has no effect: {_how(here)}"


def _ignored(
    rule: CascadeRule, found: list[CascadeMapping], plan: Plan
) -> Iterator[tuple[str, str]]:
    """Options without effect on any of the mappings that a rule is for, and why."""
    free = plan.page_bytes * PAGES
    if rule.room is not None and rule.room > free:
        why = f"{format_bytes(rule.room)} are more than the {format_bytes(free)} that are free"
        yield "room", f"{why} on chip"
    if rule.held is None or any(m.dataflow == "flat" and "QK" not in m.traffic() for m in found):
        return
    flows = " and ".join(sorted({m.dataflow for m in found}))
    through = " with its scores through memory" if flows == "flat" else ""
    yield "held", f"{flows}{through} holds what its loops say"


def _how(stages: list[Stage]) -> str:
    """How the attentions among some stages are mapped instead, for people."""
    some = next((s for s in stages if s.template), stages[0])
    flow = some.mapping.dataflow if some.mapping else "no dataflow"
    return f"{some.path} is mapped by {flow}, which is no cascade"
