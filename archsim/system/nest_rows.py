"""From a nest on a spatial array to rows: tiles of the buffer in, array steps, results out.

What a tile moves inside the array is counted in `nest_counts`; what is written here only says which
tile takes, reserves, puts and frees what.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, prod

from archsim.components.spatial_array import SpatialArray
from archsim.dataflows._nest_rank import Shape
from archsim.ir.nest import NestMapping
from archsim.ir.nest_ranks import OPERANDS
from archsim.ir.nest_traffic import Moved, Traffic
from archsim.sim.program import Leaf
from archsim.system.nest_counts import NestCounts, Tile
from archsim.system.rows import Draft
from archsim.system.vector_rows import VectorTail
from archsim.system.writer import Node, Part, Writer, duration_ps

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
        self.dtype = self.view.weight.computes_as
        self.array = self.unit(engine.name, "compute")
        self.counts = NestCounts(nest)
        self.unfinished = nest.splits or Shape(self.view, nest.levels[1:]).partial_inside
        self.leaves: list[Tile] = []
        tree: list[Node] = []
        for case in range(len(nest.cases)):
            tree += self._runs(case, 0, {}, {}, {}, {})
        vector, inner = self.stage.vector, {a.tensor for o in self.stage.ops for a in o.writes}
        self.tail = VectorTail(self, vector, self.stage.ops[1:], inner) if vector else None
        self.part.tree = self.tree(tree, self._leaf)
        self.release()
        owner = vector.name if vector else engine.name
        stores = any(self.spilled(t) for t in self.outs)
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
        step = self._array_row(tile)
        for operand, tensor, via in (
            ("in", self.inp, "load_in"),
            ("weight", self.weight, "load_weight"),
        ):
            if self.spilled(tensor):
                self._operand(rows, step, tile, operand, tensor, via)
            else:
                self.need(self.array, tensor)
        moves = self.nest.moves("out", dict(tile.first), dict(tile.last))
        if moves.enter and not self.counts.opens(tile):
            rows.append(self._partial_in(tile, step))
        rows.append(step)
        if moves.leave and not self.counts.closes(tile):
            rows.append(self._partial_out(tile, step))
        else:
            rows += self._results(tile, step)
        return self.book.leaf(rows)

    def _operand(
        self, rows: list[Draft], step: Draft, tile: Tile, operand: str, tensor: str, via: str
    ) -> None:
        moves = self.nest.moves(operand, dict(tile.first), dict(tile.last))
        loader = self.unit(self.engine.name, via)
        channel = self.channel(operand, loader, self.array, self.nest.slots(operand))
        if moves.enter:
            again = not all(
                tile.first[r] for r in self.nest.order if r not in self.nest.relevant[operand]
            )
            size = self._bytes(operand, self.counts.elements(tile, operand))
            if operand == "weight" and tile.opens_op:
                size += self.view.extra_bytes
            rows.append(self.load(loader, channel, tensor, operand, size, again=again))
            step.take.append(channel)
        if moves.leave:
            step.free.append(channel)

    def _bytes(self, operand: str, elements: int) -> int:
        """Bytes of so many elements of an operand, or of `partial` sums."""
        bits = self.view.weight_bits if operand == "weight" else self.view.bits[operand]
        return ceil(elements * bits / 8)

    def _array_row(self, tile: Tile) -> Draft:
        moved = self.counts.inside(tile)
        buffer = {t: moved.get(("buffer", t), Moved()) for t in OPERANDS}
        network = {t: moved.get(("network", t), Moved()) for t in OPERANDS}
        reads = {t: buffer[t].reads for t in OPERANDS}
        if not self.engine.spec.multicast:  # every element has a read of its own
            reads |= {t: network[t].writes for t in ("in", "weight")}
        sums = "partial" if self.unfinished else "out"
        read = sum(self._bytes(t, reads[t]) for t in ("in", "weight"))
        read += self._bytes(sums, reads["out"])
        written = self._bytes(sums, buffer["out"].writes)
        steps = self.nest.steps_of(tile.size, 1)
        rate = self.engine.spec.rates[self.dtype]
        hz = self.engine.clock_hz
        fed = ceil((read + written) * hz / self.machine.sram.bytes_per_s)
        cycles = max(-(-steps // rate), fed)
        row = self.draft(self.array, duration_ps(cycles, hz), self.machine.sram.latency_ps)
        row.counts = {
            f"mac.{self.dtype}": prod(tile.size.values()),
            "array.cycles": cycles,
            "array.steps": steps,
            "array.in_reads": reads["in"],
            "array.weight_reads": reads["weight"],
            "array.out_writes": buffer["out"].writes,
            "sram.read": read,
            "sram.write": written,
            **self._within(moved, network),
        }
        return row

    def _within(self, moved: Traffic, network: dict[str, Moved]) -> dict[str, int]:
        """Bytes that the registers give and take, and those that pass between elements."""
        held = {t: moved.get(("registers", t), Moved()) for t in OPERANDS}
        word = {"in": "in", "weight": "weight", "out": "partial"}
        given = sum(self._bytes(word[t], held[t].reads) for t in OPERANDS)
        taken = sum(self._bytes(word[t], held[t].writes) for t in OPERANDS)
        # an operand is received by every element that needs it, a sum is sent by every one
        passed = sum(self._bytes(t, network[t].writes) for t in ("in", "weight"))
        passed += self._bytes("partial", network["out"].reads)
        return {"register.read": given, "register.write": taken, "network.transfer": passed}

    def _stored(self, storer: int, loader: int) -> int:
        """The channel that says which partial sums have been stored: all of them may be out."""
        tiles = prod(
            -(-extent // self.nest.tile[rank])
            for rank, extent in self.nest.ranks.items()
            if rank in self.nest.relevant["out"]
        )
        return self.channel("stored", storer, loader, tiles + 1)

    def _partial_bytes(self, tile: Tile) -> int:
        return self._bytes("partial", self.counts.elements(tile, "out"))

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
        if moves.enter:
            step.reserve.append(channel)
        if not moves.leave:
            return []
        step.put.append(channel)
        outputs = self.counts.elements(tile, "out")
        if vector is None:
            return [self.store(taker, channel, self.outs[0], "out", self._bytes("out", outputs))]
        filters = "OC" if "OC" in tile.size else "N"
        rows = outputs // tile.size[filters] if tile.first.get(filters, True) else 0
        assert self.tail is not None
        return self.tail.rows(outputs, rows, channel, self.view.bits["out"])
