"""The plan of a linear layer beside a cascade: what stays on chip, what passes, what it counts."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from archsim.components.spatial_array import SpatialArray
from archsim.core.units import PS_PER_S
from archsim.dataflows.fusemax_linear import FuseMaxLinear
from archsim.ir.cascade_linear import LinearMapping
from archsim.ir.kernel import Flow, TileGrid
from archsim.ir.problem import Problem, problem
from archsim.system.place import Stage
from archsim.system.room import Room, no_rate
from archsim.system.rules import rule_option

PIECES = 2048  # most shares in which operands arrive: the first and the last are in the open


def is_linear(stage: Stage, room: Room) -> bool:
    """True for a product that a rule maps so."""
    op = stage.ops[0]
    if not op.is_mac or not isinstance(stage.engine, SpatialArray) or stage.template:
        return False
    asked = rule_option(room.machine, stage.path, op, "dataflow", room.used)
    return asked == FuseMaxLinear.kind


def linear_stage(stage: Stage, room: Room) -> Stage:
    """The stage with its mapping.

    Raises:
        Unsupported: E302 for an element type without a rate.
        Unmappable: for anything but a matrix product, and where nothing fits.
    """
    engine, op, graph = stage.engine, stage.ops[0], room.graph
    assert isinstance(engine, SpatialArray)
    view = problem(op, graph.tensors, room.accumulator_bits)
    if not engine.takes(view.weight):
        raise no_rate(stage.path, view.weight.computes_as, engine, view.weight)
    rows, cols, count = engine.grid
    whole = 2 * room.budget_bytes
    kept = FuseMaxLinear().rows_kept(view, view.largest, (rows, cols), whole)
    tiles = sum(e.b * -(-e.m // rows) * -(-e.n // cols) for e in view.cases)
    beats = sum(e.b * -(-e.m // rows) * -(-e.n // cols) * e.k for e in view.cases)
    rate = engine.spec.rates[view.weight.computes_as]
    cycles = -(-beats // (rate * count))
    compute_ps = -(-cycles * PS_PER_S // int(engine.clock_hz))
    mapping = LinearMapping(
        name=stage.path,
        engine=engine.name,
        cases=view.cases,
        grid=TileGrid(
            m=rows, n=cols, k=view.largest.k, k_step=1, split=1, tiles=tiles, cores=count,
            waves=-(-tiles // count), compute_ps=compute_ps, memory_ps=0, join_ps=0, stretch=1.0,
        ),
        efficiency=None,
        steps=min(PIECES, tiles),
        loads=_loads(stage, room, view, kept),
        stores=tuple(
            Flow(a.tensor, "out", graph.touched_bytes(a))
            for a in stage.ops[-1].writes
            if a.tensor not in room.resident
        ),
        counts=_counts(view, rows, cols, cycles),
        rows_kept=kept,
    )  # fmt: skip
    e = view.largest
    held = min(e.n, cols) * e.k * view.weight_bits / 8 + kept * e.k * view.bits["in"] / 8
    if not kept:
        held = e.n * e.k * view.weight_bits / 8 + rows * e.k * view.bits["in"] / 8
    return replace(stage, mapping=mapping, room_bytes=ceil(held))


def _loads(stage: Stage, room: Room, view: Problem, kept: int) -> tuple[Flow, ...]:
    """Operands through memory: weights again for each block of rows that stays."""
    found: dict[str, Flow] = {}
    again = max(1, view.largest.m // kept) if kept else 1
    for i, access in enumerate(stage.ops[0].reads):
        if access.tensor not in room.resident and access.tensor not in found:
            size = room.graph.touched_bytes(access) * (again if i == 1 else 1)
            found[access.tensor] = Flow(access.tensor, "weight" if i else "in", size)
    return tuple(found.values())


def _counts(view: Problem, rows: int, cols: int, cycles: int) -> dict[str, int]:
    """What the array counts: a tile draws its rows and its columns from the buffer."""
    ins = sum(e.b * e.m * e.k * -(-e.n // cols) for e in view.cases)
    weights = sum(e.b * e.k * e.n * -(-e.m // rows) for e in view.cases)
    read = -(-(ins * view.bits["in"] + ceil(weights * view.weight_bits)) // 8)
    return {
        f"mac.{view.weight.computes_as}": view.op.macs(),
        "array.cycles": cycles,
        "array.folds": sum(e.b * -(-e.m // rows) * -(-e.n // cols) for e in view.cases),
        "array.in_reads": ins,
        "array.weight_reads": weights,
        "array.out_writes": sum(e.b * e.m * e.n for e in view.cases),
        "sram.read": read,
    }
