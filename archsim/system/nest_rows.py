"""From a nest on a spatial array to rows: tiles of the buffer in, array steps, results out.

What a tile moves inside the array is counted in `nest_counts`, and what it takes of the array is in
`nest_work`; what is written here only says which tile takes, reserves, puts and frees what.

An operand that passes by the buffer streams while its tile runs: the stream begins with the tile,
since nothing on chip could hold what came sooner, pays the memory's latency each time, and the tile
ends no sooner than its streams.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from archsim.components.spatial_array import SpatialArray
from archsim.ir.nest import NestMapping
from archsim.sim.program import Leaf
from archsim.system.nest_counts import Tile
from archsim.system.nest_work import SpatialWork, passing
from archsim.system.rows import Draft
from archsim.system.vector_rows import VectorTail
from archsim.system.writer import Node, Part, Writer

Run = tuple[int, int, int, bool, bool]  # alike tiles: how many, first index, extent, first, last


class NestWriter(Writer):
    """Rows of a MAC stage on a spatial array: operands in, array, fused vector ops, results out."""

    def write(self) -> Part:
        """Write the stage."""
        nest, engine = self.stage.mapping, self.stage.engine
        assert isinstance(nest, NestMapping)
        assert isinstance(engine, SpatialArray)
        self.nest, self.engine, self.view = nest, engine, nest.problem
        op = self.view.op
        self.inp, self.weight = op.reads[0].tensor, op.reads[1].tensor
        self.outs = [a.tensor for a in self.stage.ops[-1].writes]
        self.work = SpatialWork(self, engine, nest)
        self.array, self.counts = self.work.array, self.work.counts
        self.passing = passing(nest)
        self.leaves: list[Tile] = []
        tree: list[Node] = []
        for case in range(len(nest.cases)):
            tree += self._runs(case, 0, {}, {}, {}, {})
        vector, inner = self.stage.vector, {a.tensor for o in self.stage.ops for a in o.writes}
        self.tail = VectorTail(self, vector, self.stage.ops[1:], inner) if vector else None
        self.part.tree = self.tree(tree, self._leaf)
        self.release()
        owner = vector.name if vector else engine.name
        stores = "out" not in self.passing and any(self.spilled(t) for t in self.outs)
        self.part.finisher = self.unit(owner, "store" if stores else "compute")
        return self.part

    def _runs(
        self,
        case: int,
        depth: int,
        size: dict[str, int],
        low: dict[str, int],
        first: dict[str, bool],
        last: dict[str, bool],
    ) -> list[Node]:
        """Loops over runs of alike tiles, outermost first."""
        if depth == len(self.nest.outer):
            extents = self.nest.cases[case]
            opens = case == 0 and all(first.values())
            zero = dict.fromkeys(extents, 0)
            tile = Tile({**extents, **size}, {**zero, **low}, first, last, case, opens)
            self.leaves.append(tile)
            return [Node(1, leaf=len(self.leaves) - 1)]
        rank, tile_size = self.nest.outer[depth].rank, self.nest.outer[depth].tile
        return [
            Node(
                times,
                self._runs(
                    case,
                    depth + 1,
                    {**size, rank: extent},
                    {**low, rank: at},
                    {**first, rank: begins},
                    {**last, rank: ends},
                ),
            )
            for times, at, extent, begins, ends in self._alike(rank, case, tile_size)
        ]

    def _alike(self, rank: str, case: int, tile: int) -> Iterator[Run]:
        """Tiles of a rank in runs that move the same: first and last are by themselves.

        So are those whose windows reach padding.
        """
        extent = self.nest.cases[case][rank]
        held: Run | None = None
        for at in range(0, extent, tile):
            size = min(tile, extent - at)
            begins, ends = at == 0, at + size == extent
            plain = not (begins or ends or self.counts.clipped(rank, at, size))
            if held is not None and plain and not (held[3] or held[4]) and held[0] > 0:
                held = (held[0] + 1, *held[1:])
                continue
            if held is not None:
                yield held
                held = None
            if plain:
                held = (1, at, size, False, False)
            else:
                yield (1, at, size, begins, ends)
        if held is not None:
            yield held

    def _leaf(self, i: int) -> Leaf:
        rows: list[Draft] = []
        tile = self.leaves[i]
        self.case = tile.case
        streams = self.work.streams(tile)
        begin = self.draft(self.array) if streams else None
        step = self.work.row(tile)
        for operand, tensor, via in (
            ("in", self.inp, "load_in"),
            ("weight", self.weight, "load_weight"),
        ):
            if not self.spilled(tensor):
                self.need(self.array, tensor)
            elif operand not in self.passing:
                self._operand(rows, step, tile, operand, tensor, via)
        moves = self.nest.moves("out", dict(tile.first), dict(tile.last))
        through = "out" not in self.passing
        if through and moves.enter and not self.counts.opens(tile):
            rows.append(self._partial_in(tile, step))
        after: list[Draft] = []
        if through and moves.leave and not self.counts.closes(tile):
            after = [self._partial_out(tile, step)]
        elif through:
            after = self._results(tile, step)
        steps = [step] if begin is None else self._streamed(begin, step, tile, streams)
        return self.book.leaf([*rows, *steps, *after])

    def _streamed(
        self, begin: Draft, step: Draft, tile: Tile, streams: dict[str, tuple[int, int]]
    ) -> list[Draft]:
        """A step between its begin and its end, and what passes by the buffer meanwhile."""
        end = self.draft(self.array, lag_ps=step.lag_ps)
        rows = [begin]
        tensors = {"in": self.inp, "weight": self.weight}
        for operand, (read, written) in streams.items():
            tensor = tensors.get(operand, self.outs[0])
            if read:
                extra = self.view.extra_bytes if operand == "weight" and tile.opens_op else 0
                unit = self.unit(self.engine.name, f"stream_{operand}")
                done = self.channel(f"stream {operand}", unit, self.array, 1)
                again = operand != "partial" and self._again(operand, tile)
                row = self.load(unit, done, tensor, operand, read + extra, again=again)
                row.counts.pop("sram.write")
                start = self.channel(f"start {operand}", self.array, row.unit, 1)
                row.take.append(start)
                row.free.append(start)
                self._joins(begin, end, start, done)
                rows.append(row)
            if written:
                unit = self.unit(self.engine.name, "store")
                start = self.channel(f"start {operand} out", self.array, unit, 1)
                row = self.store(unit, start, tensor, operand, written)
                row.counts.pop("sram.read")
                done = self.channel(f"stored {operand}", unit, self.array, 1)
                row.reserve.append(done)
                row.put.append(done)
                self._joins(begin, end, start, done)
                rows.append(row)
        begin.take += step.take
        begin.reserve += step.reserve
        end.put += step.put
        end.free += step.free
        step.take, step.reserve, step.put, step.free, step.lag_ps = [], [], [], [], 0
        return [*rows, step, end]

    def _joins(self, begin: Draft, end: Draft, start: int, done: int) -> None:
        """A stream starts with a tile, and ends before it does."""
        begin.reserve.append(start)
        begin.put.append(start)
        end.take.append(done)
        end.free.append(done)

    def _operand(
        self, rows: list[Draft], step: Draft, tile: Tile, operand: str, tensor: str, via: str
    ) -> None:
        moves = self.nest.moves(operand, dict(tile.first), dict(tile.last))
        loader = self.unit(self.engine.name, via)
        channel = self.channel(operand, loader, self.array, self.nest.slots(operand))
        if moves.enter:
            again = self._again(operand, tile)
            size = self.work.size(operand, self.counts.elements(tile, operand))
            if operand == "weight" and tile.opens_op:
                size += self.view.extra_bytes
            rows.append(self.load(loader, channel, tensor, operand, size, again=again))
            step.take.append(channel)
        if moves.leave:
            step.free.append(channel)

    def _again(self, operand: str, tile: Tile) -> bool:
        """True for a tile that was read before in the stage."""
        own = self.nest.relevant[operand]
        return not all(tile.first[r] for r in self.nest.order if r not in own)

    def _stored(self, storer: int, loader: int) -> int:
        """The channel that says which partial sums have been stored: all of them may be out."""
        tiles = prod(
            -(-extent // self.nest.tile[rank])
            for rank, extent in self.nest.ranks.items()
            if rank in self.nest.relevant["out"]
        )
        return self.channel("stored", storer, loader, tiles + 1)

    def _partial_bytes(self, tile: Tile) -> int:
        return self.work.size("partial", self.counts.elements(tile, "out"))

    def _partial_in(self, tile: Tile, step: Draft) -> Draft:
        """Partial sums that were spilled come back once they have been stored."""
        loader, storer = (self.unit(self.engine.name, v) for v in ("load_in", "store"))
        channel = self.channel("partial", loader, self.array, self.nest.slots("out"))
        row = self.load(loader, channel, self.outs[0], "partial", self._partial_bytes(tile))
        stored = self._stored(storer, loader)
        row.take.append(stored)
        row.free.append(stored)
        step.take.append(channel)
        step.free.append(channel)
        return row

    def _partial_out(self, tile: Tile, step: Draft) -> Draft:
        """Partial sums leave the chip before the reduction is complete."""
        loader, storer = (self.unit(self.engine.name, v) for v in ("load_in", "store"))
        channel = self.channel("spill", self.array, storer, self.nest.slots("out"))
        step.reserve.append(channel)
        step.put.append(channel)
        row = self.store(storer, channel, self.outs[0], "partial", self._partial_bytes(tile))
        stored = self._stored(storer, loader)
        row.reserve.append(stored)
        row.put.append(stored)
        return row

    def _results(self, tile: Tile, step: Draft) -> list[Draft]:
        """What happens to an output tile: it stays, is stored, or goes through fused vector ops."""
        vector, leaves = self.stage.vector, any(self.spilled(t) for t in self.outs)
        if vector is None and not leaves:
            return []
        moves = self.nest.moves("out", dict(tile.first), dict(tile.last))
        taker = (
            self.unit(vector.name, "compute") if vector else self.unit(self.engine.name, "store")
        )
        channel = self.channel("out", self.array, taker, self.nest.slots("out"))
        held = self.nest.held_over("out")
        if moves.enter and all(
            tile.last[r] for r in self.nest.order if r in self.nest.reduced and r not in held
        ):  # it leaves complete; sums that leave before that do so another way
            step.reserve.append(channel)
        if not moves.leave:
            return []
        step.put.append(channel)
        outputs = self.counts.elements(tile, "out")
        if vector is None:
            return [self.store(taker, channel, self.outs[0], "out", self.work.size("out", outputs))]
        filters = "OC" if "OC" in tile.size else "N"
        rows = outputs // tile.size[filters] if tile.first.get(filters, True) else 0
        assert self.tail is not None
        return self.tail.rows(outputs, rows, channel, self.view.bits["out"])
