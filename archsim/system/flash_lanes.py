"""The vector unit's rows of an attention in tiles: shares of scores, sums that run on, results."""

from __future__ import annotations

import numpy as np

from archsim.components.base import VectorEngine
from archsim.ir.flash import FlashMapping, Run
from archsim.ir.op import Access, Op
from archsim.system.flash import extras, is_whole, softmax_of
from archsim.system.rows import Draft
from archsim.system.writer import Writer, duration_ps


class FlashLanes:
    """The vector side of one stage."""

    def __init__(self, writer: Writer, vector: VectorEngine, mapping: FlashMapping) -> None:
        self.w, self.vector, self.mapping = writer, vector, mapping
        self.softmax = softmax_of(writer.stage)
        self.unit = writer.unit(vector.name, "compute")

    def shares(self, rows: list[Draft], run: Run) -> Draft:
        """The vector unit's row that makes shares of the scores of a step."""
        p, known = self.mapping.problem, self.unit in self.w.part.first
        points, high = run.b * run.q * run.keys, run.b * run.q * run.parts
        row = self._row([(self.softmax.points, points, high)])
        row.counts["vector.points"] = points * self.softmax.ops
        row.counts["sram.read"] = -(-points * p.partial_bits // 8)
        row.counts["sram.write"] = p.dtypes["shares"].bytes(points)
        for op, access in extras(self.w.stage):
            if not self.w.spilled(access.tensor):
                self.w.need(self.unit, access.tensor)
            elif not is_whole(self.w.graph, access.tensor) or not known:
                rows.append(self._extra(op, access, points, row))
        return row

    def _extra(self, op: Op, access: Access, points: int, row: Draft) -> Draft:
        """An operand beside the scores: a parameter once a stage, anything else by share."""
        loader, size = self.w.unit(self.vector.name, "load"), self.w.graph.touched_bytes(access)
        whole = is_whole(self.w.graph, access.tensor)
        depth = 1 if whole else self.mapping.depth
        channel = self.w.channel(f"load {access.tensor}", loader, self.unit, depth)
        row.take.append(channel)
        if whole:
            self.w.held.append((self.unit, channel))
        else:
            size = -(-size * points // op.points())
            row.free.append(channel)
        return self.w.load(loader, channel, access.tensor, "weight" if whole else "in", size)

    def join(self, run: Run) -> Draft:
        """The row that adds a product to the sums that run; at the end, what the result takes."""
        p = self.mapping.problem
        high, parts = run.b * run.q, run.parts
        outputs = high * p.value_dim
        sums = -(-outputs * p.partial_bits // 8)
        work = [] if run.opens else [(self.softmax.join, outputs * parts, high * parts)]
        read, write = sums * parts * (1 if run.opens else 2), sums * parts
        if run.closes:
            split = self.mapping.split
            if split > 1:  # parts one after the other, each with its maximum and its sum
                work.append((self.softmax.join, outputs * (split - 1), 0))
                work.append((self.softmax.points, 0, high * (split - 1)))
            work.append((self.softmax.finish, outputs, high))
            read += sums * split
            write += p.dtypes["out"].bytes(outputs)
        row = self._row(work)
        row.counts |= {"sram.read": read, "sram.write": write}
        return row

    def _row(self, work: list[tuple[Op, int, int]]) -> Draft:
        """A row of the vector unit: pseudo-ops, each on so many points and rows."""
        cycles = 0
        counts: dict[str, int] = {}
        for op, points, rows in work:
            point, row = self.vector.lane_cycles(op)
            cycles += int(self.vector.cycles(point, row, np.array([points]), np.array([rows]))[0])
            for per, times in ((op.primitives, points), (op.row_primitives, rows)):
                for name, n in per.items():
                    counts[f"vector.{name}"] = counts.get(f"vector.{name}", 0) + n * times
        hz = self.vector.clock_hz
        latency = duration_ps(self.vector.lag_cycles, hz) + self.w.machine.sram.latency_ps
        draft = self.w.draft(self.unit, duration_ps(cycles, hz) if cycles else 0, latency)
        draft.counts = {**counts, "vector.cycles": cycles}
        return draft
