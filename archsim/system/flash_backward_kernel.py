"""The plan of an attention's backward kernel on a GPU: five products instead of two, its bytes.

After FlashAttention-2 (Dao, 2023, section 3.2, and its CUDA sources): a thread block keeps one tile
of keys for one query head and goes over the queries that see it; gradients of queries are added up
in fp32 by atomics, in the on-chip memory as long as blocks of a head run (assumed), and a second,
small kernel rounds them; where query heads share a key head, each writes gradients of its own,
which that kernel adds. Constants are those of the forward kernel: what the exponential and what is
around it leave bare of a score (assumed alike: no maximum and no sum, but the gradient of the
scores), the start of a block, the launch, the clock under load.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np

from archsim.components._gpu_attention import (
    AttentionKernels,
    Grid,
    PrefillKernel,
    block_cycles,
    deal,
    of_dtype,
    visited,
)
from archsim.components.base import KernelEngine
from archsim.core.units import PS_PER_S
from archsim.ir.attention import AttentionBackwardMapping
from archsim.ir.attention_problem import AttentionProblem, Heads
from archsim.ir.flash_backward_room import ROW_BITS
from archsim.ir.kernel import Flow
from archsim.system.attention_kernel import DEPTH, flow_steps
from archsim.system.flash_backward import backward_problem, lane_ops, operands
from archsim.system.place import Stage
from archsim.system.room import Room, no_rate


def backward_kernel(stage: Stage, room: Room) -> Stage:
    """The stage with its mapping and its launch.

    Raises:
        Unsupported: E302 for an element type without a rate.
    """
    assert isinstance(stage.engine, KernelEngine)
    engine: Any = stage.engine
    p = backward_problem(stage, room)
    dtype = p.dtypes["k"]
    if dtype.computes_as not in engine.dtypes:
        raise no_rate(stage.path, dtype.computes_as, engine, dtype)
    kernels: AttentionKernels = engine.spec.attention
    kernel = of_dtype(kernels.prefill, dtype.computes_as, PrefillKernel())
    queries, keys = kernels.query_tile, kernels.key_tile
    macs = engine.macs_per_s(dtype.computes_as) / engine.spec.count / engine.clock_hz
    dims = 3 * p.key_dim + 2 * p.value_dim
    cycles = block_cycles(queries, keys, dims, macs, engine.softmax_cycles(kernel))
    share = kernel.sustained or engine.sustained(dtype.computes_as)
    step_ps = cycles * PS_PER_S / (engine.clock_hz * share)
    grids, points, visits = [], 0, 0
    for case in p.cases:
        steps, scored = _steps(p, case, kernels)
        heads = case.b * (case.m // p.queries)
        ps = np.rint(steps * step_ps + kernel.cta_latency * PS_PER_S).astype(np.int64)
        grids.append(Grid(heads, ps))
        points += heads * scored
        visits += heads * int(steps.sum())
    loads, stores = _flows(stage, room, p)
    mapping = AttentionBackwardMapping(
        name=stage.path,
        form="backward",
        ctas=sum(g.heads * len(g.cta_ps) for g in grids),
        slots=engine.spec.count,
        tile={"queries": queries, "keys": keys},
        compute_ps=deal(grids, engine.spec.count, kernels.dealing),
        tail_ps=round((engine.spec.launch or 0.0) * PS_PER_S),
        steps=flow_steps(room, loads, stores),
        efficiency=kernels.prefill_efficiency,
        loads=loads,
        stores=stores,
    )
    mapping = replace(mapping, counts=_counts(stage, room, p, mapping, (points, visits * queries)))
    held = DEPTH * sum(-(-f.size_bytes // mapping.steps) for f in (*loads, *stores))
    launch_s = (engine.spec.launch or 0.0) if kernel.launch is None else kernel.launch
    launch_ps = max(0, round(launch_s * PS_PER_S) - room.machine.dram.latency_ps)
    own = stage.launch_ps > 0
    return replace(stage, mapping=mapping, room_bytes=held, launch_ps=launch_ps if own else 0)


def _steps(p: AttentionProblem, case: Heads, kernels: AttentionKernels) -> tuple[Any, int]:
    """Steps of the thread block of each tile of keys of a query head, and scores made in all."""
    size = kernels.key_tile
    start, end = visited(
        p.queries, case.keys, causal=p.causal and kernels.causal_skip, reach=p.reach,
        query_tile=kernels.query_tile, key_tile=size,
    )  # fmt: skip
    low = np.arange(0, case.keys, size)[:, None]
    steps = ((start <= low) & (low < end)).sum(axis=1)
    high = [kernels.query_tile] * (len(end) - 1)
    high.append(p.queries - kernels.query_tile * len(high))
    return steps[steps > 0], int(((end - start) * high).sum())


def _flows(
    stage: Stage, room: Room, p: AttentionProblem
) -> tuple[tuple[Flow, ...], tuple[Flow, ...]]:
    """Tensors through memory, each once; and what the second kernel adds or rounds, both ways."""
    names, graph = operands(stage), room.graph
    sums = tuple(Flow(names[word], "partial", n) for word, n in _sums(p).items())

    def flows(words: tuple[str, ...], operand: str) -> list[Flow]:
        return [
            Flow(names[word], operand, graph.tensors[names[word]].bytes)
            for word in words
            if names[word] not in room.resident
        ]

    loads = (*flows(("q", "d_out", "stats", "delta"), "in"), *flows(("k", "v"), "weight"), *sums)
    return loads, (*flows(("d_q", "d_k", "d_v"), "out"), *sums)


def _sums(p: AttentionProblem) -> dict[str, int]:
    """Bytes that wait for the second kernel: fp32 of queries; keys and values of query heads."""
    found = {"d_q": sum(c.b * c.m for c in p.cases) * p.key_dim * 4}
    shared = [c for c in p.cases if c.m > p.queries]
    for word, width in (("k", p.key_dim), ("v", p.value_dim)):
        own = sum(c.b * (c.m // p.queries) * c.keys for c in shared)
        if own:
            found[f"d_{word}"] = p.dtypes[word].bytes(own * width)
    return found


def _counts(
    stage: Stage,
    room: Room,
    p: AttentionProblem,
    mapping: AttentionBackwardMapping,
    work: tuple[int, int],
) -> dict[str, int]:
    """What the kernel counts; `work` are scores made, and rows of queries that blocks read."""
    (points, rows), tail = work, lane_ops(stage)
    counts: Counter[str] = Counter()
    dims = 3 * p.key_dim + 2 * p.value_dim
    counts[f"mac.{p.dtypes['k'].computes_as}"] = points * dims
    counts["skipped.macs"] = (p.points - points) * dims
    counts["vector.points"] = points * len(tail)
    counts["skipped.points"] = (p.points - points) * len(tail)
    for op in tail:
        for name, n in op.primitives.items():
            counts[f"vector.{name}"] += n * points
        for name, n in op.row_primitives.items():
            counts[f"vector.{name}"] += n * op.rows()
    clock_hz = stage.engine.clock_hz
    counts["array.cycles"] = round(mapping.compute_ps * clock_hz / PS_PER_S)
    counts["array.folds"] = mapping.ctas
    sums = rows * p.key_dim * 4  # an atomic reads and writes
    row_bits = p.key_dim * p.dtypes["q"].bits + p.value_dim * p.dtypes["out"].bits + 2 * ROW_BITS
    tensors, names = room.graph.tensors, operands(stage)
    shared = sum(_sums(p).values())
    counts["sram.read"] = rows * row_bits // 8 + sums + shared
    counts["sram.read"] += sum(tensors[names[word]].bytes for word in ("k", "v"))
    counts["sram.write"] = sums + shared
    counts["sram.write"] += sum(tensors[names[w]].bytes for w in ("d_q", "d_k", "d_v"))
    return {key: n for key, n in counts.items() if n}
