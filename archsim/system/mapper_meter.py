"""What the counts of a MAC stage take on a machine: the meter that a search for mappings reads.

The functions are those that the stage's rows are made of, for arrays of tiles: transfers as the DMA
times them, on-chip bytes as array rows count them, fused vector ops as their own rows do.
"""

from __future__ import annotations

from collections.abc import Callable
from math import fsum

import numpy as np
from numpy.typing import NDArray

from archsim.components.base import MacEngine
from archsim.core.units import PS_PER_S
from archsim.ir.graph import OpGraph
from archsim.ir.meter import Meter, Prices, TailMoves, in_ps
from archsim.ir.op import Access, Op
from archsim.ir.problem import Problem
from archsim.ir.target import Cost, Ints
from archsim.ir.tensor import DTYPES
from archsim.system.array_cost import BankedCost, tile_work
from archsim.system.build import Machine
from archsim.system.parameters import is_parameter
from archsim.system.place import Stage
from archsim.system.prices import price
from archsim.system.unpack import DEQUANTISE, WORK, unpack_units

Floats = NDArray[np.float64]


def meter_of(
    stage: Stage, view: Problem, graph: OpGraph, machine: Machine, resident: frozenset[str]
) -> Meter:
    """The meter of a stage: its element widths, fused ops, memory and energy rows."""
    tail, once = _tail(stage, graph, resident) if stage.vector else (None, ())
    return Meter(
        transfer_ps=_transfer(machine),
        accessed=_accessed(view),
        tail=tail,
        once_bytes=once,
        unpack=_unpack(stage, view, machine, resident),
        launch_ps=stage.launch_ps,
        sram_latency_ps=machine.sram.latency_ps,
        prices=_prices(stage, view, machine),
    )


def _transfer(machine: Machine) -> Callable[[Ints], Floats]:
    """`Dma.transfer_ps` of the nearest memory, for arrays of sizes."""
    dma, memory = machine.dma.spec, machine.dram
    rate = int(memory.bytes_per_s)
    setup = round(dma.setup * PS_PER_S)
    own = int(dma.bandwidth.bytes_per_s(memory.clock_hz)) if dma.bandwidth is not None else None
    noc = machine.noc
    way_ps = noc.flow(noc.key(memory.name, machine.sram.name)).ps_per_byte if noc else 0.0

    def transfer_ps(size: Ints) -> Floats:
        ps = np.maximum(in_ps(size, rate), 1.0)
        if own is not None:
            ps = np.maximum(ps, in_ps(size, own))
        chunks = -(-size // dma.chunk) if dma.chunk else np.ones_like(size)
        least = np.ceil(size * way_ps)
        return np.asarray(np.maximum(ps + chunks * setup, least), dtype=np.float64)

    return transfer_ps


def _accessed(view: Problem) -> Callable[[Cost], tuple[Ints, Ints]]:
    partial, width = view.bits["partial"], view.bits["in"]

    def accessed(cost: Cost) -> tuple[Ints, Ints]:
        if isinstance(cost, BankedCost):
            return cost.read_words * cost.word_bytes, cost.write_words * cost.word_bytes
        weights = np.ceil(cost.weight_reads * view.weight_bits).astype(np.int64)
        read = cost.in_reads * width + weights + cost.out_reads * partial
        return -(-read // 8), -(-cost.out_writes * partial // 8)

    return accessed


def _tail(
    stage: Stage, graph: OpGraph, resident: frozenset[str]
) -> tuple[Callable[[Ints, Ints], TailMoves], tuple[int, ...]]:
    """Moves of the fused vector ops, and what is read once beside the tiles."""
    ops, vector = stage.ops[1:], stage.vector
    assert vector is not None
    seen = {a.tensor for op in stage.ops for a in op.writes}
    moved: list[tuple[Op, Access]] = []
    once: list[int] = []
    for op in ops:
        for access in op.reads:
            if access.tensor in seen or access.tensor in resident:
                continue
            seen.add(access.tensor)
            if is_parameter(op, graph, access):
                once.append(graph.touched_bytes(access))
            else:
                moved.append((op, access))
    here = [(op, a) for op in ops for a in op.reads
            if a.tensor not in seen and a.tensor in resident]  # fmt: skip
    last, writes = ops[-1], ops[-1].writes
    costs = [vector.lane_cycles(op) for op in ops]

    def share(op: Op, access: Access, points: Ints) -> Ints:
        return np.asarray(-(-graph.touched_bytes(access) * points // op.points()))

    def tail(points: Ints, rows: Ints) -> TailMoves:
        loads = tuple(share(op, a, points) for op, a in moved)
        stored = [(a, share(last, a, points)) for a in writes]
        nothing = np.zeros_like(points)
        return TailMoves(
            loads=loads,
            stores=tuple(size for a, size in stored if a.tensor not in resident),
            sram_read=sum((*loads, *(share(op, a, points) for op, a in here)), nothing),
            sram_write=sum((size for _, size in stored), nothing),
            cycles=sum((vector.cycles(p, r, points, rows) for p, r in costs), nothing),
        )

    return tail, tuple(once)


def _unpack(
    stage: Stage, view: Problem, machine: Machine, resident: frozenset[str]
) -> Callable[[Ints], tuple[Floats, Ints]] | None:
    """Time and bytes of the vector unit that unpacks weights, as `Unpacker` has them."""
    engine, units = stage.engine, unpack_units(machine)
    assert isinstance(engine, MacEngine)
    here = view.op.reads[1].tensor in resident
    if engine.unpacks(view.weight) or here or not units:
        return None
    unit, to_bits = units[0], DTYPES[engine.rated(view.weight)].bits
    per_element, per_row = unit.lane_cycles(DEQUANTISE)

    def unpack(elements: Ints) -> tuple[Floats, Ints]:
        cycles = unit.cycles(per_element, per_row, elements, np.ones_like(elements))
        return in_ps(cycles, unit.clock_hz), np.asarray(-(-elements * to_bits // 8))

    return unpack


def _prices(stage: Stage, view: Problem, machine: Machine) -> Prices:
    def pj(key: str) -> float:
        row = price(machine, key)
        return row.pj if row else 0.0

    return Prices(
        dram_read_pj=pj("dram.read.weight.in"),
        dram_write_pj=pj("dram.write.activation.out"),
        sram_read_pj=pj("sram.read"),
        sram_write_pj=pj("sram.write"),
        dma_pj=pj("dma.transfer"),
        fixed_pj=fsum(n * pj(key) for key, n in sorted(_arithmetic(stage, view).items())),
        unpack_pj=fsum(n * pj(f"vector.{name}") for name, n in WORK.items()),
        leakage_w=fsum(machine.leakage_w().values()),
    )


def _arithmetic(stage: Stage, view: Problem) -> dict[str, int]:
    """Counts of MACs and vector primitives: the same for every mapping."""
    assert isinstance(stage.engine, MacEngine)
    totals: dict[str, int] = {}
    counts = [tile_work(stage.engine, view, {r: e.of(r) for r in "bmnk"}) for e in view.cases]
    tail = stage.ops[1:]
    counts += [{f"vector.{name}": n for name, n in op.primitive_counts().items()} for op in tail]
    for one in counts:
        for key, n in one.items():
            totals[key] = totals.get(key, 0) + n
    return totals
