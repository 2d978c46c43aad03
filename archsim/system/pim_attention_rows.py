"""Rows of an attention inside a memory: its banks one piece of scores ahead of the softmax.

The banks score the next piece before they multiply the shares of this one with the values, so that
they work while the vector unit makes shares of scores: S0, S1, V0, S2, V1, and so on. Only the
softmax of the last piece is waited for.
"""

from __future__ import annotations

from archsim.ir.pim import PimMapping, PimStep
from archsim.sim.program import Leaf, Loop
from archsim.system.pim_product import DEPTH, counts
from archsim.system.pim_rows import Bank, PimWriter, Times, gives, loads, needs, share, stores
from archsim.system.place import Stage
from archsim.system.rows import Draft
from archsim.system.vector_rows import VectorTail
from archsim.system.writer import Part, Writer


class PimAttentionWriter(Writer):
    """Rows of scores, softmax and values as one stage."""

    def write(self) -> Part:
        """Write the stage."""
        mapping, vector = self.stage.mapping, self.stage.vector
        assert isinstance(mapping, PimMapping)
        assert vector is not None
        self.mapping, self.bank = mapping, Bank(self, mapping)
        needs(self, self.bank)
        inner = {a.tensor for op in self.stage.ops for a in op.writes}
        self.tail = VectorTail(self, vector, self.stage.ops[1:-1], inner)
        self.tail.writes = []  # shares return to the banks
        self.part.tree = self._tree()
        self.release()
        stores = bool(mapping.stores)
        self.part.finisher = self.unit(self.bank.engine.name, "store" if stores else "compute")
        return self.part

    def _tree(self) -> list[Loop | Leaf]:
        """Scores of the first piece, then those of the next beside the values of each."""
        n, book = self.mapping.pieces, self.book
        tree: list[Loop | Leaf] = [book.leaf(self._scores(n == 1, first=True))]
        if n > 2:
            leaf = book.leaf([*self._scores(False), *self._values(False)])
            tree.append(Loop(n - 2, (leaf,), name=self.stage.path) if n > 3 else leaf)
        if n > 1:
            tree.append(book.leaf([*self._scores(True), *self._values(False)]))
        return [*tree, book.leaf(self._values(True))]

    def _scores(self, last: bool, *, first: bool = False) -> list[Draft]:
        """Queries of a piece, its scores, and the shares made of them."""
        m, op = self.mapping, self.stage.ops[0]
        step, *rest = self._product(0, m.steps[0], last, first=first)
        rows = loads(self, m, step, self.bank, first=first, last=last)
        rows += [step, *rest]
        scored = self.channel("scores", self.bank.unit, self.tail.unit, DEPTH)
        gives(rows[-1], scored)
        bits = self.graph.tensors[op.writes[0].tensor].dtype.bits
        softmax = self.stage.ops[1]
        points, lines = (share(n, m.pieces, last) for n in (softmax.points(), softmax.rows()))
        made = self.tail.rows(points, lines, scored, bits)
        gives(made[-1], self.channel("shares", self.tail.unit, self.bank.begins, DEPTH))
        return [*rows, *made]

    def _values(self, last: bool) -> list[Draft]:
        """Values of a piece, mixed by its shares."""
        m = self.mapping
        step, *rest = self._product(-1, m.steps[-1], last)
        shares = self._channels["shares"]
        step.take.append(shares)
        step.free.append(shares)
        rows = [step, *rest]
        return [*rows, *stores(self, m, rows[-1], self.bank, last=last)]

    def _product(
        self, at: int, step: PimStep, last: bool, *, first: bool = False
    ) -> tuple[Draft, ...]:
        """The banks' rows of a piece of one product; the `first` scores begin the stage."""
        n = self.mapping.pieces
        found = counts(self.stage.ops[at], step, self.bank.engine, self.graph)
        shares = {key: share(whole, n, last) for key, whole in found.items()}
        ends = last and at != 0
        return self.bank.rows(Times.of(step.work, n, last), shares, first=first, last=ends)


def pim_writer(stage: Stage) -> type[Writer]:
    """Who writes the rows of a stage inside a memory."""
    return PimAttentionWriter if stage.template else PimWriter
