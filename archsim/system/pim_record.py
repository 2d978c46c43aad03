"""What the report reads of stages inside memories, and their exact form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from archsim.components._pim import PimEngine
from archsim.ir.graph import OpGraph
from archsim.ir.pim import PimMapping, PimStep
from archsim.ir.pim_record import PimRecord
from archsim.system.pim_attention import all_counts
from archsim.system.pim_link import crossed
from archsim.system.place import Stage


def exactly(stage: Stage, graph: OpGraph) -> Stage:
    """A stage inside a memory timed command by command; any other as it is."""
    mapping, engine = stage.mapping, stage.engine
    if not isinstance(mapping, PimMapping) or not isinstance(engine, PimEngine):
        return stage
    mapping = replace(mapping, steps=_exact(mapping, engine))
    counts = all_counts(stage, mapping, engine, graph)
    return replace(stage, mapping=replace(mapping, counts=counts))


def _exact(mapping: PimMapping, engine: PimEngine) -> tuple[PimStep, ...]:
    return tuple(
        replace(step, work=crossed(engine.product(step.product, exact=True), step.over))
        for step in mapping.steps
    )


def pim_records(
    stages: Sequence[Stage],
    repeats: Sequence[int],
    paths: Sequence[str],
    devices: Sequence[int],
    *,
    exact: bool,
) -> tuple[PimRecord, ...]:
    """One record of each stage inside a memory, in their order."""
    found = []
    for stage, times, path, count in zip(stages, repeats, paths, devices, strict=True):
        mapping, engine = stage.mapping, stage.engine
        if not isinstance(mapping, PimMapping) or not isinstance(engine, PimEngine):
            continue
        found.append(
            PimRecord(
                engine.name,
                mapping.memory,
                engine.spec.sharing,
                engine.bytes_per_s,
                path,
                times,
                count,
                _exact(mapping, engine) if exact else mapping.steps,
                mapping.pieces,
            )
        )
    return tuple(found)
