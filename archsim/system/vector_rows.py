"""Rows of vector work: whole stages of their own, and ops fused to the tiles of a MAC stage."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from archsim.components.base import VectorEngine
from archsim.ir.op import Access, Op
from archsim.ir.reuse import segments
from archsim.sim.program import Leaf
from archsim.system.layouts import append_pattern
from archsim.system.parameters import is_parameter
from archsim.system.pim_append import laid
from archsim.system.rows import Draft
from archsim.system.writer import Node, Part, Writer, duration_ps


def primitive_counts(ops: Sequence[Op], points: int, rows: int) -> dict[str, int]:
    """Arithmetic primitives of a tile, by name."""
    totals: dict[str, int] = {"vector.points": points * len(ops)}
    for op in ops:
        for name, n in op.primitives.items():
            totals[f"vector.{name}"] = totals.get(f"vector.{name}", 0) + n * points
        for name, n in op.row_primitives.items():
            totals[f"vector.{name}"] = totals.get(f"vector.{name}", 0) + n * rows
    return totals


class VectorTail:
    """The vector side of one stage: operands from DRAM, the vector row, results to DRAM."""

    def __init__(
        self, writer: Writer, vector: VectorEngine, ops: Sequence[Op], inner: set[str]
    ) -> None:
        self.w, self.vector, self.ops = writer, vector, ops
        graph = writer.graph
        self.depth = writer.machine.dma.spec.depth
        self.unit = writer.unit(vector.name, "compute")
        self.reads: list[tuple[Op, Access]] = []
        seen: set[str] = set(inner)
        for op in ops:
            for access in op.reads:
                if access.tensor not in seen and writer.spilled(access.tensor):
                    seen.add(access.tensor)
                    self.reads.append((op, access))
        self.here = [
            (op, a)
            for op in ops
            for a in op.reads
            if a.tensor not in seen and a.tensor in writer.plan.resident
        ]
        self.writes = [a for a in ops[-1].writes if writer.spilled(a.tensor)]
        self.graph = graph
        self.costs = [vector.lane_cycles(op) for op in ops]

    def rows(self, points: int, rows: int, channel: int | None, in_bits: int) -> list[Draft]:
        """The rows of one tile; `channel` brings it from the array, if it comes from there."""
        out: list[Draft] = []
        tile = np.array([points]), np.array([rows])
        cycles = int(sum(self.vector.cycles(point, row, *tile)[0] for point, row in self.costs))
        hz = self.vector.clock_hz
        latency = duration_ps(self.vector.lag_cycles, hz) + self.w.machine.sram.latency_ps
        known = self.unit in self.w.part.first
        row = self.w.draft(self.unit, duration_ps(cycles, hz) if cycles else 0, latency)
        row.counts = primitive_counts(self.ops, points, rows)
        row.counts["vector.cycles"] = cycles
        moved = 0
        if channel is not None:
            row.take.append(channel)
            row.free.append(channel)
            moved += -(-points * in_bits // 8)
        for op, access in self.reads:
            moved += self._read(out, row, op, access, points, known)
        for op, access in self.here:
            self.w.need(self.unit, access.tensor)
            moved += self._share(op, access, points)
        row.counts["sram.read"] = moved
        out.append(row)
        written = 0
        for access in self.ops[-1].writes:
            size = self._share(self.ops[-1], access, points)
            written += size
            if access in self.writes:
                out.append(self._write(row, access, size))
        row.counts["sram.write"] = written
        return out

    def _share(self, op: Op, access: Access, points: int) -> int:
        """Bytes of an operand that belong to so many points."""
        return -(-self.graph.touched_bytes(access) * points // op.points())

    def _read(
        self, out: list[Draft], row: Draft, op: Op, access: Access, points: int, known: bool
    ) -> int:
        loader = self.w.unit(self.vector.name, "load")
        name = access.tensor
        if is_parameter(op, self.graph, access):
            channel = self.w.channel(f"load {name}", loader, self.unit, 1)
            if not known:  # once a stage; its room is given back in the stage's last row
                out.append(
                    self.w.load(loader, channel, name, "weight", self.graph.touched_bytes(access))
                )
                row.take.append(channel)
                self.w.held.append((self.unit, channel))
            return 0
        size = self._share(op, access, points)
        channel = self.w.channel(f"load {name}", loader, self.unit, self.depth)
        out.append(self.w.load(loader, channel, name, "in", size))
        row.take.append(channel)
        row.free.append(channel)
        return size

    def _write(self, row: Draft, access: Access, size: int) -> Draft:
        storer = self.w.unit(self.vector.name, "store")
        channel = self.w.channel(f"store {access.tensor}", self.unit, storer, self.depth)
        row.reserve.append(channel)
        row.put.append(channel)
        where = append_pattern(self.graph, self.w.machine.spec.layout, access, size)
        stored = self.w.store(storer, channel, access.tensor, "out", size, pattern=where)
        return laid(self.w, stored, access, size)


class VectorWriter(Writer):
    """Rows of a vector stage: tiles of whole rows in, one vector step, tiles out."""

    def write(self) -> Part:
        """Write the stage."""
        vector = self.stage.engine
        assert isinstance(vector, VectorEngine)
        op = self.stage.ops[0]
        self.tail = VectorTail(self, vector, self.stage.ops, set())
        self.sizes: list[tuple[int, int]] = []
        nest: list[Node] = []
        for _, ranks in op.cases():
            per_row = 1
            for rank, extent in ranks.items():
                per_row *= 1 if rank == "M" else extent
            parts = ranks["M"]
            if self.stage.by_point:
                parts, per_row = parts * per_row, 1
            for s in segments(parts, self.stage.tile_rows):
                self.sizes.append((s.size * per_row, s.size))
                nest.append(Node(s.count, leaf=len(self.sizes) - 1))
        self.part.tree = self.tree(nest, self._leaf)
        self.release()
        verb = "store" if self.tail.writes else "compute"
        self.part.finisher = self.unit(vector.name, verb)
        return self.part

    def _leaf(self, i: int) -> Leaf:
        points, rows = self.sizes[i]
        return self.book.leaf(self.tail.rows(points, rows, None, 0))
