"""A MAC stage on a spatial array: what its loop nest may know of the machine, and the nest chosen.

Which nests a template proposes is in `dataflows`; the rows that a nest becomes are in `nest_rows`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import fsum, prod
from typing import Any

from archsim.components.base import MacEngine
from archsim.components.spatial_array import SpatialArray
from archsim.core.errors import ArchsimError, Unmappable, Unsupported
from archsim.dataflows._nest_cost import FitTarget
from archsim.dataflows._nest_fit import Fit, least
from archsim.dataflows.base import dataflows
from archsim.ir.nest import NestMapping
from archsim.ir.nest_check import room_bytes
from archsim.ir.problem import Problem, problem
from archsim.system.build import Machine
from archsim.system.mapper import searched_nest
from archsim.system.mapper_meter import meter_of
from archsim.system.mapper_rule import AUTO
from archsim.system.nest_written import written
from archsim.system.place import Stage
from archsim.system.prices import price
from archsim.system.room import Room, no_rate
from archsim.system.rules import rule_option


def nest_stage(stage: Stage, room: Room, tail: Mapping[str, Any]) -> Stage:
    """The stage with its nest and the bytes that its tiles need on chip.

    Args:
        stage: a MAC op, and the vector ops fused to its tiles.
        room: the machine, and room on chip.
        tail: what a target must know of those vector ops.

    Raises:
        Unmappable: when no tile fits, or the dataflow that is asked for does not suit the array.
        Unsupported: for an element type without a rate, or a whole attention as one stage.
    """
    engine, graph = stage.engine, room.graph
    assert isinstance(engine, SpatialArray)
    op = stage.ops[0]
    if stage.template:
        raise Unsupported(
            f"{stage.path}: {stage.template} maps a whole attention to a systolic array, and "
            f"{engine.name} is a spatial_array",
            code="E302",
            help="leave out that rule: its products then run one by one",
        )
    view = problem(op, graph.tensors, room.accumulator_bits)
    if not engine.takes(view.weight):
        raise no_rate(stage.path, view.weight.computes_as, engine, view.weight)
    target = nest_target(stage, view, room, tail)
    given = written(stage, room)
    if given is not None:
        with given.located():
            mapping = given.nest(view, target)
            if stage.vector is not None and "out" not in mapping.levels[1].keeps:
                raise Unmappable(
                    f"{stage.path}: out passes by the buffer, and {stage.ops[1].name} takes its "
                    "tiles from there",
                    code="E401",
                    help="add out to what buffer keeps, or a rule with `fuse: none`",
                    details={"level": "buffer", "loop": ""},
                )
            return replace(stage, mapping=mapping, room_bytes=nest_room(mapping, target))
    name = rule_option(room.machine, stage.path, op, "dataflow", room.used)
    key = _likeness(view, target, name, room)
    if key not in room.nests:
        room.nests[key] = _map(view, target, None if name == AUTO else name)
    fit = room.nests[key]
    mapping, searched = replace(fit.mapping, problem=view), None
    if name == AUTO:
        searched = searched_nest(stage, view, room, target.objective, fit.key, fit.candidates)
    held = nest_room(mapping, target)
    return replace(stage, mapping=mapping, room_bytes=held, searched=searched)


def _likeness(view: Problem, target: FitTarget, name: str | None, room: Room) -> tuple[object, ...]:
    """What the choice of a nest depends on: stages that agree in it have one search for all."""
    op = view.op
    return (
        name, repr(replace(target, resident=frozenset())), op.kind, op.window, view.cases,
        tuple(sorted(op.ranks.items())), tuple(sorted(view.bits.items())), view.weight,
        tuple(a.tensor in room.resident for a in (*op.reads[:2], op.writes[0])),
    )  # fmt: skip


def nest_room(mapping: NestMapping, target: FitTarget) -> int:
    """Bytes on chip that a nest's tiles take, with what fused ops hold beside its output tiles.

    Raises:
        Unmappable: for a nest that the array cannot run.
    """
    mapping.check(target)
    filters = "OC" if "OC" in mapping.ranks else "N"
    if target.whole_rows and mapping.tile[filters] < mapping.ranks[filters]:
        raise Unmappable(
            f"{mapping.name}: a fused reduction takes whole rows, and tiles of the buffer hold "
            f"{mapping.tile[filters]} of {mapping.ranks[filters]} {filters}",
            code="E401",
            help=f"no loop over {filters} at dram, or `fuse: elementwise`",
            details={"level": "dram", "loop": ""},
        )
    points = 1
    for rank in mapping.relevant["out"]:
        points *= mapping.tile[rank]
    held = sum(room_bytes(mapping, target).values())
    return held + target.depth * (points * target.fused_bits // 8)


def nest_target(stage: Stage, view: Problem, room: Room, tail: Mapping[str, Any]) -> FitTarget:
    """What a nest may know of the machine and of the ops that take its tiles on."""
    engine, machine, op = stage.engine, room.machine, stage.ops[0]
    assert isinstance(engine, SpatialArray)
    rows, cols, count = engine.grid
    dtype = view.weight.computes_as
    objective = rule_option(machine, stage.path, op, "objective", room.used) or "latency"
    dram, sram = machine.dram, machine.sram
    energy: dict[tuple[str, str], float] = {}
    fixed = leakage = 0.0
    if objective in ("energy", "edp"):
        energy = _energy(view, machine)
        fixed = meter_of(stage, view, room.graph, machine, room.resident).prices.fixed_pj
        leakage = fsum(machine.leakage_w().values())
    return FitTarget(
        engine=engine.name,
        axes={"rows": rows, "cols": cols, "count": count},
        # cycles first: the stage may take all the room, and then runs alone
        buffer_bytes=room.budget_bytes * (2 if objective == "compute" else 1),
        register_bytes=engine.register_bytes,
        clock_hz=engine.clock_hz,
        dram_bytes_per_s=dram.bytes_per_s,
        dram_latency_s=dram.latency_ps / 1e12,
        macs_per_cycle=engine.spec.rates[dtype],
        resident=room.resident,
        depth=machine.dma.spec.depth,
        energy=energy,
        objective=objective,
        whole_rows=bool(tail.get("whole_rows")),
        fused_bits=int(tail.get("fused_bits", 0)),
        buffer_bytes_per_cycle=sram.bytes_per_s / engine.clock_hz,
        fixed_pj=fixed,
        leakage_w=leakage,
    )


def _energy(view: Problem, machine: Machine) -> dict[tuple[str, str], float]:
    """Picojoules of an element that moves at a level, and of its use at the registers."""

    def pj(key: str) -> float:
        row = price(machine, key)
        return row.pj if row else 0.0

    wide = view.bits["partial"] / 8
    width = {"in": view.bits["in"] / 8, "weight": view.weight_bits / 8, "out": view.bits["out"] / 8}
    load = pj("dram.read.weight.in") + pj("dma.transfer") + pj("sram.write")
    store = pj("dram.write.activation.out") + pj("dma.transfer") + pj("sram.read")
    energy = {("dram", t): n * (store if t == "out" else load) for t, n in width.items()}
    energy |= {("buffer", t): n * pj("sram.read") for t, n in width.items()}
    energy |= {("buffer", "out"): wide * pj("sram.write")}
    copy = pj("network.transfer") + pj("register.write")
    energy |= {("network", t): width[t] * copy for t in ("in", "weight")}
    energy |= {("network", "out"): wide * copy}
    energy |= {("registers", t): width[t] * pj("register.read") for t in ("in", "weight")}
    energy |= {("registers", "out"): wide * (pj("register.read") + pj("register.write"))}
    return energy


def busy_pct(mapping: NestMapping, engine: MacEngine) -> float:
    """Share of the elements that work, mean over the steps, in percent.

    Places that the nest uses of the rows and columns, less the remainders of last passes.
    """
    work = sum(mapping.macs(case) for case in mapping.cases)
    steps = sum(mapping.steps(case) for case in mapping.cases)
    return 100.0 * work / (steps * prod(engine.grid))


def cells_used(stage: Stage) -> str:
    """What lies along the rows and columns of a spatial array, as text; empty for other stages."""
    mapping, engine = stage.mapping, stage.engine
    if not isinstance(mapping, NestMapping) or not isinstance(engine, MacEngine):
        return ""
    parts = []
    for axis, room in zip(("rows", "cols", "count"), engine.grid, strict=True):
        loops = [loop for loop in mapping.loops if loop.axis == axis]
        steps = [-(-loop.within // loop.tile) for loop in loops]
        if room > 1:
            along = " x ".join(f"{n} {p.rank}" for n, p in zip(steps, loops, strict=True))
            name = "instances" if axis == "count" else axis
            parts.append(f"{prod(steps)} of {room} {name} ({along or 'nothing unrolled'})")
    return ", ".join(parts)


def _map(view: Problem, target: FitTarget, name: str | None) -> Fit:
    """The nest of the template that is asked for, or the best of all templates."""
    if name is not None:
        return dataflows.get(name)().search_nest(view, target)
    found: list[Fit] = []
    refused: ArchsimError | None = None
    for flow in dataflows.classes():
        try:
            found.append(flow().search_nest(view, target))
        except Unmappable as error:
            refused = refused if refused is not None and refused.code == "E401" else error
    if not found:
        assert refused is not None
        raise refused
    tried = sum(fit.candidates for fit in found)
    return replace(least(found, target.objective), candidates=tried)
