"""Rules that no op of a graph matched; those for phases that it has no ops of say nothing of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from archsim.ir.graph import OpGraph
from archsim.system.build import Machine, selects
from archsim.system.dispatch_rule import DispatchRule


def unmatched(machine: Machine, graph: OpGraph, used: Collection[str]) -> Iterator[str]:
    """Dispatch and mapping rules by their place, but those used."""
    step = dict(graph.facts.get("phase") or {}).get("kind", "")
    for i, rule in enumerate(machine.spec.dispatch):
        if f"dispatch[{i}]" not in used and not _of_others(rule, graph, step):
            split = rule.split is not None and _covers(rule, graph)  # ops, nothing of them to split
            yield f"dispatch[{i}]" + (f".split by {rule.split.by}" if split else "")
    rules = [f"mapping[{i}]" for i in range(len(machine.spec.mapping))]
    yield from (rule for rule in rules if rule not in used)


def _of_others(rule: DispatchRule, graph: OpGraph, step: str) -> bool:
    """Whether a rule is for phases or steps of other workloads."""
    phases = {op.phase for _, op in graph.ops()}
    if rule.phase and phases.isdisjoint(rule.phase):
        return True
    return bool(rule.step) and not (phases if not step else {step}) & set(rule.step)


def _covers(rule: DispatchRule, graph: OpGraph) -> bool:
    return any(selects(rule.ops, f"{b.name}/{op.name}", op.op_class) for b, op in graph.ops())
