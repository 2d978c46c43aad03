"""How long an engine would take for some ops, and how much energy: closed forms, to choose by.

A roofline for engines that load their operands, the memory's own closed form for those inside it.
Neither knows what else runs meanwhile, what stays on chip, or how tiles fill an array: an estimate
says who is likely to be faster, a simulation how fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum

import numpy as np

from archsim.components._pim import PimEngine
from archsim.components.base import Engine, KernelEngine, MacEngine, VectorEngine
from archsim.core.units import PS_PER_S
from archsim.ir.graph import OpGraph
from archsim.ir.op import Op
from archsim.ir.pim import ACTIONS, STORED
from archsim.ir.problem import Problem, problem
from archsim.ir.tensor import Tensor
from archsim.system.build import Machine
from archsim.system.cached_share import rule_of
from archsim.system.dispatch_work import PARTIAL_BITS, work_of
from archsim.system.pim_ask import product_of
from archsim.system.pim_link import crossed, crossing
from archsim.system.prices import price


@dataclass(frozen=True)
class Estimate:
    """Time in picoseconds and energy in pJ of some ops on an engine."""

    ps: int
    pj: float

    def cost(self, prefer: str) -> float:
        """What is weighed: `latency`, `energy`, or their product `edp`."""
        return {"latency": float(self.ps), "energy": self.pj, "edp": self.ps * self.pj}[prefer]


def can_take(machine: Machine, graph: OpGraph, engine: Engine, op: Op) -> bool:
    """Whether an engine runs an op: its kind, its element type and, inside a memory, its matrix."""
    if not engine.can_run(op):
        return False
    if not isinstance(engine, MacEngine) or not op.is_mac:
        return True
    matrix = graph.tensors[op.reads[1].tensor]
    if not engine.takes(matrix.dtype):
        return False
    if not isinstance(engine, PimEngine):
        return True
    if matrix.role not in STORED:
        return False
    lies = _lies(machine, matrix)
    return not lies or engine.spec.inside in lies


def _lies(machine: Machine, matrix: Tensor) -> tuple[str, ...]:
    """Memories that may hold a matrix, the first one preferred; none named: all."""
    placement, of = machine.spec.placement, STORED[matrix.role]
    own = rule_of(placement.residency, of, matrix.name).memories
    said: tuple[str, ...] = own or getattr(placement, of)
    return said


def estimate(machine: Machine, graph: OpGraph, engine: Engine, ops: Sequence[Op]) -> Estimate:
    """Time and energy of ops that follow each other on one engine.

    Args:
        machine: that the engine is part of.
        graph: that the ops are of, or one with the same tensors.
        engine: runs all of the ops, see `can_take`.
        ops: that belong together: what one hands to the next does not pass through memory.
    """
    if isinstance(engine, PimEngine):
        return _inside(machine, graph, engine, ops)
    size = work_of(graph, ops).size_bytes
    rate = machine.dram_bytes_per_s
    if isinstance(engine, KernelEngine) and engine.memory_efficiency is not None:
        rate = float(machine.dram.peak_bytes_per_s * engine.memory_efficiency)
    compute_s = fsum(_compute_s(graph, engine, op) for op in ops)
    launches_s = (engine.launch_s or 0.0) * len(ops)
    seconds = max(compute_s, size / rate, _brought_s(machine, graph, ops)) + launches_s
    moved = ("dram.read.weight", "dma.transfer")
    pj = size * fsum(row.pj for key in moved if (row := price(machine, key)) is not None)
    pj += fsum(_arithmetic_pj(machine, graph, engine, op) for op in ops)
    return Estimate(round(seconds * PS_PER_S), pj)


def _inside(machine: Machine, graph: OpGraph, engine: PimEngine, ops: Sequence[Op]) -> Estimate:
    """The closed form of the banks' commands, and one change of the memory's owner and back."""
    products = [product_of(machine, graph, op, engine) for op in ops]
    ways = [crossing(machine, engine, graph, op, None) for op in ops]
    works = [crossed(engine.product(p), over) for p, over in zip(products, ways, strict=True)]
    switches = 2 if engine.spec.sharing == "mode_switch" else 0
    ps = sum(work.banks_ps for work in works) + switches * engine.switch_ps
    rows = {action: engine.price(machine.table, action).pj for action in ACTIONS}
    pairs = zip(products, works, strict=True)
    pj = fsum(rows[key] * n for p, w in pairs for key, n in w.actions(p).items())
    return Estimate(ps, pj)


def _brought_s(machine: Machine, graph: OpGraph, ops: Sequence[Op]) -> float:
    """Seconds in which matrices that a rule keeps further away come to the nearest memory."""
    seconds = 0.0
    for op in ops:
        matrix = graph.tensors[op.reads[1].tensor] if op.is_mac else None
        if matrix is not None and matrix.role in STORED:
            first = _lies(machine, matrix)[:1]
            if first and first[0] != machine.dram.name:
                seconds += graph.touched_bytes(op.reads[1]) / machine.bytes_per_s_from(first[0])
    return seconds


def _compute_s(graph: OpGraph, engine: Engine, op: Op) -> float:
    """Seconds of an op's arithmetic at the engine's peak; 0 where it has no rate for it."""
    if isinstance(engine, MacEngine) and op.is_mac:
        return op.macs() / engine.peak(graph.tensors[op.reads[1].tensor].dtype)
    if not isinstance(engine, VectorEngine):
        return 0.0
    points, rows = np.array([op.points()]), np.array([op.rows()])
    cycles = engine.cycles(*engine.lane_cycles(op), points, rows)
    return float(cycles[0]) / engine.clock_hz


def _arithmetic_pj(machine: Machine, graph: OpGraph, engine: Engine, op: Op) -> float:
    """Energy of an op's MACs or primitives, in pJ."""
    if not op.is_mac:
        counts = {f"vector.{name}": n for name, n in op.primitive_counts().items()}
    elif isinstance(engine, MacEngine):
        counts = _macs(engine, problem(op, graph.tensors, PARTIAL_BITS))
    else:
        return 0.0
    rows = ((price(machine, key), n) for key, n in counts.items())
    return fsum(row.pj * n for row, n in rows if row is not None)


def _macs(engine: MacEngine, view: Problem) -> dict[str, int]:
    """What an engine counts for the MACs of a product."""
    total: dict[str, int] = {}
    for e in view.cases:
        size = {rank: e.of(rank) for rank in "bmnk"}
        for key, n in engine.work(size, view.weight).items():
            total[key] = total.get(key, 0) + n
    return total
