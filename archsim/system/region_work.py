"""The work of an op of a region, tile by tile: its share of rows, points, bytes and cycles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from archsim.components.spatial_pipeline import SpatialPipeline
from archsim.ir.graph import OpGraph
from archsim.ir.op import Op
from archsim.ir.problem import problem
from archsim.ir.target import Tiles

Ints = NDArray[np.int64]
STATIONARY = ("weight", "input", "output")


def shares(whole: int, steps: int) -> Ints:
    """A whole number cut into so many shares, as alike as whole numbers can be."""
    return np.diff(whole * np.arange(steps + 1, dtype=np.int64) // steps)


@dataclass(frozen=True)
class StepCost:
    """Cycles, lag and on-chip accesses of each tile, one array element a tile; bits of accesses."""

    cycles: Ints
    lag_cycles: Ints
    read_bits: Ints
    written_bits: Ints
    counts: dict[str, Ints]


class OpWork:
    """One op cut into tiles.

    A tile has the same share of the tokens of every sequence; so an attention is cut along the
    queries of each head, or, where a head has a single one, along the heads.
    """

    def __init__(
        self,
        op: Op,
        graph: OpGraph,
        engine: SpatialPipeline,
        steps: int,
        *,
        masked: bool,
        accumulator_bits: int,
        bytes_per_cycle: float,
    ) -> None:
        self.op, self.graph, self.engine, self.steps = op, graph, engine, steps
        self.masked = masked and op.causal and op.queries > 1 and not op.groups
        self.accumulator_bits, self.bytes_per_cycle = accumulator_bits, bytes_per_cycle
        self._costs: dict[tuple[int, str], StepCost] = {}

    @property
    def limit(self) -> int:
        """Most tiles that it can be cut into."""
        op = self.op
        if op.queries > 1:
            return op.queries
        if not op.is_mac:
            return op.rows()
        cases = problem(op, self.graph.tensors, self.accumulator_bits).cases
        return sum(c.b for c in cases) if self.by_batch else max(c.m for c in cases)

    @property
    def by_batch(self) -> bool:
        """True where its second operand is cut too: each tile has problems of its own."""
        op = self.op
        if not op.is_mac or op.queries > 1:
            return False
        cases = problem(op, self.graph.tensors, self.accumulator_bits).cases
        return max(c.m for c in cases) == 1 or (op.queries == 1 and sum(c.b for c in cases) > 1)

    @cached_property
    def extents(self) -> Ints:
        """Of an attention under a mask: keys that each tile reaches; else none."""
        op = self.op
        keys = op.ranks["K"] if op.op_class == "attention_value" else op.ranks["N"]
        if not self.masked:
            return np.full(self.steps, keys, dtype=np.int64)
        after = np.cumsum(shares(op.queries, self.steps))
        upper = keys - op.queries + after
        lower = np.zeros_like(upper)
        if op.reach is not None:
            first = keys - op.queries + np.concatenate(([0], after[:-1]))
            lower = np.maximum(0, first + 1 - op.reach)
        return np.asarray(upper - lower)

    @cached_property
    def prefix(self) -> list[float]:
        """Share of its second operand that each tile reaches."""
        if not (self.masked and self.op.is_mac):
            return [1.0] * self.steps
        keys = self.op.ranks["K" if self.op.op_class == "attention_value" else "N"]
        return [int(extent) / keys for extent in self.extents]

    @cached_property
    def tiles(self) -> tuple[Ints, Ints, Ints, Ints]:
        """Extents b, m, n, k of each case (rows) in each tile (columns)."""
        view = problem(self.op, self.graph.tensors, self.accumulator_bits)
        parts = []
        for case in view.cases:
            b, m, n, k = (np.full(self.steps, x, dtype=np.int64) for x in
                          (case.b, case.m, case.n, case.k))  # fmt: skip
            if self.by_batch:
                b = shares(case.b, self.steps)
            elif self.op.queries > 1:
                m = shares(self.op.queries, self.steps) * (case.m // self.op.queries)
            else:
                m = shares(case.m, self.steps)
            if self.masked:
                if self.op.op_class == "attention_value":
                    k = self.extents
                else:
                    n = self.extents
            parts.append((b, m, n, k))
        b, m, n, k = (np.stack(x) for x in zip(*parts, strict=True))
        return b, m, n, k

    @cached_property
    def macs(self) -> Ints:
        """Multiply-accumulates of each tile."""
        if not self.op.is_mac:
            return np.zeros(self.steps, dtype=np.int64)
        return np.asarray(np.prod(np.stack(self.tiles), axis=0).sum(axis=0))

    @cached_property
    def rows(self) -> Ints:
        """Rows of each tile of an op that does not multiply."""
        op = self.op
        if op.queries > 1 and not op.groups:
            return shares(op.queries, self.steps) * (op.rows() // op.queries)
        return shares(op.rows(), self.steps)

    @cached_property
    def points(self) -> Ints:
        """Points of each tile of an op that does not multiply."""
        op = self.op
        if self.masked:
            return self.rows * self.extents
        if op.queries > 1 and not op.groups:
            return self.rows * (op.points() // op.rows())
        return shares(op.points(), self.steps)

    def skipped(self) -> dict[str, int]:
        """What the mask rules out, by counter: in no tile."""
        if not self.masked:
            return {}
        if self.op.is_mac:
            return {"skipped.macs": self.op.macs() - int(self.macs.sum())}
        return {"skipped.points": self.op.points() - int(self.points.sum())}

    def best(self, units: int) -> str:
        """What the cells hold so that the slowest tile is the fastest; empty for vector work."""
        if not self.op.is_mac:
            return ""
        return min(STATIONARY, key=lambda s: int(self.cost(units, s).cycles.max()))

    def cost(self, units: int, stationary: str) -> StepCost:
        """Cost of each tile on so many units of the fabric."""
        key = units, stationary
        if key not in self._costs:
            self._costs[key] = self._mac(units, stationary) if stationary else self._vector(units)
        return self._costs[key]

    def _fed(self, bits: Ints, units: int) -> Ints:
        """Cycles in which the memory units beside so many compute units deliver so many bits."""
        rate = self.bytes_per_cycle * units / self.engine.spec.compute_units
        return np.asarray(np.ceil(bits / 8 / rate), dtype=np.int64)

    def _mac(self, units: int, stationary: str) -> StepCost:
        view = problem(self.op, self.graph.tensors, self.accumulator_bits)
        dtype = view.weight.computes_as
        flat = [x.ravel() for x in self.tiles]
        some = np.prod(np.stack(flat), axis=0) > 0
        b, m, n, k = (x[some] for x in flat)
        no, yes = np.zeros(len(b), dtype=bool), np.ones(len(b), dtype=bool)
        tiles = Tiles(stationary, b, m, n, k, first=no, resumed=no, opens=yes, closes=yes)
        found = self.engine.part(units).cost(tiles, dtype)

        def whole(part: Ints) -> Ints:
            """Of all cases together, tile by tile."""
            out = np.zeros(len(some), dtype=np.int64)
            out[some] = part
            return np.asarray(out.reshape(-1, self.steps).sum(axis=0))

        reads = whole(found.in_reads) * view.bits["in"]
        reads = reads + np.ceil(whole(found.weight_reads) * view.weight_bits).astype(np.int64)
        reads = reads + whole(found.out_reads) * view.bits["partial"]
        writes = whole(found.out_writes - found.out_reads) * view.bits["out"]
        writes = writes + whole(found.out_reads) * view.bits["partial"]
        lag = np.zeros(len(some), dtype=np.int64)
        lag[some] = found.lag_cycles
        return StepCost(
            cycles=np.maximum(whole(found.cycles), self._fed(reads + writes, units)),
            lag_cycles=lag.reshape(-1, self.steps).max(axis=0),
            read_bits=reads,
            written_bits=writes,
            counts={
                f"mac.{dtype}": self.macs,
                "array.folds": whole(found.folds),
                "array.in_reads": whole(found.in_reads),
                "array.weight_reads": whole(found.weight_reads),
                "array.out_writes": whole(found.out_writes),
            },
        )

    def _vector(self, units: int) -> StepCost:
        op, engine = self.op, self.engine.part(units)
        point, row = engine.lane_cycles(op)
        cycles = engine.cycles(point, row, self.points, self.rows)
        reads = sum(self._share_bits(a.tensor, self.graph.touched_bytes(a)) for a in op.reads)
        writes = sum(self._share_bits(a.tensor, self.graph.touched_bytes(a)) for a in op.writes)
        counts = {"vector.points": self.points}
        for name, each in op.primitives.items():
            counts[f"vector.{name}"] = each * self.points
        for name, each in op.row_primitives.items():
            counts[f"vector.{name}"] = counts.get(f"vector.{name}", 0) + each * self.rows
        reads, writes = np.asarray(reads), np.asarray(writes)
        return StepCost(
            cycles=np.maximum(cycles, self._fed(reads + writes, units)),
            lag_cycles=np.full(self.steps, engine.lag_cycles, dtype=np.int64),
            read_bits=reads,
            written_bits=writes,
            counts=counts,
        )

    def _share_bits(self, tensor: str, size_bytes: int) -> Ints:
        """Bits of an operand in each tile, masked ones left out."""
        whole = self.op.points()
        return np.array([8 * size_bytes * int(p) // whole for p in self.points], dtype=np.int64)

    def one_unit_cycles(self) -> int:
        """Cycles of its slowest tile on a single unit: what units are dealt by."""
        if not self.op.is_mac:
            return int(self.cost(1, "").cycles.max())
        return int(self.cost(1, self.best(1)).cycles.max())

    @property
    def width(self) -> int:
        """Rows of its widest tile."""
        if not self.op.is_mac:
            return int(self.rows.max())
        b, m, _, _ = self.tiles
        return int((b * m).sum(axis=0).max()) if self.by_batch else int(m.max())
