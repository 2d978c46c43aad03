"""Rows of a region: an op a unit, tiles pass from op to op, operands come from memory ahead of use.

What ops multiply with, and their parameters, are brought by one loader in the order of the ops,
and of an op in the order of the rows that take them, as far ahead as room allows: memory works
while an op computes, and stops only when a region ends. A piece never waits for room behind one
that is used after it, so one slot is enough.
"""

from __future__ import annotations

from collections import Counter

from archsim.components.spatial_pipeline import SpatialPipeline
from archsim.ir.region import Operand, Placed, RegionMapping, Way
from archsim.sim.program import Leaf, Loop
from archsim.system.region import Planner
from archsim.system.region_tiles import RegionTiles, share
from archsim.system.rows import Draft
from archsim.system.writer import Part, Writer, duration_ps


class RegionWriter(Writer):
    """Rows of a stage that is a region."""

    def write(self) -> Part:
        """Write the stage."""
        mapping, engine = self.stage.mapping, self.stage.engine
        assert isinstance(mapping, RegionMapping)
        assert isinstance(engine, SpatialPipeline)
        self.mapping, self.engine, self.steps = mapping, engine, mapping.steps
        planner = Planner(
            self.graph, self.machine, engine, frozenset(), 0, self.plan.accumulator_bits
        )
        works = planner.works(mapping, self.stage.ops)
        self.tiles = RegionTiles(self.graph, self.stage.ops, mapping, works)
        self.cells = [self.unit(self._name(op), "compute") for op in mapping.ops]
        self.consumers = self._consumers()
        self.alike = 1  # tiles that the rows being written stand for
        self.part.tree = self._tree()
        self._release()
        sinks = {
            self.unit(self._name(op), "store" if op.stores else "compute")
            for op in mapping.ops
            if op.stores or op.stays
        }
        self.part.finisher = max(sinks)
        self.part.drains |= sinks - {self.part.finisher}
        return self.part

    def _name(self, op: Placed) -> str:
        return f"{self.engine.name}.{op.name}"

    def _consumers(self) -> dict[tuple[int, str], list[tuple[int, Operand]]]:
        """Who takes what an op hands on, by op and tensor."""
        found: dict[tuple[int, str], list[tuple[int, Operand]]] = {}
        for j, op in enumerate(self.mapping.ops):
            for o in op.operands:
                if o.source is not None:
                    found.setdefault((o.source, o.tensor), []).append((j, o))
        return found

    def _tree(self) -> list[Loop | Leaf]:
        """The tiles: the first and the last by themselves, alike ones between them in loops."""
        runs: list[list[int]] = []  # first tile of each run, and how many
        for i in range(self.steps):
            edge = i in (0, self.steps - 1)
            alike = runs and not edge and runs[-1][0] != 0
            if alike and self.tiles.likeness(i) == self.tiles.likeness(runs[-1][0]):
                runs[-1][1] += 1
            else:
                runs.append([i, 1])
        tree: list[Loop | Leaf] = []
        for first, count in runs:
            self.alike = count
            leaf = self._leaf(first)
            tree.append(Loop(count, (leaf,), name=self.stage.path) if count > 1 else leaf)
        return tree

    def _leaf(self, i: int) -> Leaf:
        rows: list[Draft] = []
        brought: dict[str, Draft] = {}
        for j, op in enumerate(self.mapping.ops):
            work: list[Draft] = [self._cell_row(j, i, k, n) for n in [self.tiles.pieces(j, i)]
                                 for k in range(n)]  # fmt: skip
            bulk = [o for o in op.operands if o.way in (Way.HELD, Way.PASSED, Way.AGAIN)]
            for o in op.operands:
                if o not in bulk:
                    rows += self._operand(j, o, i, work, brought)
            rows += self._bulk(j, bulk, i, work)
            for o in bulk:
                rows += self._fresh(j, o, i, work)
            rows += work
            rows += self._results(j, i, work)
        return self.book.leaf(rows)

    def _cell_row(self, at: int, i: int, piece: int, pieces: int) -> Draft:
        """The row of one piece of an op's tile."""
        cycles, lag = self.tiles.cycles(at, i, piece, pieces)
        hz = self.engine.clock_hz
        latency = duration_ps(lag, hz) + self.machine.sram.latency_ps
        row = self.draft(self.cells[at], duration_ps(cycles, hz), latency)
        row.counts = self.tiles.counts(at, i, piece, pieces)
        return row

    def _operand(
        self, at: int, o: Operand, i: int, work: list[Draft], brought: dict[str, Draft]
    ) -> list[Draft]:
        """Rows that bring an operand's tile, and the tokens of the rows that use it."""
        if o.way is Way.HERE:
            self.need(self.cells[at], o.tensor)
            return []
        if o.way is Way.PIPE:
            assert o.source is not None
            _takes(self._pipe(o, at), work)
            return []
        if o.way is Way.WHOLE:
            channel = self._pipe(o, at)
            if i == 0:
                work[0].take.append(channel)
                self._hold(at, channel)
            return []
        return self._tile(at, o, i, work, brought)

    def _pipe(self, o: Operand, at: int) -> int:
        assert o.source is not None
        return self.channel(f"{o.tensor}>{at}", self.cells[o.source], self.cells[at], o.depth)

    def _tile(
        self, at: int, o: Operand, i: int, work: list[Draft], brought: dict[str, Draft]
    ) -> list[Draft]:
        """A tile from memory; several ops may take the same one."""
        loader = self.unit(self.engine.name, "load_in")
        channel = self.channel(f"load {o.tensor}>{at}", loader, self.cells[at], o.depth)
        _takes(channel, work)
        if o.tensor in brought:
            row = brought[o.tensor]
            row.reserve.append(channel)
            row.put.append(channel)
            self.book.rehome(channel, row.unit)
            return []
        size = max(1, self.tiles.loaded_bytes(o, at, i, fresh=False))
        brought[o.tensor] = self.load(loader, channel, o.tensor, o.word, size)
        return [brought[o.tensor]]

    def _loader(self, at: int, o: Operand) -> int:
        """Who brings what an op multiplies with: one for all, unless it comes with each tile."""
        own = self.steps > 1 and o.way in (Way.PASSED, Way.AGAIN)
        owner = self._name(self.mapping.ops[at]) if own else self.engine.name
        return self.unit(owner, "load_weight")

    def _bulk(self, at: int, bulk: list[Operand], i: int, work: list[Draft]) -> list[Draft]:
        """What of operands the region did not write itself, piece by piece, in order of use."""
        due: list[tuple[int, int, Operand]] = []  # place of the row that takes it, piece, operand
        for o in bulk:
            pieces = self._pieces(at, o, i)
            due += [(k * len(work) // pieces, k, o) for k in range(pieces)]
        due.sort(key=lambda one: one[0])
        return [self._piece(at, o, i, k, work[place]) for place, k, o in due]

    def _pieces(self, at: int, o: Operand, i: int) -> int:
        """Pieces in which what the region did not write itself comes with a tile; 0: none does."""
        if not self.tiles.loaded_bytes(o, at, i, fresh=False):
            return 0
        return o.pieces if i == 0 or o.way is Way.AGAIN else 1

    def _piece(self, at: int, o: Operand, i: int, k: int, user: Draft) -> Draft:
        """The row that brings a piece of an operand; `user` takes it."""
        loader, pieces = self._loader(at, o), self._pieces(at, o, i)
        channel = self.channel(f"load {o.tensor}>{at}", loader, self.cells[at], o.depth)
        size = share(self.tiles.loaded_bytes(o, at, i, fresh=False), k, pieces)
        again = o.way is Way.AGAIN and i > 0
        row = self.load(loader, channel, o.tensor, o.word, max(1, size), again=again)
        if k == 0 and o.way is Way.AGAIN and o.fresh_bytes:
            self._after_store(at, o, i, row)
        user.take.append(channel)
        if o.way is Way.HELD:
            self._hold(at, channel)
        else:
            user.free.append(channel)
        return row

    def _fresh(self, at: int, o: Operand, i: int, work: list[Draft]) -> list[Draft]:
        """What of an operand the region wrote itself: back from memory once it is there."""
        size = self.tiles.loaded_bytes(o, at, i, fresh=True)
        if not size:
            return []
        loader = self.unit(self._name(self.mapping.ops[at]), "load_new")
        depth = self.steps if o.way is Way.HELD else min(2, self.steps)
        channel = self.channel(f"load new {o.tensor}>{at}", loader, self.cells[at], depth)
        row = self.load(loader, channel, o.tensor, o.word, size)
        self._after_store(at, o, i, row)
        work[-1].take.append(channel)
        if o.way is Way.HELD:
            self._hold(at, channel)
        else:
            work[-1].free.append(channel)
        return [row]

    def _stored(self, at: int, o: Operand, loader: int) -> int:
        assert o.source is not None
        storer = self.unit(self._name(self.mapping.ops[o.source]), "store")
        return self.channel(f"stored {o.tensor}>{at}", storer, loader, self.steps)

    def _stepwise(self, at: int, o: Operand) -> bool:
        """True where tile `i` of an op needs only what tiles up to `i` have written."""
        return self.stage.ops[at].causal or o.way is Way.PASSED

    def _after_store(self, at: int, o: Operand, i: int, row: Draft) -> None:
        if self._stepwise(at, o) or i == 0:
            channel = self._stored(at, o, row.unit)
            row.take.append(channel)
            row.free.append(channel)

    def _results(self, at: int, i: int, work: list[Draft]) -> list[Draft]:
        """What becomes of a tile of results: to other ops, to memory, or it stays."""
        op, rows = self.mapping.ops[at], []
        for access in self.stage.ops[at].writes:
            for j, o in self.consumers.get((at, access.tensor), []):
                if o.way is Way.PIPE:
                    _gives(self._pipe(o, j), work)
                elif o.way is Way.WHOLE:
                    channel = self._pipe(o, j)
                    if i == 0:
                        work[0].reserve.append(channel)
                    if i == self.steps - 1:
                        work[-1].put.append(channel)
        for tensor in op.stores:
            storer = self.unit(self._name(op), "store")
            channel = self.channel(f"store {tensor}", self.cells[at], storer, min(2, self.steps))
            _gives(channel, work)
            size = self.tiles.stored_bytes(at, tensor, i)
            row = self.store(storer, channel, tensor, "out", size)
            for j, o in self.consumers.get((at, tensor), []):
                if o.fresh_bytes and (self._stepwise(j, o) or i == self.steps - 1):
                    self._tell(row, j, o)
            rows.append(row)
        return rows

    def _tell(self, row: Draft, at: int, o: Operand) -> None:
        """Let the loader of an operand know that a tile of it is in memory."""
        verb = "load_weight" if o.way is Way.AGAIN else "load_new"
        loader = self.unit(self._name(self.mapping.ops[at]), verb)
        channel = self._stored(at, o, loader)
        row.reserve.append(channel)
        row.put.append(channel)

    def _hold(self, at: int, channel: int) -> None:
        """Keep what a row takes, as often as it runs, until the region ends."""
        self.held += [(self.cells[at], channel)] * self.alike

    def _release(self) -> None:
        """Let go, after each op's last row, of what was held while all tiles passed."""
        rows = []
        last: dict[int, list[int]] = {}
        for (unit, channel), times in Counter(self.held).items():
            last.setdefault(unit, []).append(channel)
            if times > 1:
                row = self.draft(unit)
                row.run, row.free = times - 1, [channel]
                rows.append(row)
        for unit, channels in last.items():  # runs once, so that it can end the stage
            row = self.draft(unit)
            row.free = channels
            rows.append(row)
        if rows:
            self.part.tree.append(self.book.leaf(rows))


def _takes(channel: int, work: list[Draft]) -> None:
    work[0].take.append(channel)
    work[-1].free.append(channel)


def _gives(channel: int, work: list[Draft]) -> None:
    work[0].reserve.append(channel)
    work[-1].put.append(channel)
