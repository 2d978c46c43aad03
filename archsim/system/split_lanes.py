"""Lanes that sub-batches share: each takes its turns, whoever comes first is served first.

Stages of one sub-batch reach the lanes in order. Those of another need not wait for all of them: a
softmax, piece by piece beside an attention inside the memory, lets the other's activations by.
"""

from __future__ import annotations

from collections.abc import Sequence

from archsim.components.base import VectorEngine
from archsim.system.place import Plan, Stage
from archsim.system.rows import COMPUTE


def own_lanes(plan: Plan, stage: Stage, engine: str) -> tuple[str, int, str | None]:
    """Name, role and shared timeline of the unit that computes on an engine for a stage."""
    unit = plan.machine.engines.get(engine)
    if plan.machine.spec.interleave is None or not isinstance(unit, VectorEngine):
        return engine, COMPUTE, None
    network = next(b.network for b in plan.graph.blocks if b.name == stage.block)
    return (f"{engine}@{network}", COMPUTE, engine) if network else (engine, COMPUTE, None)


def served_by(plan: Plan, stage: Stage) -> tuple[str, ...]:
    """Engines that have nothing else to do while a stage runs; shared lanes have."""
    if stage.vector is None or plan.machine.spec.interleave is not None:
        return (stage.engine.name,)
    return stage.engine.name, stage.vector.name


def parts_at_once(stages: Sequence[Stage], class_of: Sequence[int]) -> list[int]:
    """For each stage the first one that runs beside it as a part of the same op; else itself.

    Args:
        stages: by label.
        class_of: number of the class of devices that each is of; empty for a machine of one.
    """
    first: dict[tuple[int, str], int] = {}
    found = []
    for label, stage in enumerate(stages):
        op = stage.ops[0]
        split = op.split_for and op.name.endswith(f"@{op.split_for}")
        whole = stage.path.removesuffix(f"@{op.split_for}")
        of = class_of[label] if class_of else 0
        found.append(first.setdefault((of, whole), label) if split else label)
    return found
