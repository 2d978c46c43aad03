"""Options of mapping rules that no op listened to, on engines that have no use for them.

A rule that matched no op at all is found where ops are placed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from archsim.components.spatial_pipeline import SpatialPipeline
from archsim.ir.op import Op
from archsim.ir.region import RegionMapping
from archsim.system.place import Plan, Stage
from archsim.system.rules import rule_of
from archsim.system.split_heads import in_group
from archsim.system.unheard_search import unheard_search

OF_TILES = ("dataflow", "cascade", "objective", "budget", "seed", "cache")  # a region's are its own

WHOLE = "no attention is inside a memory, or its heads do not divide into groups"
BESIDE = "no weights of a product on a systolic array fit on chip at once, or not without loss"


def unheard_rules(plan: Plan) -> Iterator[tuple[str, str]]:
    """(code, text) of each option of a rule without effect on any op that it decides for."""
    yield from unheard_search(plan)
    regions = any(isinstance(s.mapping, RegionMapping) for b in plan.blocks for s in b.stages)
    for i, rule in enumerate(plan.machine.spec.mapping):
        if rule.fuse == "region":
            stages = [stage for stage, op in _decided(plan, i, "fuse") if op.is_mac]
            if stages and not any(isinstance(s.engine, SpatialPipeline) for s in stages):
                why = f"{_names(stages)} is no spatial_pipeline, and fuses as elementwise"
                yield "W101", f"mapping[{i}].fuse: region has no effect: {why}"
        if rule.weights == "first":
            found = [stage for stage, op in _decided(plan, i, "weights") if op.is_mac]
            if found and not any(getattr(s.mapping, "ahead", False) for s in found):
                yield "W101", f"mapping[{i}].weights has no effect: {BESIDE}"
        if rule.head_groups is not None:
            scores = [op for _, op in _decided(plan, i, "head_groups") if op.queries and op.is_mac]
            if scores and not any(in_group(op) for op in scores):
                yield "W101", f"mapping[{i}].head_groups has no effect: {WHOLE}"
        for option in OF_TILES if regions else ():
            stages = [stage for stage, _ in _decided(plan, i, option)]
            if stages and all(isinstance(stage.mapping, RegionMapping) for stage in stages):
                why = f"{_names(stages)} runs its ops as regions, with tiles of their own"
                yield "W101", f"mapping[{i}].{option} has no effect: {why}"


def _names(stages: Sequence[Stage]) -> str:
    """Engines of some stages."""
    return " and ".join(sorted({stage.engine.name for stage in stages}))


def _decided(plan: Plan, number: int, option: str) -> list[tuple[Stage, Op]]:
    """Ops for which it is this rule that gives an option, and their stages."""
    return [
        (stage, op)
        for block in plan.blocks
        for stage in block.stages
        for op in stage.ops
        if rule_of(plan.machine, f"{stage.block}/{op.name}", op, option, set()) == number
    ]
