"""The plan of an attention as a cascade: what array and lanes can do, and the mapping on both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction

import numpy as np

from archsim.components.base import VectorEngine
from archsim.components.spatial_array import SpatialArray
from archsim.core.errors import Unmappable
from archsim.dataflows._cascade import CascadeDataflow
from archsim.dataflows.base import dataflows
from archsim.ir.attention_problem import attention_problem
from archsim.ir.cascade_target import CascadeTarget, Tiling
from archsim.ir.op import Op
from archsim.system.build import Machine, selects
from archsim.system.place import Stage
from archsim.system.room import Room, no_rate
from archsim.system.spec import MappingRule


def is_cascade(name: str | None) -> bool:
    """True for a template that maps a whole attention as a cascade."""
    return name in dataflows and issubclass(dataflows.get(str(name)), CascadeDataflow)


def cascade_stage(stage: Stage, room: Room) -> Stage:
    """The stage with its mapping.

    Raises:
        Unsupported: E302 for an element type without a rate.
        Unmappable: E302 for an engine that is no spatial array, and when the ops are no plain
            attention; E401 when no tile fits.
    """
    engine, vector = stage.engine, stage.vector
    if not isinstance(engine, SpatialArray):
        raise Unmappable(
            f"{stage.path}: {stage.template} unrolls queries and keys over a spatial_array, "
            f"and {engine.name} is a {engine.kind}",
            code="E302",
            help="flash_attention, or leave out that rule: its products then run one by one",
        )
    assert isinstance(vector, VectorEngine)
    graph, machine = room.graph, room.machine
    found = attention_problem(stage.ops, graph.tensors, room.accumulator_bits)
    inner = {a.tensor for op in stage.ops for a in op.writes}
    beside = [a.tensor for op in stage.ops[1:-1] for a in op.reads if a.tensor not in inner]
    if beside:
        raise Unmappable(
            f"{stage.path} reads {beside[0]} beside its scores, which no cascade has",
            code="E302",
            help="{ops: attention, dataflow: flash_attention}",
        )
    for word in "kv":
        if not engine.takes(found.dtypes[word]):
            form = found.dtypes[word]
            raise no_rate(stage.path, form.computes_as, engine, form)
    rate = engine.spec.rates[found.dtypes["k"].computes_as]
    rows, cols, count = engine.grid
    target = CascadeTarget(
        engine=engine.name,
        vector=vector.name,
        rows=rows,
        cols=cols,
        count=count,
        mac_cycles=lambda points: -(-points // rate),
        element_cycles={str(k): n for k, n in engine.spec.cycles_per_primitive.items()},
        lane_cycles=_lanes(vector, stage.ops[1]),
        clock_hz=engine.clock_hz,
        vector_clock_hz=vector.clock_hz,
        buffer_bytes=2 * room.budget_bytes,  # all of it: what it takes decides what runs beside it
    )
    flow = dataflows.get(stage.template)
    assert issubclass(flow, CascadeDataflow)
    settled = _settled(machine, stage, room.used)
    try:
        mapping = flow().map_cascade(found, target, _tiling(settled))
    except Unmappable as error:
        if (option := error.details.get("option")) in settled:
            error.details["path"] = f"mapping[{settled[option][0]}].cascade.{option}"
        raise
    return replace(stage, mapping=mapping, room_bytes=mapping.room_bytes)


def _lanes(vector: VectorEngine, op: Op) -> Callable[[Mapping[str, int], int], int]:
    """Cycles of all lanes for so many points of some arithmetic."""

    def cycles(primitives: Mapping[str, int], points: int) -> int:
        alone = replace(op, primitives=dict(primitives), row_primitives={})
        point, _ = vector.lane_cycles(alone)
        return int(vector.cycles(point, Fraction(0), np.array([points]), np.array([0]))[0])

    return cycles


def _settled(machine: Machine, stage: Stage, used: set[str]) -> dict[str, tuple[int, object]]:
    """Options that mapping rules settle: of each the first matching rule that gives it, by number.

    Those rules are noted in `used`.
    """
    found: dict[str, tuple[int, object]] = {}
    for i, rule in enumerate(machine.spec.mapping):
        own = rule.cascade
        if own is not None and rule_is_for(rule, stage):
            used.add(f"mapping[{i}]")
            for option in ("room", "query_rows", "held", "counts"):
                value = getattr(own, option)
                if value is not None:
                    found.setdefault(option, (i, value))
    return found


def rule_is_for(rule: MappingRule, stage: Stage) -> bool:
    """True for a rule that matches a stage and the engine that runs it."""
    here = rule.on is None or rule.on == stage.engine.name
    return here and selects(rule.ops, stage.path, stage.ops[0].op_class)


def _tiling(settled: Mapping[str, tuple[int, object]]) -> Tiling:
    found = {option: value for option, (_, value) in settled.items()}
    held = found.get("held")
    return Tiling(
        room_bytes=found.get("room"),  # type: ignore[arg-type]
        query_rows=found.get("query_rows"),  # type: ignore[arg-type]
        held=None if held is None else frozenset(held),  # type: ignore[call-overload]
        counts=found.get("counts", "exact"),  # type: ignore[arg-type]
    )
