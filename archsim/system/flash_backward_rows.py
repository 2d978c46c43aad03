"""Rows of the backward pass of an attention that stays on chip: the array one tile ahead.

A step has two halves on the array with the vector unit between them: scores and gradients of
shares, then the three products that add to the gradients of values, queries and keys. The array
does the first half of the next step before the second half of this one, over the borders of tiles
of keys. Sums of the queries leave and come back once a visit.
"""

from __future__ import annotations

from archsim.components.base import MacEngine, VectorEngine
from archsim.ir.flash_backward import BackwardRun, FlashBackwardMapping
from archsim.ir.flash_backward_room import ROW_BITS
from archsim.sim.program import Leaf
from archsim.system.flash_backward import lane_ops, operands
from archsim.system.flash_backward_work import BackwardWork
from archsim.system.rows import Draft
from archsim.system.steps_ahead import Nest, first, loops, runs_in, steps
from archsim.system.writer import Part, Writer, duration_ps

FIRST, SECOND = ("score", "d_shares"), ("d_v", "d_q", "d_k")  # halves of a step on the array
ROWS = ("q", "d_out", "stats", "delta")  # what comes in with a tile of queries


class FlashBackwardWriter(Writer):
    """Rows of a stage: operands in, five products and the vector unit between, gradients out."""

    def write(self) -> Part:
        """Write the stage."""
        mapping, engine, vector = self.stage.mapping, self.stage.engine, self.stage.vector
        assert isinstance(mapping, FlashBackwardMapping)
        assert isinstance(engine, MacEngine)
        assert isinstance(vector, VectorEngine)
        self.mapping, self.engine, self.vector = mapping, engine, vector
        self.problem, self.depth = mapping.problem, mapping.depth
        self.names = operands(self.stage)
        self.array = self.unit(engine.name, "compute")
        self.lanes_unit = self.unit(vector.name, "compute")
        self.queries = self.unit(engine.name, "load_in")
        self.keys = self.unit(engine.name, "load_weight")
        self.storer = self.unit(engine.name, "store")
        nest = self._nest()
        kinds = {kind: i for i, kind in enumerate(dict.fromkeys(run.kind for run in steps(nest)))}
        self.work = BackwardWork(self.stage, mapping, self.graph, self.machine, kinds)
        prologue = self.book.leaf(self._ahead(first(nest), opening=True))
        self.part.tree = [prologue, *loops(nest, self._step, self.stage.path)]
        leaves = any(self._moves(word) for word in SECOND)
        self.part.finisher = self.storer if leaves else self.array
        return self.part

    def _moves(self, word: str) -> bool:
        return word not in self.mapping.resident

    def _nest(self) -> list[Nest[BackwardRun]]:
        return [
            Nest(some.count, [runs_in(*rows) for rows in self.mapping.nest(case, some.size)])
            for case in self.problem.cases
            for some in self.mapping.batches(case)
        ]

    def _ahead(self, run: BackwardRun, *, opening: bool = False) -> list[Draft]:
        """Operands of a step, its first half, and what the vector unit makes of it."""
        rows: list[Draft] = []
        half = self._half(FIRST, run, opening=opening)
        lanes = self._lanes(run)
        for word in ROWS:
            taker = half if word in ("q", "d_out") else lanes
            self._row_operand(word, run, rows, taker)
        for word in ("k", "v"):
            if not self._moves(word):
                self.need(self.array, self.names[word])
            elif run.opens:
                size = run.b * run.keys * self._width(word)
                channel = self.channel(word, self.keys, self.array, self.depth)
                bytes_ = self.problem.dtypes[word].bytes(size)
                rows.append(self.load(self.keys, channel, self.names[word], "weight", bytes_))
                half.take.append(channel)
        rows.append(half)
        channel = self.channel("scores", self.array, self.lanes_unit, self.depth)
        half.reserve.append(channel)
        half.put.append(channel)
        lanes.take.append(channel)
        lanes.free.append(channel)
        shares = self.channel("shares", self.lanes_unit, self.array, self.depth)
        lanes.reserve.append(shares)
        lanes.put.append(shares)
        rows.append(lanes)
        return rows

    def _width(self, word: str) -> int:
        return self.problem.key_dim if word in ("q", "k") else self.problem.value_dim

    def _row_operand(self, word: str, run: BackwardRun, rows: list[Draft], taker: Draft) -> None:
        """An operand of a tile of queries, once a visit; queries and gradients stay for a step."""
        if not self._moves(word):
            self.need(taker.unit, self.names[word])
            return
        channel = self.channel(word, self.queries, taker.unit, self.depth + 1)
        if word in ("q", "d_out"):
            dtype = self.problem.dtypes["q" if word == "q" else "out"]
            size = dtype.bytes(run.b * run.q * self._width(word))
        else:
            size = run.b * run.q * ROW_BITS // 8
            taker.free.append(channel)
        rows.append(
            self.load(self.queries, channel, self.names[word], "in", size, again=not run.first)
        )
        taker.take.append(channel)

    def _step(self, run: BackwardRun, then: BackwardRun | None) -> Leaf:
        """What is ahead of a step, then its second half; `then` is None in the last step of all."""
        rows = self._ahead(then) if then else []
        half = self._half(SECOND, run)
        for word in ("q", "d_out"):
            if self._moves(word):
                half.free.append(self._channels[word])
        half.take.append(self._channels["shares"])
        half.free.append(self._channels["shares"])
        if not run.first:
            rows.append(self._come_back(run, half))
        rows.append(half)
        if not run.last or self._moves("d_q"):
            rows.append(self._leave(run, half))
        for word in ("k", "v"):
            if self._moves(f"d_{word}"):
                rows += self._gradient(word, run, half)
            if run.closes and self._moves(word):
                half.free.append(self._channels[word])
        if then is None:
            p = self.problem
            hidden = p.points - self.mapping.executed
            half.counts["skipped.macs"] = hidden * (3 * p.key_dim + 2 * p.value_dim)
            half.counts["skipped.points"] = hidden * len(lane_ops(self.stage))
        return self.book.leaf(rows)

    def _sums_bytes(self, run: BackwardRun) -> int:
        p = self.problem
        return -(-run.b * run.q * p.key_dim * p.partial_bits // 8)

    def _stored(self, loader: int) -> int:
        """Word that sums of queries have reached memory: as many may lie there as there are."""
        tiles = max(len(self.mapping.rows(case)) for case in self.problem.cases)
        return self.channel("stored", self.storer, loader, tiles + 1)

    def _come_back(self, run: BackwardRun, half: Draft) -> Draft:
        """Sums of queries from memory, once they have been stored."""
        loader = self.unit(self.engine.name, "load_partial")
        channel = self.channel("sums", loader, self.array, self.depth)
        row = self.load(loader, channel, self.names["d_q"], "partial", self._sums_bytes(run))
        row.take.append(self._stored(loader))
        row.free.append(self._stored(loader))
        half.take.append(channel)
        half.free.append(channel)
        return row

    def _leave(self, run: BackwardRun, half: Draft) -> Draft:
        """Sums of queries to memory, or their gradient after the last visit."""
        channel = self.channel("d_q", self.array, self.storer, self.depth)
        half.reserve.append(channel)
        half.put.append(channel)
        name = self.names["d_q"]
        if run.last:
            size = self.problem.dtypes["q"].bytes(run.b * run.q * self.problem.key_dim)
            return self.store(self.storer, channel, name, "out", size)
        row = self.store(self.storer, channel, name, "partial", self._sums_bytes(run))
        stored = self._stored(self.unit(self.engine.name, "load_partial"))
        row.reserve.append(stored)
        row.put.append(stored)
        return row

    def _gradient(self, word: str, run: BackwardRun, half: Draft) -> list[Draft]:
        """Sums of keys or values: room from the first step on, and stored after the last."""
        channel = self.channel(f"d_{word}", self.array, self.storer, self.depth)
        if run.opens:
            half.reserve.append(channel)
        if not run.closes:
            return []
        half.put.append(channel)
        size = self.problem.dtypes[word].bytes(run.b * run.keys * self._width(word))
        return [self.store(self.storer, channel, self.names[f"d_{word}"], "out", size)]

    def _half(self, which: tuple[str, ...], run: BackwardRun, *, opening: bool = False) -> Draft:
        """The array's row of some products of a step, one after the other."""
        cycles, lag, counts = self.work.products(which, run, opening=opening)
        hz = self.engine.clock_hz
        latency = duration_ps(lag, hz) + self.machine.sram.latency_ps
        row = self.draft(self.array, duration_ps(cycles, hz), latency)
        row.counts = counts
        return row

    def _lanes(self, run: BackwardRun) -> Draft:
        """The vector unit's row: shares of scores, and gradients of scores of those of shares."""
        cycles, counts = self.work.lanes(run)
        hz = self.vector.clock_hz
        latency = duration_ps(self.vector.lag_cycles, hz) + self.machine.sram.latency_ps
        row = self.draft(self.lanes_unit, duration_ps(cycles, hz) if cycles else 0, latency)
        row.counts = counts
        return row
