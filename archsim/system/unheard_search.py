"""Templates and options of a search that no engine listens to: they choose tiles otherwise."""

from __future__ import annotations

from collections.abc import Iterator

from archsim.components.base import KernelEngine, MacEngine
from archsim.components.spatial_array import SpatialArray
from archsim.ir.region import RegionMapping
from archsim.system.flash_backward_chain import template_rule
from archsim.system.place import Plan, Stage
from archsim.system.rules import rule_of

OF_SEARCH = ("budget", "seed", "cache")


def unheard_search(plan: Plan) -> Iterator[tuple[str, str]]:
    """(code, text) of each option of a search on products of which none can be searched so."""
    stages = [s for b in plan.blocks for s in b.stages if s.ops[0].is_mac]
    for i, rule in enumerate(plan.machine.spec.mapping):
        for option in OF_SEARCH:
            if getattr(rule, option) is None:
                continue
            of = [s for s in stages if rule_of(plan.machine, s.path, s.ops[0], option, set()) == i]
            reasons = {_reason(stage) for stage in of}
            if reasons and "" not in reasons:
                yield "W101", f"mapping[{i}].{option} has no effect: {'; '.join(sorted(reasons))}"
        if rule.dataflow is not None:
            of = [s for s in stages if template_rule(plan.machine, s.path, s.ops[0]) == i]
            if of and all(isinstance(s.engine, KernelEngine) and not _fuses(s) for s in of):
                reasons = {_reason(stage) for stage in of}
                yield "W101", f"mapping[{i}].dataflow has no effect: {'; '.join(sorted(reasons))}"


def _fuses(stage: Stage) -> bool:
    """True for a stage of attention: on any engine, the template says whether it is one kernel."""
    return stage.ops[0].op_class.startswith("attention_")


def _reason(stage: Stage) -> str:
    """Why a stage's tiles are no matter of a budget; empty where they are."""
    engine = stage.engine
    if isinstance(engine, KernelEngine):
        return f"{engine.name} is a {engine.kind}, whose kernels choose their tiles themselves"
    if isinstance(stage.mapping, RegionMapping) or not isinstance(engine, MacEngine):
        return ""  # of a region every option of tiles is warned of
    if stage.template:
        return f"{stage.template} chooses its tiles itself"
    if isinstance(engine, SpatialArray):
        return f"{engine.name} is a spatial_array, where all that templates propose is tried"
    return ""
