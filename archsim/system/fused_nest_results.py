"""What becomes of the sums of a fused nest: they stay, leave and come back, or are results.

Results stay on chip, are stored, or go on through the vector ops that follow the block.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from archsim.components.base import VectorEngine
from archsim.ir.nest_fused import FusedNest
from archsim.ir.op import Op
from archsim.ir.reuse import Segment
from archsim.memory.layout import Pattern
from archsim.system.rows import Draft
from archsim.system.vector_rows import VectorTail
from archsim.system.writer import Writer


class Results:
    """The rows of sums, of one stage.

    Attributes:
        finisher: the unit that ends the stage.
    """

    def __init__(
        self,
        writer: Writer,
        nest: FusedNest,
        tail: Sequence[Op],
        vector: VectorEngine,
        pattern: Pattern | None,
    ) -> None:
        self.w, self.nest, self.pattern = writer, nest, pattern
        self.outs = list(writer.stage.writes)
        self.leaves = any(writer.spilled(t) for t in self.outs)
        inner = {a.tensor for op in writer.stage.ops for a in op.writes}
        self.tail = VectorTail(writer, vector, tail, inner) if tail else None
        self.array = writer.unit(nest.engine, "compute")
        self.taker = writer.unit(vector.name, "compute") if tail else -1
        if not tail and self.leaves:
            self.taker = writer.unit(nest.engine, "store")
        owner = vector.name if tail else nest.engine
        self.finisher = writer.unit(owner, "store" if self.leaves else "compute")

    def rows(self, f: Segment, outputs: int, step: Draft, tall: int) -> list[Draft]:
        """An output tile's rows at a hidden tile: what comes before the array's row, it, and after.

        Args:
            f: place of the hidden tile in the loop over hidden columns.
            outputs: elements of the tile.
            step: the array's row.
            tall: rows of the result that the tile is the first of.
        """
        rows = [step]
        if self.nest.spills and not f.first:
            rows.insert(0, self._partial_in(outputs, step))
        if self.nest.spills and not f.last:
            return [*rows, self._partial_out(outputs, step)]
        return [*rows, *self._done(f, outputs, step, tall)]

    def _units(self) -> tuple[int, int]:
        return self.w.unit(self.nest.engine, "load_in"), self.w.unit(self.nest.engine, "store")

    def _stored(self) -> int:
        """The channel that says which sums have been stored: all of a tile of rows may be out."""
        loader, storer = self._units()
        tiles = prod(self.nest.steps(rank) for rank in "bmn")
        return self.w.channel("stored", storer, loader, tiles + 1)

    def _partial_in(self, outputs: int, step: Draft) -> Draft:
        """Sums that left the chip come back once they have been stored."""
        loader, _ = self._units()
        channel = self.w.channel("partial", loader, self.array, self.nest.slots("out"))
        row = self.w.load(loader, channel, self.outs[0], "partial", self._wide(outputs))
        row.take.append(self._stored())
        row.free.append(self._stored())
        step.take.append(channel)
        step.free.append(channel)
        return row

    def _partial_out(self, outputs: int, step: Draft) -> Draft:
        """Sums leave the chip before the reduction is complete."""
        _, storer = self._units()
        channel = self.w.channel("spill", self.array, storer, self.nest.slots("out"))
        step.reserve.append(channel)
        step.put.append(channel)
        row = self.w.store(storer, channel, self.outs[0], "partial", self._wide(outputs))
        row.reserve.append(self._stored())
        row.put.append(self._stored())
        return row

    def _wide(self, outputs: int) -> int:
        """Bytes of sums that are not complete."""
        return -(-outputs * self.nest.problem.partial_bits // 8)

    def _done(self, f: Segment, outputs: int, step: Draft, tall: int) -> list[Draft]:
        """Results stay, are stored, or go on through vector ops."""
        if self.taker < 0:
            return []
        dtype, held = self.nest.problem.dtypes["out"], self.nest.held("out")
        channel = self.w.channel("out", self.array, self.taker, self.nest.slots("out"))
        if f.first or not held:
            step.reserve.append(channel)
        if held and not f.last:
            return []
        step.put.append(channel)
        if self.tail is not None:
            return self.tail.rows(outputs, tall, channel, dtype.bits)
        size = dtype.bytes(outputs)
        return [self.w.store(self.taker, channel, self.outs[0], "out", size, pattern=self.pattern)]
