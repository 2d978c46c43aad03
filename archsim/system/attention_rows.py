"""Rows of an attention kernel: operands arrive piece by piece, thread blocks use them, results go.

The makespan of the thread blocks is known; here it is cut into as many pieces as the operands, so
that the two sides overlap in time and the longer one decides.
"""

from __future__ import annotations

from collections.abc import Mapping

from archsim.ir.attention import AttentionMapping
from archsim.ir.kernel import Flow
from archsim.sim.program import Leaf
from archsim.system.attention_kernel import DEPTH
from archsim.system.rows import Draft
from archsim.system.writer import Node, Part, Writer

FIRST, MIDDLE, LAST = range(3)


def write_attention(writer: Writer) -> Part:
    """Rows of a stage whose mapping is an attention kernel's."""
    return _AttentionRows(writer).write()


class _AttentionRows:
    """One stage: alike pieces, and a last one that carries what does not divide."""

    def __init__(self, writer: Writer) -> None:
        mapping = writer.stage.mapping
        assert isinstance(mapping, AttentionMapping)
        self.w, self.mapping = writer, mapping
        self.engine = writer.stage.engine.name
        self.array = writer.unit(self.engine, "compute")

    def write(self) -> Part:
        """Write the stage."""
        for tensor in self.w.stage.reads:
            if not self.w.spilled(tensor):
                self.w.need(self.array, tensor)
        # the first piece by itself: what the stage waits for is waited for once
        nest = [Node(1, leaf=FIRST), Node(self.mapping.steps - 2, leaf=MIDDLE), Node(1, leaf=LAST)]
        self.w.part.tree = self.w.tree(nest, self._leaf)
        self.w.part.finisher = self._storer() if self.mapping.stores else self.array
        return self.w.part

    def _storer(self) -> int:
        return self.w.unit(self.engine, "store")

    def _share(self, whole: int, last: bool) -> int:
        """A piece of so much."""
        each = whole // self.mapping.steps
        return whole - each * (self.mapping.steps - 1) if last else each

    def _shares(self, counts: Mapping[str, int], last: bool) -> dict[str, int]:
        return {key: share for key, n in counts.items() if (share := self._share(n, last))}

    def _leaf(self, i: int) -> Leaf:
        last = i == LAST
        step = self.w.draft(self.array, self._share(self.mapping.compute_ps, last))
        step.counts = self._shares(self.mapping.counts, last)
        rows = [*(self._load(flow, step, last) for flow in self.mapping.loads), step]
        if last:
            step.lag_ps = self.mapping.tail_ps
        rows += [self._store(flow, step, last) for flow in self.mapping.stores]
        return self.w.book.leaf(rows)

    def _load(self, flow: Flow, step: Draft, last: bool) -> Draft:
        unit = self.w.unit(self.engine, f"load_{flow.operand}")
        channel = self.w.channel(f"load {flow.tensor}", unit, self.array, DEPTH)
        size = self._share(flow.size_bytes, last)
        row = self.w.load(unit, channel, flow.tensor, flow.operand, size, self.mapping.efficiency)
        step.take.append(channel)
        step.free.append(channel)
        return row

    def _store(self, flow: Flow, step: Draft, last: bool) -> Draft:
        channel = self.w.channel(f"store {flow.tensor}", self.array, self._storer(), DEPTH)
        step.reserve.append(channel)
        step.put.append(channel)
        size = self._share(flow.size_bytes, last)
        return self.w.store(
            self._storer(), channel, flow.tensor, flow.operand, size, self.mapping.efficiency
        )
