"""Rows of a kernel: operands arrive piece by piece, the cores use them, results leave.

A kernel's makespan is known from its grid. Here it is cut into as many pieces as its operands, so
that the two sides overlap in time and the longer one decides. Fused vector ops take the pieces on;
a second kernel sums split parts up before anything leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from archsim.ir.attention import AttentionMapping
from archsim.ir.kernel import Flow, GridMapping
from archsim.sim.program import Leaf, Loop
from archsim.system.attention_rows import write_attention
from archsim.system.kernel import DEPTH
from archsim.system.rows import Draft
from archsim.system.vector_rows import VectorTail
from archsim.system.writer import Node, Part, Writer

JOIN_STEPS = 4  # pieces of the second kernel: its results leave while it goes on


@dataclass(frozen=True)
class Phase:
    """Alike pieces of work of the cores: what comes in, how long they take, what goes out."""

    pieces: int
    compute_ps: int
    counts: Mapping[str, int]
    loads: tuple[Flow, ...]
    results: bool

    def share(self, whole: int, last: bool) -> int:
        """A piece of so much; the last one carries what does not divide."""
        each = whole // self.pieces
        return whole - each * (self.pieces - 1) if last else each


class KernelWriter(Writer):
    """Rows of a kernel stage: a first piece, alike ones, and a last one with the remainders."""

    def write(self) -> Part:
        """Write the stage."""
        mapping = self.stage.mapping
        if isinstance(mapping, AttentionMapping):
            return write_attention(self)
        assert isinstance(mapping, GridMapping)
        self.mapping, self.engine = mapping, self.stage.engine.name
        self.cores = self.unit(self.engine, "compute")
        op, vector = self.stage.ops[0], self.stage.vector
        for access in op.reads:
            if not self.spilled(access.tensor):
                self.need(self.cores, access.tensor)
        inner = {a.tensor for o in self.stage.ops for a in o.writes}
        self.tail = VectorTail(self, vector, self.stage.ops[1:], inner) if vector else None
        self.out_bits = self.graph.tensors[op.writes[0].tensor].dtype.bits
        for phase in self._phases():
            self.part.tree += self._pieces(phase)
        self.release()
        owner = vector.name if vector else self.engine
        self.part.finisher = self.unit(owner, "store" if mapping.stores else "compute")
        return self.part

    def _phases(self) -> list[Phase]:
        """The grid of tiles; and the second kernel that sums split parts up, if there is one."""
        m = self.mapping
        grid_ps, joins = round(m.grid.compute_ps * m.grid.stretch), m.grid.split > 1
        phases = [Phase(m.steps, grid_ps, m.counts, m.loads, not joins)]
        if joins:
            pieces = min(JOIN_STEPS, self.outputs)
            phases.append(Phase(pieces, m.grid.join_ps, m.join_counts, (), True))
        return phases

    @property
    def outputs(self) -> int:
        """Elements of the product."""
        return sum(e.b * e.m * e.n for e in self.mapping.cases)

    def _pieces(self, phase: Phase) -> list[Loop | Leaf]:
        """The first piece may wait for others and the last one tells them, so both stand alone."""
        nest = [Node(1, leaf=0)] if phase.pieces > 1 else []
        nest += [Node(phase.pieces - 2, leaf=1)] if phase.pieces > 2 else []
        return self.tree([*nest, Node(1, leaf=2)], lambda i: self._leaf(phase, i == 2))

    def _leaf(self, phase: Phase, last: bool) -> Leaf:
        step = self.draft(self.cores, phase.share(phase.compute_ps, last))
        rows = [self._load(f, step, phase.share(f.size_bytes, last)) for f in phase.loads]
        rows.append(step)
        shares = {key: phase.share(whole, last) for key, whole in phase.counts.items()}
        step.counts = {key: n for key, n in shares.items() if n}
        if phase.results:
            rows += self._results(phase, step, last)
        return self.book.leaf(rows)

    def _load(self, flow: Flow, step: Draft, size: int) -> Draft:
        unit = self.unit(self.engine, f"load_{flow.operand}")
        channel = self.channel(f"load {flow.tensor}", unit, self.cores, DEPTH)
        step.take.append(channel)
        step.free.append(channel)
        return self.load(unit, channel, flow.tensor, flow.operand, size, self.mapping.efficiency)

    def _results(self, phase: Phase, step: Draft, last: bool) -> list[Draft]:
        """A piece of the results: through fused vector ops, or to memory, or it stays."""
        if self.tail is not None:
            channel = self.channel("out", self.cores, self.tail.unit, DEPTH)
            self._gives(step, channel)
            rows = sum(e.b * e.m for e in self.mapping.cases)
            sizes = phase.share(self.outputs, last), phase.share(rows, last)
            return self.tail.rows(*sizes, channel, self.out_bits)
        out = []
        for flow in self.mapping.stores:
            storer = self.unit(self.engine, "store")
            channel = self.channel(f"store {flow.tensor}", self.cores, storer, DEPTH)
            self._gives(step, channel)
            size, share = phase.share(flow.size_bytes, last), self.mapping.efficiency
            out.append(self.store(storer, channel, flow.tensor, flow.operand, size, share))
        return out

    def _gives(self, step: Draft, channel: int) -> None:
        step.reserve.append(channel)
        step.put.append(channel)
