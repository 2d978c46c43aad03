"""From a fused nest to rows: sums of a hidden tile, the activation of them, and their use at once.

The array makes the sums of the next hidden tile before it uses this one, where the nest goes ahead:
F0, F1, L0, F2, L1, and so on, over the borders of tiles of rows. What a tile of a product takes of
the array is in `fused_nest_work`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from archsim.components.base import MacEngine, VectorEngine
from archsim.ir.mapping import Mapping as MatrixMapping
from archsim.ir.nest_fused import FusedNest
from archsim.ir.problem import problem
from archsim.ir.reuse import Segment, segments
from archsim.memory.layout import Pattern
from archsim.sim.program import Leaf, Loop
from archsim.system.fused_nest_results import Results
from archsim.system.fused_nest_stage import block_of
from archsim.system.fused_nest_work import ProductTile, ProductWork
from archsim.system.layouts import tile_pattern
from archsim.system.rows import Draft
from archsim.system.vector_rows import primitive_counts
from archsim.system.writer import Part, Writer, duration_ps

Rows = list[Loop | Leaf]


@dataclass(frozen=True)
class Hidden:
    """One hidden tile: its extents, and where it stands in the loops over rows and columns."""

    case: int
    b: int
    m: Segment
    f: Segment
    opens_op: bool


@dataclass
class Run:
    """A run of alike bodies, or of alike hidden tiles."""

    count: int
    body: list[Run] = field(default_factory=list)
    tile: Hidden | None = None

    @property
    def first(self) -> Hidden:
        """Its first hidden tile."""
        return self.tile or self.body[0].first


class FusedNestWriter(Writer):
    """Rows of a feed-forward block: operands in, two products with a vector op between, results."""

    def write(self) -> Part:
        """Write the stage."""
        nest, engine, vector = self.stage.mapping, self.stage.engine, self.stage.vector
        assert isinstance(nest, FusedNest)
        assert isinstance(engine, MacEngine)
        assert isinstance(vector, VectorEngine)
        self.nest, self.engine, self.vector = nest, engine, vector
        block, tail = block_of(self.stage)
        *self.firsts, self.act, self.last = block
        bits = nest.problem.partial_bits
        self.works = [
            ProductWork(self, engine, problem(op, self.graph.tensors, bits), nest.inner[i])
            for op, i in [*((op, 0) for op in self.firsts), (self.last, 1)]
        ]
        self.array, self.beside = (
            self.unit(engine.name, "compute"),
            self.unit(vector.name, "compute"),
        )
        runs = self._runs()
        pattern = self._pattern("out", "out", self.last.writes[0].tensor)
        self.results = Results(self, nest, tail, vector, pattern)
        if nest.hidden_tiles > 1:
            self.part.tree = [*self._sums(runs[0].first), *self._ahead(runs, None)]
        else:
            self.part.tree = self._plain(runs)
        self.release()
        self.part.finisher = self.results.finisher
        return self.part

    def _runs(self) -> list[Run]:
        """Loops over hidden tiles, outermost first."""
        tile, found = self.nest.tile, []
        for case, (problems, rows) in enumerate(self.nest.problem.cases):
            for b in segments(problems, tile["b"]):
                inside = []
                for m in segments(rows, tile["m"]):
                    opens = not case and b.first and m.first
                    inside.append(Run(m.count, [
                        Run(f.count, tile=Hidden(case, b.size, m, f, opens and f.first))
                        for f in segments(self.nest.problem.f, tile["f"])
                    ]))  # fmt: skip
                found.append(Run(b.count, inside))
        return found

    def _plain(self, runs: list[Run]) -> Rows:
        """Each hidden tile made, then used."""
        out: Rows = []
        for run in runs:
            if run.tile:
                body = [*self._sums(run.tile), *self._use(run.tile)]
            else:
                body = self._plain(run.body)
            out += self._loop(run.count, body)
        return out

    def _ahead(self, runs: list[Run], then: Hidden | None) -> Rows:
        """Each hidden tile used after the one that follows it was made; `then` follows the last.

        The last of several alike bodies stands alone where what follows it is not their first tile.
        """
        out: Rows = []
        for i, run in enumerate(runs):
            follower = runs[i + 1].first if i + 1 < len(runs) else then
            alike = run.count if run.first == follower else run.count - 1
            for count, after in ((alike, run.first), (run.count - alike, follower)):
                if not count:
                    continue
                if run.tile:
                    body = [*(self._sums(after) if after else []), *self._use(run.tile)]
                else:
                    body = self._ahead(run.body, after)
                out += self._loop(count, body)
        return out

    def _loop(self, count: int, body: Rows) -> Rows:
        return [Loop(count, tuple(body), name=self.stage.path)] if count > 1 else body

    def _each(
        self, rank: str, extent: int, leaf: Callable[[Segment], Leaf]
    ) -> Iterator[Loop | Leaf]:
        """The tiles of the loop that a product has for itself."""
        for s in segments(extent, self.nest.tile[rank]):
            yield from self._loop(s.count, [leaf(s)])

    def _sums(self, tile: Hidden) -> Rows:
        """The first products of a hidden tile, and the activation of their sums."""
        self.case = tile.case
        rows = [*self._each("k", self.nest.problem.k, lambda k: self._first(tile, k))]
        return [*rows, self.book.leaf([self._activation(tile)])]

    def _use(self, tile: Hidden) -> Rows:
        """The last product of a hidden tile."""
        self.case = tile.case
        return [*self._each("n", self.nest.problem.n, lambda n: self._last(tile, n))]

    def _first(self, tile: Hidden, k: Segment) -> Leaf:
        """A tile of the first products, one after the other."""
        rows: list[Draft] = []
        opens = tile.opens_op and k.first
        steps = [
            self.works[i].row(
                ProductTile((tile.b, tile.m.size, tile.f.size, k.size), k.first, k.last,
                            opens and not i, tile.case)
            )
            for i in range(len(self.firsts))
        ]  # fmt: skip
        size = self.nest.problem.dtypes["in"].bytes(tile.b * tile.m.size * k.size)
        ends = self._ends("in", tile.f)
        self._operand(rows, "in", self.firsts[0].reads[0].tensor, size, ends, tile.f.first,
                      (steps[0], steps[-1]))  # fmt: skip
        weight = self.nest.problem.dtypes["first"].bytes(tile.b * tile.f.size * k.size)
        for i, (op, step) in enumerate(zip(self.firsts, steps, strict=True)):
            size = weight + (self.works[i].view.extra_bytes if opens else 0)
            ends = self._ends("first", tile.m)
            self._operand(rows, f"first {i}", op.reads[1].tensor, size, ends, tile.m.first,
                          (step, step))  # fmt: skip
            sums = self.channel(f"sums {i}", self.array, self.beside, 1)
            if k.first:
                step.reserve.append(sums)
            if k.last:
                step.put.append(sums)
            rows.append(step)
        return self.book.leaf(rows)

    def _ends(self, operand: str, over: Segment) -> tuple[bool, bool]:
        """Whether a tile of an operand enters and leaves, by place in the loop it is held over."""
        held = self.nest.held(operand)
        return over.first or not held, over.last or not held

    def _operand(
        self,
        rows: list[Draft],
        name: str,
        tensor: str,
        size: int,
        ends: tuple[bool, bool],
        fresh: bool,
        steps: tuple[Draft, Draft],
    ) -> None:
        """Bring a tile in, and let it go; `steps` are the first and the last row that read it."""
        if not self.spilled(tensor):
            self.need(self.array, tensor)
            return
        operand, verb = name.split(maxsplit=1)[0], "load_in" if name == "in" else "load_weight"
        loader = self.unit(self.engine.name, verb)
        channel = self.channel(name, loader, self.array, self.nest.slots(operand))
        enter, leave = ends
        if enter:
            which = "in" if name == "in" else "weight"
            where = self._pattern(operand, which, tensor)
            rows.append(
                self.load(loader, channel, tensor, which, size, again=not fresh, pattern=where)
            )
            steps[0].take.append(channel)
        if leave:
            steps[1].free.append(channel)

    def _pattern(self, operand: str, which: str, tensor: str) -> Pattern | None:
        """Where the tiles of an operand lie; None where they follow each other."""
        inner = self.nest.inner[operand in ("last", "out")]
        if not isinstance(inner, MatrixMapping):
            return None
        return tile_pattern(self.graph, self.machine.spec.layout, inner, which, tensor)

    def _activation(self, tile: Hidden) -> Draft:
        """The vector unit's row: the hidden tile of complete sums."""
        p, vector = self.nest.problem, self.vector
        points = tile.b * tile.m.size * tile.f.size
        rows = tile.b * tile.m.size if tile.f.first else 0
        point, row = vector.lane_cycles(self.act)
        cycles = int(vector.cycles(point, row, np.array([points]), np.array([rows]))[0])
        hz = vector.clock_hz
        latency = duration_ps(vector.lag_cycles, hz) + self.machine.sram.latency_ps
        draft = self.draft(self.beside, duration_ps(cycles, hz) if cycles else 0, latency)
        for i in range(len(self.firsts)):
            sums = self.channel(f"sums {i}", self.array, self.beside, 1)
            draft.take.append(sums)
            draft.free.append(sums)
        hidden = self._hidden_channel()
        draft.reserve.append(hidden)
        draft.put.append(hidden)
        draft.counts = primitive_counts([self.act], points, rows)
        draft.counts |= {
            "vector.cycles": cycles,
            "sram.read": -(-p.firsts * points * p.partial_bits // 8),
            "sram.write": p.dtypes["hidden"].bytes(points),
        }
        return draft

    def _hidden_channel(self) -> int:
        return self.channel("hidden", self.beside, self.array, self.nest.hidden_tiles)

    def _last(self, tile: Hidden, n: Segment) -> Leaf:
        """A tile of the last product: the hidden tile is added to its outputs."""
        rows: list[Draft] = []
        size = tile.b, tile.m.size, n.size, tile.f.size
        step = self.works[-1].row(ProductTile(size, tile.f.first, tile.f.last, False, tile.case))
        hidden = self._hidden_channel()
        if n.first:
            step.take.append(hidden)
        if n.last:
            step.free.append(hidden)
        weight = self.nest.problem.dtypes["last"].bytes(tile.b * tile.f.size * n.size)
        if tile.opens_op and n.first:
            weight += self.works[-1].view.extra_bytes
        ends = self._ends("last", tile.m)
        self._operand(rows, "last", self.last.reads[1].tensor, weight, ends, tile.m.first,
                      (step, step))  # fmt: skip
        outputs, tall = tile.b * tile.m.size * n.size, tile.b * tile.m.size if n.first else 0
        return self.book.leaf([*rows, *self.results.rows(tile.f, outputs, step, tall)])
