"""The plan: stages, residency and the mapping of each stage, for a graph on a machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

from archsim.components._pim import PimEngine
from archsim.components.base import KernelEngine, MacEngine, VectorEngine
from archsim.components.spatial_array import SpatialArray
from archsim.core.errors import Infeasible, InputError, Unmappable
from archsim.ir.graph import OpGraph
from archsim.ir.op import Access, Op
from archsim.ir.problem import problem
from archsim.ir.target import Target
from archsim.system import mapper
from archsim.system.array_cost import array_cost, cost_key
from archsim.system.build import Machine
from archsim.system.cached_share import idle_rules
from archsim.system.capacity import check_capacity
from archsim.system.cascade import cascade_stage, is_cascade
from archsim.system.cascade_linear import is_linear, linear_stage
from archsim.system.collective_stage import collective_stage
from archsim.system.dispatch import dispatched
from archsim.system.expert_cache import cache_experts
from archsim.system.flash import flash_stage
from archsim.system.flash_backward import backward_stage, is_backward
from archsim.system.flash_backward_chain import FLASH, keep_statistics
from archsim.system.fused_nest_stage import fused_nest_stage, is_fused
from archsim.system.homes import Homes
from archsim.system.kernel import kernel_stage
from archsim.system.nest_matrix import matrix_mapping
from archsim.system.nest_stage import nest_stage
from archsim.system.nest_written import refuse_elsewhere, written
from archsim.system.parameters import is_parameter
from archsim.system.pim_held import settle_inside
from archsim.system.pim_laid import laid_inside
from archsim.system.pim_stage import pim_stage
from archsim.system.place import (
    PAGES,
    Plan,
    Stage,
    StagedBlock,
    stage_blocks,
)
from archsim.system.region_stage import is_region, region_stage
from archsim.system.residency import choose_resident
from archsim.system.room import Room, no_rate
from archsim.system.rules import rule_option
from archsim.system.split import split_ops
from archsim.system.split_heads import head_groups
from archsim.system.stream import stream_stage
from archsim.system.tiers import settle
from archsim.system.tiles import best_tiles, likeness
from archsim.system.unmatched import unmatched
from archsim.system.unsuited import unsuited


def place(graph: OpGraph, machine: Machine, accumulator_bits: int = 32, held: int = 1) -> Plan:
    """Decide everything that is not time: engines, fusion, residency, tiles.

    Of the KV cache, and of what waits for a backward pass, memory holds `held` copies at once.

    Raises:
        Infeasible: when the model does not fit the memories, or no tile fits on chip.
        Unsupported: when no engine runs an op.
    """
    heard: set[str] = set()
    machine = dispatched(machine, graph)
    graph = head_groups(graph, machine, heard)
    machine = dispatched(machine, graph)
    graph = split_ops(graph, machine)
    machine = dispatched(machine, graph)
    kept_for = keep_statistics(graph, machine)
    graph, experts = cache_experts(kept_for, machine.spec.placement.experts)
    machine = dispatched(machine, graph)
    blocks, used = stage_blocks(graph, machine, accumulator_bits)
    resident, resident_bytes = choose_resident(graph, machine, blocks)
    kept = resident | _inside(blocks)
    homes = Homes()
    if len(machine.tiers) > 1 or experts.rule:
        homes = settle(graph, machine, blocks, kept, experts, held)
    need = homes.need() or check_capacity(graph, machine, kept, blocks, held)
    stream = machine.sram.capacity_bytes - resident_bytes
    page = max(1, stream // (PAGES * len(graph.networks)))
    budget = page * (PAGES // 2)  # two stages in flight, each with half the room
    staged = []
    room = Room(graph, machine, resident, budget, accumulator_bits, used)
    for block in blocks:
        stages = tuple(_chosen(stage, room) for stage in block.stages)
        staged.append(StagedBlock(block.block, stages))
    homes, need = settle_inside(staged, graph, machine, homes, need)
    used |= heard
    found = idle_rules(machine.spec.placement.residency, graph)
    idle = [f"placement.residency[{i}]" for i in found]
    return Plan(
        graph=graph,
        machine=machine,
        blocks=tuple(staged),
        resident=resident,
        resident_bytes=resident_bytes,
        stream_bytes=stream,
        dram_bytes=need,
        accumulator_bits=accumulator_bits,
        unmatched=(*unmatched(machine, graph, used), *idle),
        homes=homes,
        laid=laid_inside(staged, graph, machine),
    )


def _inside(blocks: Sequence[StagedBlock]) -> frozenset[str]:
    """Tensors that never leave a stage: they exist tile by tile only."""
    stages = [stage for block in blocks for stage in block.stages]
    written = {a.tensor for stage in stages for op in stage.ops for a in op.writes}
    return frozenset(written - {name for stage in stages for name in stage.writes})


def _chosen(stage: Stage, room: Room) -> Stage:
    """A stage with its tiles.

    Raises:
        Infeasible: when no tile fits on chip.
        Unsupported: for a dataflow that does not suit its engine.
    """
    try:
        return _mapped(stage, room)
    except Unmappable as error:
        if error.code != "E302":
            raise
        raise unsuited(error, stage, room) from None


def _mapped(stage: Stage, room: Room) -> Stage:
    """A stage with its tiles, as its engine and template choose them: the first way that holds."""
    refuse_elsewhere(stage, room)
    array = isinstance(stage.engine, SpatialArray) and stage.template in ("", FLASH)
    ways = (
        (stage.ops[0].collective is not None, collective_stage),
        (stage.ops[0].stream is not None, stream_stage),
        (isinstance(stage.engine, PimEngine), pim_stage),
        (is_cascade(stage.template), cascade_stage),  # before kernels: those have none of their own
        (isinstance(stage.engine, KernelEngine), kernel_stage),
        (is_fused(stage), fused_nest_stage),
        (is_linear(stage, room), linear_stage),
        (array, _nested_stage),
        (is_backward(stage), backward_stage),
        (bool(stage.template), flash_stage),
        (is_region(stage), region_stage),
        (stage.ops[0].is_mac, _mac_stage),
    )
    return next((way for holds, way in ways if holds), _vector_stage)(stage, room)


def _nested_stage(stage: Stage, room: Room) -> Stage:
    return nest_stage(stage, room, _fused(stage, room.graph, room.resident))


def touched_bits(graph: OpGraph, access: Access) -> int:
    """Bits of the distinct elements an access reaches."""
    return graph.touched_bytes(access) * 8


def _mac_stage(stage: Stage, room: Room) -> Stage:
    op, engine, graph, machine = stage.ops[0], stage.engine, room.graph, room.machine
    assert isinstance(engine, MacEngine)
    view = problem(op, graph.tensors, room.accumulator_bits)
    dtype = graph.tensors[op.reads[1].tensor].dtype.computes_as
    if not engine.takes(view.weight):
        raise no_rate(stage.path, dtype, engine, view.weight)
    rows, cols, count = engine.grid
    objective = rule_option(machine, stage.path, op, "objective", room.used) or "latency"
    first = rule_option(machine, stage.path, op, "weights", room.used) == "first"
    # cycles first, memories for each operand, or all weights of a kernel: the stage may take all,
    # and then runs alone
    alone = objective == "compute" or engine.limits.get("operand_bytes")
    alone = alone or (first and stage.exclusive)
    target = Target(
        engine=engine.name,
        rows=rows,
        cols=cols,
        count=count,
        clock_hz=engine.clock_hz,
        buffer_bytes=room.budget_bytes * (2 if alone else 1),
        dram_bytes_per_s=machine.dram_bytes_per_s,
        dram_latency_s=machine.dram.latency_ps / 1e12,
        depth=machine.dma.spec.depth,
        cost=array_cost(engine, view, machine, dtype),
        cost_key=cost_key(engine, view, machine),
        resident=room.resident,
        objective=objective,
        weights_first=first,
        **engine.limits,
        **_fused(stage, graph, room.resident),
    )
    searched = None
    if given := written(stage, room):
        mapping = matrix_mapping(given, view, target)
    elif wanted := mapper.options(stage, room):
        mapping, searched = mapper.search(stage, view, target, room, wanted)
    else:
        name = rule_option(machine, stage.path, op, "dataflow", room.used)
        alike = likeness(stage, view, target, name, room)
        if alike not in room.mapped:
            room.mapped[alike] = best_tiles(view, target, name)
        mapping = replace(room.mapped[alike], problem=view)
    mapping = replace(mapping, lies=engine.lies(mapping.tile, view.weight),
                      ahead=target.weights_first and mapping.holds_weights)  # fmt: skip
    held = sum(b.bytes for b in mapping.buffers.values())
    tile = mapping.tile
    held += target.depth * (tile["b"] * tile["m"] * tile["n"] * target.fused_bits // 8)
    return replace(stage, mapping=mapping, room_bytes=held, searched=searched)


def _fused(stage: Stage, graph: OpGraph, resident: frozenset[str]) -> dict[str, Any]:
    """What the target must know of the ops that take the tiles on."""
    if stage.vector is None:
        return {}
    vector, tail = stage.vector, stage.ops[1:]
    per = [vector.lane_cycles(op) for op in tail]
    inner = {a.tensor for op in stage.ops for a in op.writes}
    outputs = tail[0].points()
    bits = 0
    for op in tail:
        for access in op.reads:
            big = graph.tensors[access.tensor].elements * 2 > outputs
            if access.tensor not in inner and access.tensor not in resident and big:
                bits += -(-touched_bits(graph, access) // outputs)
    for access in stage.ops[-1].writes:
        if access.tensor not in resident:
            bits += -(-touched_bits(graph, access) // outputs)

    def cycles(points: Any, rows: Any) -> Any:
        return sum(vector.cycles(point, row, points, rows) for point, row in per)

    return {
        "vector_cycles": cycles,
        "vector_clock_hz": vector.clock_hz,
        "whole_rows": any(op.reduces for op in tail),
        "fused": True,
        "fused_bits": bits,
    }


def _vector_stage(stage: Stage, room: Room) -> Stage:
    """The largest tile of whole rows that leaves a pipeline of a few tiles."""
    op, graph, resident = stage.ops[0], room.graph, room.resident
    if not isinstance(stage.engine, VectorEngine):
        raise InputError(f"{stage.path} needs a vector unit", code="E201")
    rows = max(ranks["M"] for _, ranks in op.cases())
    per_row, whole = moved_bytes(op, graph, resident, op.rows())
    spare, depth = room.budget_bytes - whole, room.machine.dma.spec.depth
    fit = rows if per_row == 0 else spare // (depth * per_row)
    by_point = fit < 1 and not op.reduces and not op.row_primitives
    if by_point:
        rows = max(prod(ranks.values()) for _, ranks in op.cases())
        per_row, whole = moved_bytes(op, graph, resident, op.points())
        fit = spare // (depth * per_row)
    if fit < 1:
        raise Infeasible(
            f"{stage.path}: one row needs {depth * per_row + whole} bytes on chip, "
            f"{room.budget_bytes} are free",
            code="E401",
            help="a larger on-chip memory",
        )
    tile = rows if per_row == 0 else min(fit, max(1, -(-rows // 8)))
    held = depth * per_row * tile + whole
    return replace(stage, tile_rows=tile, by_point=by_point, room_bytes=held)


def moved_bytes(op: Op, graph: OpGraph, resident: frozenset[str], parts: int) -> tuple[int, int]:
    """Bytes that each of so many parts of a vector op moves through DRAM, and bytes read once."""
    per_row = whole = 0
    for access in (*op.reads, *op.writes):
        if access.tensor in resident:
            continue
        size = graph.touched_bytes(access)
        if is_parameter(op, graph, access):
            whole += size
        else:
            per_row += -(-size // parts)
    return per_row, whole
