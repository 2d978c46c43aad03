"""What the steps of a backward pass on chip cost and count: five products, and the vector unit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import ceil

import numpy as np

from archsim.components.base import MacEngine, VectorEngine
from archsim.ir.flash_backward import BackwardRun, FlashBackwardMapping
from archsim.ir.flash_backward_room import PRODUCTS, ROW_BITS, product_size
from archsim.ir.graph import OpGraph
from archsim.ir.problem import Problem, problem
from archsim.ir.target import Cost, Tiles
from archsim.system.array_cost import array_cost, banked_counts, tile_work
from archsim.system.build import Machine
from archsim.system.flash_backward import lane_ops, products
from archsim.system.place import Stage

# products that add to sums: the first and the last part of such a reduction
SUMS = {"d_v": ("opens", "closes"), "d_k": ("opens", "closes"), "d_q": ("first", "last")}


class BackwardWork:
    """Cycles and counts of every kind of step of one stage; each product priced in one call.

    A transposed operand is read from the on-chip memory as fast as any other (assumed).
    """

    def __init__(
        self,
        stage: Stage,
        mapping: FlashBackwardMapping,
        graph: OpGraph,
        machine: Machine,
        kinds: Mapping[BackwardRun, int],
    ) -> None:
        engine, vector = stage.engine, stage.vector
        assert isinstance(engine, MacEngine)
        assert isinstance(vector, VectorEngine)
        self.engine, self.vector, self.kinds = engine, vector, kinds
        self.problem, self.ops = mapping.problem, lane_ops(stage)
        self.views: dict[str, Problem] = {}
        self.costs: dict[tuple[str, bool], Cost] = {}
        ways = zip(PRODUCTS, products(stage), mapping.stationary, strict=True)
        for name, op, stays in ways:
            view = problem(op, graph.tensors, mapping.problem.partial_bits)
            dtype = engine.rated(graph.tensors[op.reads[1].tensor].dtype)
            cost = array_cost(engine, view, machine, dtype)
            self.views[name] = view
            for opening in (False, True):
                self.costs[name, opening] = cost(self._tiles(name, stays, opening=opening))

    def _tiles(self, name: str, stays: str, *, opening: bool) -> Tiles:
        b, q, keys = (
            np.array([getattr(run, word) for run in self.kinds], dtype=np.int64)
            for word in ("b", "q", "keys")
        )
        m, n, k = (
            np.broadcast_to(np.asarray(x, dtype=np.int64), b.shape)
            for x in product_size(self.problem, name, q, keys)
        )
        yes = np.ones(len(b), dtype=bool)
        opens, closes = (
            (np.array([getattr(run, word) for run in self.kinds]) for word in SUMS[name])
            if name in SUMS
            else (yes, yes)
        )
        return Tiles(stays, b, m, n, k, yes & opening, ~yes, opens, closes)

    def products(
        self, which: tuple[str, ...], run: BackwardRun, *, opening: bool
    ) -> tuple[int, int, dict[str, int]]:
        """Cycles of products of a step one after the other, the last one's lag, and counts."""
        i, cycles = self.kinds[run.kind], 0
        counts: Counter[str] = Counter()
        for name in which:
            cost = self.costs[name, opening]
            cycles += int(cost.cycles[i])
            counts.update(self._counts(name, cost, run))
        return cycles, int(self.costs[which[-1], opening].lag_cycles[i]), dict(counts)

    def _counts(self, name: str, cost: Cost, run: BackwardRun) -> dict[str, int]:
        view, i, sums = self.views[name], self.kinds[run.kind], self.problem.partial_bits
        m, n, k = product_size(self.problem, name, run.q, run.keys)
        reads = int(cost.in_reads[i]) * view.bits["in"]
        reads += ceil(int(cost.weight_reads[i]) * view.weight_bits)
        return {
            **tile_work(self.engine, view, {"b": run.b, "m": m, "n": n, "k": k}),
            "array.cycles": int(cost.cycles[i]),
            "array.folds": int(cost.folds[i]),
            "array.in_reads": int(cost.in_reads[i]),
            "array.weight_reads": int(cost.weight_reads[i]),
            "array.out_writes": int(cost.out_writes[i]),
            "sram.read": -(-(reads + int(cost.out_reads[i]) * sums) // 8),
            "sram.write": -(-int(cost.out_writes[i]) * sums // 8),
        } | banked_counts(cost, i)

    def lanes(self, run: BackwardRun) -> tuple[int, dict[str, int]]:
        """Cycles and counts of the vector unit in a step: two ops at every score."""
        p, high, cycles = self.problem, run.b * run.q, 0
        points = high * run.keys
        counts: Counter[str] = Counter({"vector.points": points * len(self.ops)})
        for op in self.ops:
            point, row = self.vector.lane_cycles(op)
            cycles += int(self.vector.cycles(point, row, np.array([points]), np.array([high]))[0])
            for per, times in ((op.primitives, points), (op.row_primitives, high)):
                counts.update({f"vector.{name}": n * times for name, n in per.items()})
        counts["vector.cycles"] = cycles
        counts["sram.read"] = -(-2 * points * p.partial_bits // 8) + 2 * high * ROW_BITS // 8
        counts["sram.write"] = 2 * p.dtypes["shares"].bytes(points)
        return cycles, dict(counts)
