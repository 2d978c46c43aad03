"""The plan of a kernel: tiles as the engine's library chooses them, its bytes, its counts."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from archsim.components.base import KernelEngine
from archsim.core.errors import Unsupported
from archsim.core.units import PS_PER_S
from archsim.ir.kernel import Flow, GridMapping, TileGrid
from archsim.ir.op import Access
from archsim.ir.problem import Problem, problem
from archsim.system.attention_kernel import attention_kernel
from archsim.system.flash_backward import is_backward
from archsim.system.flash_backward_kernel import backward_kernel
from archsim.system.place import Stage
from archsim.system.room import Room, no_rate

STEPS = 64  # most pieces of a kernel: what the first load and the last store leave bare is small
DEPTH = 2  # pieces of an operand on chip at once: one in use, one on the way


def kernel_stage(stage: Stage, room: Room) -> Stage:
    """The stage with its mapping.

    Raises:
        Unsupported: E302 for an element type without a rate, or a fused op that needs whole rows.
    """
    if is_backward(stage):
        return backward_kernel(stage, room)
    if stage.template:
        return attention_kernel(stage, room)
    engine, op = stage.engine, stage.ops[0]
    assert isinstance(engine, KernelEngine)
    graph, machine = room.graph, room.machine
    form = graph.tensors[op.reads[1].tensor].dtype
    dtype = form.computes_as
    if dtype not in engine.dtypes:
        raise no_rate(stage.path, dtype, engine, form)
    if any(fused.reduces for fused in stage.ops[1:]):
        raise Unsupported(
            f"{stage.path} is a kernel whose tiles hold no whole rows, as its fused ops need",
            code="E302",
            help="fuse: elementwise",
        )
    view = problem(op, graph.tensors, room.accumulator_bits)
    loads, stores = _loads(stage, room), _stores(stage, room)
    through = sum(f.size_bytes for f in (*loads, *stores, *_beside(stage, room)))
    share, dram = engine.memory_efficiency, machine.dram
    rate = dram.bytes_per_s if share is None else dram.peak_bytes_per_s * share
    grid = engine.kernel(view, dtype, through, rate)
    outputs = sum(e.b * e.m * e.n for e in view.cases)
    pieces = min(STEPS, outputs)
    sides = sorted((grid.compute_ps, grid.memory_ps))
    # the first piece in and the last one out overlap with nothing: the stretch already says so
    grid = replace(grid, stretch=grid.stretch / (1 + sides[0] / sides[1] / pieces))
    reached = through * PS_PER_S / grid.memory_ps if grid.memory_ps else rate
    mapping = GridMapping(
        name=stage.path,
        engine=engine.name,
        cases=view.cases,
        grid=grid,
        efficiency=min(1.0, reached / dram.peak_bytes_per_s / grid.stretch),
        steps=pieces,
        loads=loads,
        stores=stores,
        counts=_counts(view, grid, dtype, engine.clock_hz),
        join_counts=_join_counts(view, grid),
    )
    held = DEPTH * sum(-(-f.size_bytes // pieces) for f in (*loads, *stores))
    return replace(stage, mapping=mapping, room_bytes=min(held, room.budget_bytes))


def _loads(stage: Stage, room: Room) -> tuple[Flow, ...]:
    """Operands of the product that come from memory, each once; a bias counts as a weight."""
    found: dict[str, Flow] = {}
    for i, access in enumerate(stage.ops[0].reads):
        if access.tensor not in room.resident and access.tensor not in found:
            size = room.graph.touched_bytes(access)
            found[access.tensor] = Flow(access.tensor, "weight" if i else "in", size)
    return tuple(found.values())


def _stores(stage: Stage, room: Room) -> tuple[Flow, ...]:
    """Results of the stage that go to memory."""
    return tuple(
        Flow(access.tensor, "out", room.graph.touched_bytes(access))
        for access in stage.ops[-1].writes
        if access.tensor not in room.resident
    )


def _beside(stage: Stage, room: Room) -> tuple[Flow, ...]:
    """What fused ops read from memory beside the tiles."""
    own = {a.tensor for op in stage.ops for a in op.writes}
    own |= {a.tensor for a in stage.ops[0].reads} | room.resident
    found: dict[str, Access] = {}
    for op in stage.ops[1:]:
        found |= {a.tensor: a for a in op.reads if a.tensor not in own}
    return tuple(Flow(n, "in", room.graph.touched_bytes(a)) for n, a in found.items())


def _counts(view: Problem, grid: TileGrid, dtype: str, clock_hz: float) -> dict[str, int]:
    """What the cores count: every tile draws its panels from the on-chip memory."""
    ins = weights = outs = 0
    for e in view.cases:
        high, wide = -(-e.m // grid.m), -(-e.n // grid.n)
        ins += e.b * e.m * e.k * wide
        weights += e.b * e.k * e.n * high
        outs += e.b * e.m * e.n
    parts = grid.split if grid.split > 1 else 0
    written = outs * parts * view.bits["partial"] if parts else outs * view.bits["out"]
    return {
        f"mac.{dtype}": view.op.macs(),
        "array.cycles": round(grid.compute_ps * clock_hz / PS_PER_S),
        "array.folds": grid.tiles,
        "array.in_reads": ins,
        "array.weight_reads": weights,
        "array.out_writes": outs * max(1, parts),
        "sram.read": -(-(ins * view.bits["in"] + ceil(weights * view.weight_bits)) // 8),
        "sram.write": -(-written // 8),
    }


def _join_counts(view: Problem, grid: TileGrid) -> dict[str, int]:
    """Partial sums read again, and the result written."""
    if grid.split == 1:
        return {}
    outs = sum(e.b * e.m * e.n for e in view.cases)
    return {
        "sram.read": -(-outs * grid.split * view.bits["partial"] // 8),
        "sram.write": -(-outs * view.bits["out"] // 8),
    }
