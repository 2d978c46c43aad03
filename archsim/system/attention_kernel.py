"""The plan of an attention kernel: its thread blocks, their makespan, its bytes, its launch.

The physics is in `components._gpu_attention`; here an op's extents become its arguments.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from archsim.components._gpu_attention import (
    AttentionKernels,
    DecodeKernel,
    Grid,
    PrefillKernel,
    block_cycles,
    deal,
    decode_cta_cycles,
    norm,
    of_dtype,
    split_of,
    visited,
)
from archsim.components.base import KernelEngine
from archsim.core.units import PS_PER_S
from archsim.ir.attention import AttentionMapping
from archsim.ir.kernel import Flow
from archsim.ir.op import Op
from archsim.ir.tensor import Role
from archsim.system.attention_work import Work, work_of
from archsim.system.place import Stage
from archsim.system.room import Room, no_rate

STEPS = 32  # least pieces in which operands arrive: what the first and the last leave bare is small
DEPTH = 8  # pieces of an operand on the way at once


def attention_kernel(stage: Stage, room: Room) -> Stage:
    """The stage with its mapping and its launch: decode where each sequence has one query.

    Raises:
        Unsupported: E302 for an element type without a rate.
    """
    engine: Any = stage.engine
    assert isinstance(engine, KernelEngine)
    work = work_of(stage, room.graph)
    if work.dtype.computes_as not in engine.dtypes:
        raise no_rate(stage.path, work.dtype.computes_as, engine, work.dtype)
    kernels: AttentionKernels = engine.spec.attention
    form = _decode if all(c.queries == 1 for c in work.cases) else _prefill
    mapping, launch = form(stage, room, work, kernels)
    held = DEPTH * sum(-(-f.size_bytes // mapping.steps) for f in (*mapping.loads, *mapping.stores))
    launch_s = (engine.spec.launch or 0.0) if launch is None else launch
    launch_ps = round(launch_s * PS_PER_S)
    if mapping.loads:  # the launch as measured holds the first load's way
        launch_ps = max(0, launch_ps - room.machine.dram.latency_ps)
    own = stage.launch_ps > 0
    return replace(stage, mapping=mapping, room_bytes=held, launch_ps=launch_ps if own else 0)


def _prefill(
    stage: Stage, room: Room, work: Work, kernels: AttentionKernels
) -> tuple[AttentionMapping, float | None]:
    engine: Any = stage.engine
    kernel = of_dtype(kernels.prefill, work.dtype.computes_as, PrefillKernel())
    queries, keys = kernels.query_tile, kernels.key_tile
    cycles = block_cycles(
        queries, keys, work.dims, _macs_per_cycle(engine, work), engine.softmax_cycles(kernel)
    )
    share = kernel.sustained or engine.sustained(work.dtype.computes_as)
    step_ps = cycles * PS_PER_S / (engine.clock_hz * share)
    bare_ps = kernel.cta_latency * PS_PER_S
    grids, points, reads, ctas = [], 0, 0, 0
    for case in work.cases:
        causal = work.causal and kernels.causal_skip
        start, end = visited(
            case.queries, case.keys, causal=causal, reach=work.reach,
            query_tile=queries, key_tile=keys,
        )  # fmt: skip
        steps = -(-(end - start) // keys)
        heads = case.key_heads * case.rows
        grids.append(Grid(heads, np.rint(steps * step_ps + bare_ps).astype(np.int64)))
        rows = [queries] * (len(steps) - 1) + [case.queries - queries * (len(steps) - 1)]
        points += heads * int(((end - start) * rows).sum())
        reads += heads * int((end - start).sum())
        ctas += heads * len(steps)
    loads, stores = _flows(stage, room, dict.fromkeys(stage.reads, 1.0))
    mapping = AttentionMapping(
        name=stage.path,
        form="prefill",
        ctas=ctas,
        slots=engine.spec.count,
        tile={"queries": queries, "keys": keys},
        compute_ps=deal(grids, engine.spec.count, kernels.dealing),
        steps=flow_steps(room, loads, stores),
        efficiency=kernels.prefill_efficiency,
        loads=loads,
        stores=stores,
        counts={},
    )
    return _counted(mapping, stage, room, work, points, reads), kernel.launch


def _decode(
    stage: Stage, room: Room, work: Work, kernels: AttentionKernels
) -> tuple[AttentionMapping, float | None]:
    engine: Any = stage.engine
    grouped = any(c.rows > 1 for c in work.cases)
    listed = kernels.decode_grouped if grouped else kernels.decode_multi_head
    kernel = of_dtype(listed, work.dtype.computes_as, DecodeKernel())
    sms, key_heads = engine.spec.count, sum(c.key_heads for c in work.cases)
    grids, parts, tokens = [], 1, 0
    for case in work.cases:
        split = split_of(key_heads, case.keys, sms, kernels.split_tokens) if kernels.split else 1
        part = -(-case.keys // split)
        cycles = decode_cta_cycles(
            part, case.rows, work.dims, work.dtype.bits / 8, _macs_per_cycle(engine, work), kernel
        )
        ps = round((kernel.cta_latency + cycles / engine.clock_hz) * PS_PER_S)
        grids.append(Grid.alike(case.key_heads * split, ps))
        parts, tokens = max(parts, split), max(tokens, part)
    compute_ps = deal(grids, sms * kernel.ctas_per_sm, kernels.dealing)
    if kernel.elements_per_cycle is not None:
        elements = work.dims * sum(c.key_heads * c.keys for c in work.cases)
        least = elements / (kernel.elements_per_cycle * sms * engine.clock_hz)
        compute_ps = max(compute_ps, round(least * PS_PER_S))
    cold = _cold_share(stage, room, kernels)
    shares = {name: cold.get(name, 1.0) for name in stage.reads}
    longest = max(c.keys for c in work.cases)
    if kernel.two_pass_tokens is not None and longest > kernel.two_pass_tokens and not grouped:
        shares |= {name: 2 * shares[name] for name in _served_twice(stage)}
    loads, stores = _flows(stage, room, shares)
    cache = {a.tensor for a in _cache(stage)} - room.resident
    wait = kernel.miss_latency * max((cold.get(name, 1.0) for name in cache), default=0.0)
    mapping = AttentionMapping(
        name=stage.path,
        form="decode",
        ctas=sum(g.heads for g in grids),
        slots=sms * kernel.ctas_per_sm,
        tile={"tokens": tokens},
        split=parts,
        compute_ps=compute_ps,
        steps=flow_steps(room, loads, stores),
        efficiency=kernels.decode_efficiency,
        loads=loads,
        stores=stores,
        counts={},
    )
    join = kernel.split_launch * PS_PER_S if parts > 1 else 0.0
    lost = _lost_ps(mapping, room, wait * PS_PER_S, kernels.overlap_norm)
    mapping = replace(mapping, tail_ps=round(lost + join))
    reads = sum(c.key_heads * c.keys for c in work.cases)
    return _counted(mapping, stage, room, work, work.points, reads), kernel.launch


def _macs_per_cycle(engine: Any, work: Work) -> float:
    """Of one SM at its peak."""
    return float(engine.macs_per_s(work.dtype.computes_as) / engine.spec.count / engine.clock_hz)


def _lost_ps(mapping: AttentionMapping, room: Room, wait_ps: float, p: float) -> float:
    """What the norm of compute and memory takes beyond their overlap piece by piece.

    `wait_ps` is what memory takes beside the transfers.
    """
    machine, flows = room.machine, (*mapping.loads, *mapping.stores)
    moved = mapping.steps * sum(
        machine.dma.transfer_ps(machine.dram, f.size_bytes // mapping.steps, mapping.efficiency)
        for f in flows
    )
    piece = min(mapping.compute_ps, moved) / mapping.steps
    overlapped = max(mapping.compute_ps, moved) + piece
    return max(0.0, norm(p, mapping.compute_ps, moved + wait_ps) - overlapped)


def _cache(stage: Stage) -> tuple[Any, Any]:
    """Accesses of keys and values."""
    return stage.ops[0].reads[1], stage.ops[-1].reads[1]


def _served_twice(stage: Stage) -> set[str]:
    """The tensor that is keys and values both, if there is one."""
    keys, values = _cache(stage)
    return {keys.tensor} if keys.tensor == values.tensor else set()


def _cold_share(stage: Stage, room: Room, kernels: AttentionKernels) -> dict[str, float]:
    """Share of keys and values that comes from memory: all, unless a benchmark keeps them warm.

    Below a tenth of the on-chip memory all of it is found there, beyond the whole nothing.
    """
    graph = room.graph
    given = {a.tensor for a in _cache(stage) if graph.tensors[a.tensor].role is Role.ACTIVATION} - {
        a.tensor for _, op in graph.ops() for a in op.writes
    }
    if not kernels.warm_l2 or not given:
        return {}
    unique = sum(graph.tensors[name].bytes for name in given)
    share = (unique / room.machine.sram.capacity_bytes - 0.1) / 0.9
    return dict.fromkeys(given, min(1.0, max(0.0, share)))


def _flows(
    stage: Stage, room: Room, shares: Mapping[str, float]
) -> tuple[tuple[Flow, ...], tuple[Flow, ...]]:
    """Tensors through memory, each once, with the share of its bytes that comes from there."""
    graph = room.graph
    touched: dict[str, int] = {}
    for op in stage.ops:
        for access in op.reads:
            size = graph.touched_bytes(access)
            touched[access.tensor] = max(touched.get(access.tensor, 0), size)
    queries = stage.ops[0].reads[0].tensor
    loads = tuple(
        Flow(name, "in" if name == queries else "weight", size)
        for name in stage.reads
        if name not in room.resident and (size := round(touched[name] * shares[name]))
    )
    stores = tuple(
        Flow(a.tensor, "out", graph.touched_bytes(a))
        for a in stage.results
        if a.tensor not in room.resident
    )
    return loads, stores


def flow_steps(room: Room, loads: tuple[Flow, ...], stores: tuple[Flow, ...]) -> int:
    """Pieces that are small enough for several of each operand to be on chip."""
    whole = sum(f.size_bytes for f in (*loads, *stores))
    return max(STEPS, -(-whole * DEPTH // (2 * room.budget_bytes)))


def _counted(
    mapping: AttentionMapping, stage: Stage, room: Room, work: Work, points: int, key_reads: int
) -> AttentionMapping:
    """The mapping with its counts.

    `points` are the scores that are computed; the op's others are skipped. `key_reads` are the keys
    (and values) that all thread blocks read from the on-chip memory.
    """
    graph, engine = room.graph, stage.engine
    tail: tuple[Op, ...] = stage.ops[1:-1]
    counts: Counter[str] = Counter()
    counts[f"mac.{work.dtype.computes_as}"] = points * work.dims
    counts["skipped.macs"] = (work.points - points) * work.dims
    for op in tail:
        own = points if op.points() == work.points else op.points()
        counts["vector.points"] += own
        counts["skipped.points"] += op.points() - own
        for name, n in op.primitives.items():
            counts[f"vector.{name}"] += n * own
        for name, n in op.row_primitives.items():
            counts[f"vector.{name}"] += n * op.rows()
    counts["array.cycles"] = round(mapping.compute_ps * engine.clock_hz / PS_PER_S)
    counts["array.folds"] = mapping.ctas
    queries = stage.ops[0].reads[0]
    counts["sram.read"] = graph.touched_bytes(queries)
    counts["sram.read"] += -(-key_reads * work.dims * work.dtype.bits // 8)
    counts["sram.write"] = sum(graph.touched_bytes(a) for a in stage.results)
    return replace(mapping, counts={key: n for key, n in counts.items() if n})
