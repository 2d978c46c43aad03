"""Rows of an attention whose scores stay on chip: the array one tile ahead of the vector unit.

The array scores the next tile of keys before it multiplies the shares of this one with the values,
so that it works while the vector unit makes shares of scores: S0, S1, V0, S2, V1, and so on, over
the borders of tiles of queries.
"""

from __future__ import annotations

from math import ceil

import numpy as np

from archsim.components.base import MacEngine, VectorEngine
from archsim.ir.flash import FlashMapping, Run
from archsim.ir.problem import problem
from archsim.ir.target import Cost, Tiles
from archsim.memory.layout import Pattern
from archsim.sim.program import Leaf
from archsim.system.array_cost import array_cost, banked_counts, tile_work
from archsim.system.flash import operands
from archsim.system.flash_lanes import FlashLanes
from archsim.system.layouts import cache_pattern
from archsim.system.rows import Draft
from archsim.system.steps_ahead import Nest, first, loops, runs_in, steps
from archsim.system.writer import Part, Writer, duration_ps

Size = tuple[int, int, int, int]  # problems, rows, parts, keys of a step


class FlashWriter(Writer):
    """Rows of a flash stage: queries, keys and values in, two products and a softmax, results."""

    def write(self) -> Part:
        """Write the stage."""
        mapping, engine, vector = self.stage.mapping, self.stage.engine, self.stage.vector
        assert isinstance(mapping, FlashMapping)
        assert isinstance(engine, MacEngine)
        assert isinstance(vector, VectorEngine)
        self.mapping, self.engine = mapping, engine
        self.problem, self.depth = mapping.problem, mapping.depth
        self.names = operands(self.stage)
        self.array = self.unit(engine.name, "compute")
        self.beside = FlashLanes(self, vector, mapping)
        self.queries = self.unit(engine.name, "load_in")
        self.cache = self.unit(engine.name, "load_weight")
        self.slots = mapping.slots()
        self.patterns: dict[tuple[str, int, int], Pattern | None] = {}
        nest = self._nest()
        self._price(nest)
        prologue = self.book.leaf(self._ahead(first(nest)))
        self.part.tree = [prologue, *loops(nest, self._step, self.stage.path)]
        self.release()
        leaves = self._moves("out") or bool(self.problem.row_bits)
        self.part.finisher = self.unit(vector.name, "store" if leaves else "compute")
        return self.part

    def _moves(self, word: str) -> bool:
        return self.spilled(self.names[word])

    def _nest(self) -> list[Nest[Run]]:
        return [
            Nest(some.count, [runs_in(*rows) for rows in self.mapping.nest(case, some.size)])
            for case in self.problem.cases
            for some in self.mapping.batches(case)
        ]

    def _price(self, nest: list[Nest[Run]]) -> None:
        """Cost of both products of every size of step in one call each."""
        sizes: dict[Size, int] = {}
        for run in steps(nest):
            sizes.setdefault(_size(run), len(sizes))
        self.sizes = sizes
        b, q, parts, keys = (np.array(x, dtype=np.int64) for x in zip(*sizes, strict=True))
        p, wide, each = self.problem, b * parts, -(-keys // parts)
        key_dim, value_dim = np.full_like(b, p.key_dim), np.full_like(b, p.value_dim)
        no = np.zeros(len(b), dtype=bool)
        flags = {"resumed": no, "opens": ~no, "closes": ~no}
        score, value = self.mapping.stationary
        ops = self.stage.ops[0], self.stage.ops[-1]
        self.views = [problem(op, self.graph.tensors, p.partial_bits) for op in ops]
        self.dtypes = [self.engine.rated(p.dtypes[word]) for word in "kv"]
        score_cost, value_cost = (
            array_cost(self.engine, view, self.machine, dtype)
            for view, dtype in zip(self.views, self.dtypes, strict=True)
        )
        products = Tiles(score, wide, q, each, key_dim, no, **flags)
        self.opening = score_cost(Tiles(score, wide, q, each, key_dim, ~no, **flags))
        self.costs = (
            score_cost(products),
            value_cost(Tiles(value, wide, q, value_dim, each, no, **flags)),
        )

    def _ahead(self, run: Run, opening: bool = True) -> list[Draft]:
        """Queries and keys of a step, its scores, and the shares made of them."""
        rows: list[Draft] = []
        score = self._product(0, run, self.opening if opening else self.costs[0])
        if self._moves("q"):
            channel = self.channel("q", self.queries, self.array, self.depth)
            if run.opens:
                size = self.problem.dtypes["q"].bytes(run.b * run.q * self.problem.key_dim)
                rows.append(self.load(self.queries, channel, self.names["q"], "in", size))
                score.take.append(channel)
            if run.closes:
                score.free.append(channel)
        else:
            self.need(self.array, self.names["q"])
        self._cached("k", run, rows, score, frees=not self.problem.one_cache)
        rows.append(score)
        softmax = self.beside.shares(rows, run)
        self._pass("scores", score, softmax)
        self._reserve("shares", softmax)
        rows.append(softmax)
        return rows

    def _step(self, run: Run, then: Run | None) -> Leaf:
        """What is ahead of a step, then its values; `then` is None in the last step of all."""
        rows = self._ahead(then, opening=False) if then else []
        value = self._product(1, run, self.costs[1])
        if self.problem.one_cache:
            if self._moves("k") and self._leaves(run):
                value.free.append(self._channels["k"])
        else:
            self._cached("v", run, rows, value, frees=True)
        channel = self._channels["shares"]
        value.take.append(channel)
        value.free.append(channel)
        rows.append(value)
        join = self.beside.join(run)
        self._pass("products", value, join)
        rows.append(join)
        if run.closes and self._moves("out"):
            storer = self.unit(self.beside.vector.name, "store")
            done = self.channel("out", self.beside.unit, storer, self.depth)
            join.reserve.append(done)
            join.put.append(done)
            size = self.problem.dtypes["out"].bytes(run.b * run.q * self.problem.value_dim)
            rows.append(self.store(storer, done, self.names["out"], "out", size))
        if run.closes and self.problem.row_bits:
            rows.append(self._statistic(run, join))
        if then is None:
            hidden = self.problem.points - self.mapping.executed
            join.counts["skipped.macs"] = hidden * (self.problem.key_dim + self.problem.value_dim)
            join.counts["skipped.points"] = hidden * self.beside.softmax.ops
        return self.book.leaf(rows)

    def _statistic(self, run: Run, join: Draft) -> Draft:
        """What the rows of a tile keep for a backward pass, to memory."""
        storer = self.unit(self.beside.vector.name, "store")
        kept = self.channel("statistic", self.beside.unit, storer, self.depth)
        join.reserve.append(kept)
        join.put.append(kept)
        size = run.b * run.q * self.problem.row_bits // 8
        join.counts["sram.write"] += size
        return self.store(storer, kept, self.names["stats"], "out", size)

    def _enters(self, run: Run) -> bool:
        return run.fresh or not self.mapping.held

    def _leaves(self, run: Run) -> bool:
        return run.leaves or not self.mapping.held

    def _cached(self, word: str, run: Run, rows: list[Draft], step: Draft, *, frees: bool) -> None:
        """Keys or values of a step: brought where they are not held, let go where they are done."""
        name, p = self.names[word], self.problem
        if not self._moves(word):
            self.need(self.array, name)
            return
        channel = self.channel(word, self.cache, self.array, self.slots[word])
        if self._enters(run):
            width = p.key_dim if word == "k" else p.value_dim
            size = p.dtypes[word].bytes(run.b * run.keys * width)
            where, again = self._pattern(name, run.b, run.keys), not run.fresh
            rows.append(
                self.load(self.cache, channel, name, "weight", size, again=again, pattern=where)
            )
            step.take.append(channel)
        if frees and self._leaves(run):
            step.free.append(channel)

    def _pattern(self, name: str, wide: int, keys: int) -> Pattern | None:
        """How so many heads and keys of a tensor are read; steps of few sizes ask again."""
        asked = name, wide, keys
        if asked not in self.patterns:
            layout = self.machine.spec.layout
            self.patterns[asked] = cache_pattern(self.graph, layout, name, wide, keys)
        return self.patterns[asked]

    def _pass(self, name: str, giver: Draft, taker: Draft) -> None:
        """A tile handed over on chip."""
        channel = self.channel(name, giver.unit, taker.unit, self.depth)
        giver.reserve.append(channel)
        giver.put.append(channel)
        taker.take.append(channel)
        taker.free.append(channel)

    def _reserve(self, name: str, giver: Draft) -> None:
        channel = self.channel(name, giver.unit, self.array, self.depth)
        giver.reserve.append(channel)
        giver.put.append(channel)

    def _product(self, which: int, run: Run, cost: Cost) -> Draft:
        """The array's row of one product of a step."""
        p, view, hz = self.problem, self.views[which], self.engine.clock_hz
        i = self.sizes[_size(run)]
        cycles = int(cost.cycles[i])
        lag_ps = duration_ps(int(cost.lag_cycles[i]), hz) + self.machine.sram.latency_ps
        row = self.draft(self.array, duration_ps(cycles, hz), lag_ps)
        n, k = ((run.keys, p.key_dim), (p.value_dim, run.keys))[which]
        size = {"b": run.b, "m": run.q, "n": n, "k": k}
        reads = int(cost.in_reads[i]) * view.bits["in"]
        reads += ceil(int(cost.weight_reads[i]) * view.weight_bits)
        sums = p.partial_bits
        row.counts = {
            **tile_work(self.engine, view, size),
            "array.cycles": cycles,
            "array.folds": int(cost.folds[i]),
            "array.in_reads": int(cost.in_reads[i]),
            "array.weight_reads": int(cost.weight_reads[i]),
            "array.out_writes": int(cost.out_writes[i]),
            "sram.read": -(-(reads + int(cost.out_reads[i]) * sums) // 8),
            "sram.write": -(-int(cost.out_writes[i]) * sums // 8),
        } | banked_counts(cost, i)
        return row


def _size(run: Run) -> Size:
    return run.b, run.q, run.parts, run.keys
