"""Rows of a stream graph: one unit a node, one channel a FIFO, one step a firing.

A firing that takes several tokens, or claims several slots, waits for each in a step of its own
that lasts no time, so that every wait is on the account of one FIFO.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from archsim.components.spatial_pipeline import SpatialPipeline
from archsim.ir.stream import StreamNode
from archsim.ir.stream_mapping import StreamMapping
from archsim.sim.program import Leaf, Loop
from archsim.system.place import Plan, Stage
from archsim.system.rows import COMPUTE, Book, Draft
from archsim.system.writer import Part, Writer, duration_ps

WORD_BYTES = 2  # of the registers that short FIFOs are made of, as energy tables price them


class StreamWriter(Writer):
    """Operands in as a whole, all nodes at once, results out as a whole."""

    def __init__(self, book: Book, plan: Plan, stage: Stage, index: int) -> None:
        super().__init__(book, plan, stage, index)
        mapping, engine = stage.mapping, stage.engine
        assert isinstance(mapping, StreamMapping)
        assert isinstance(engine, SpatialPipeline)
        self.mapping, self.engine, self.stream = mapping, engine, mapping.graph
        self.fifos: dict[str, int] = {}
        self.loaders: set[int] = set()

    def write(self) -> Part:
        """Write the stage."""
        stream = self.stream
        for fifo in stream.fifos:
            maker, reader = self._unit(fifo.producer[0]), self._unit(fifo.consumer[0])
            self.fifos[fifo.name] = self.channel(fifo.name, maker, reader, fifo.depth)
        before = [draft for node in stream.nodes for draft in self._begin(node)]
        body = [part for node in stream.nodes for part in self._iteration(node)]
        after = [draft for node in stream.nodes for draft in self._end(node)]
        loop = Loop(stream.iterations, tuple(body), name=self.stage.path, block=True, aligned=True)
        self.part.tree = [self.book.leaf(before), loop, self.book.leaf(after)]
        self.release()
        ends = [u for u in self.part.last if u not in self.loaders]
        stores = [u for u in ends if self.book.is_shared(u)]
        self.part.finisher = (stores or ends)[-1]
        self.part.drains = {u for u in ends if u != self.part.finisher}
        return self.part

    def _unit(self, node: str) -> int:
        return self.book.unit(f"{self.engine.name}.{node}", COMPUTE)

    def _ps(self, cycles: int) -> int:
        return duration_ps(cycles, self.engine.clock_hz) if cycles else 0

    def _begin(self, node: StreamNode) -> list[Draft]:
        """Before the first firing: operands are there, room for the result, first tokens."""
        unit, out = self._unit(node.name), []
        size = self.graph.tensors[node.tensor].bytes if node.tensor else 0
        if node.kind == "source":
            if self.spilled(node.tensor):
                loader = self.unit(self.engine.name, "load")
                channel = self.channel(f"load {node.tensor}", loader, unit, 1)
                row = self.load(loader, channel, node.tensor, "in", size)
                self.loaders.add(row.unit)
                out.append(row)
                start = self.draft(unit)
                start.take.append(channel)
                self.held.append((unit, channel))
            else:
                start = self.draft(unit)
                self.need(unit, node.tensor)
            out.append(start)
        else:
            out.append(self.draft(unit))
        if node.kind == "sink" and self.spilled(node.tensor):
            storer = self.unit(self.engine.name, "store")
            channel = self.channel(f"store {node.tensor}", unit, storer, 1)
            out[-1].reserve.append(channel)
        for fifo in self.stream.fifos:
            if fifo.producer[0] == node.name and fifo.initial:
                first = Draft(unit, self.index, run=fifo.initial)
                first.reserve.append(self.fifos[fifo.name])
                first.put.append(self.fifos[fifo.name])
                out.append(first)
        return out

    def _end(self, node: StreamNode) -> list[Draft]:
        """After the last firing: tokens that were there at first are left, the result leaves."""
        unit, out = self._unit(node.name), []
        for fifo in self.stream.fifos:
            if fifo.consumer[0] == node.name and fifo.initial:
                last = Draft(unit, self.index, run=fifo.initial)
                last.take.append(self.fifos[fifo.name])
                last.free.append(self.fifos[fifo.name])
                out.append(last)
        end = self.draft(unit)
        out.append(end)
        if node.kind == "sink" and self.spilled(node.tensor):
            storer = self.unit(self.engine.name, "store")
            channel = self.channel(f"store {node.tensor}", unit, storer, 1)
            end.put.append(channel)
            size = self.graph.tensors[node.tensor].bytes
            out.append(self.store(storer, channel, node.tensor, "out", size))
        return out

    def _iteration(self, node: StreamNode) -> list[Loop | Leaf]:
        """The firings of a node in one iteration, as loops between its periods."""
        ports = (*node.inputs, *node.outputs)
        periods = sorted({1, *(p.every for p in ports), self.stream.firings[node.name]})
        return self._nest(node, periods, frozenset(), frozenset())

    def _nest(
        self, node: StreamNode, periods: Sequence[int], heads: frozenset[int], tails: frozenset[int]
    ) -> list[Loop | Leaf]:
        """Firings of the last of some periods; inputs of `heads` arrive in the first of them.

        Outputs of `tails` leave in the last.
        """
        own, *shorter = reversed(periods)
        heads, tails = heads | {own}, tails | {own}
        if not shorter:
            return self._firing(node, heads, tails, 1)
        inner, none = list(reversed(shorter)), frozenset[int]()
        times = own // shorter[0]
        assert all(b % a == 0 for a, b in pairwise(periods))
        middle: list[Loop | Leaf] = []
        if times > 2 and len(inner) == 1:
            middle = self._firing(node, frozenset({1}), frozenset({1}), times - 2)
        elif times > 2:
            body = tuple(self._nest(node, inner, none, none))
            middle = [Loop(times - 2, body, name=self.stage.path)]
        first = self._nest(node, inner, heads, none)
        return [*first, *middle, *self._nest(node, inner, none, tails)]

    def _firing(
        self, node: StreamNode, heads: frozenset[int], tails: frozenset[int], times: int
    ) -> list[Loop | Leaf]:
        """So many alike firings in a row."""
        stream, unit = self.stream, self._unit(node.name)
        takes, puts = [], []
        for fifo in stream.fifos:
            out, into = stream.ends(fifo)
            if fifo.consumer[0] == node.name and into.every in heads:
                takes.append(fifo)
            if fifo.producer[0] == node.name and out.every in tails:
                puts.append(fifo)
        cycles = self.mapping.cycles[node.name]
        main = Draft(unit, self.index, dur_ps=self._ps(cycles))
        main.free = [self.fifos[f.name] for f in takes]
        main.counts = self._counts(node, heads, tails)
        if node.name == self.mapping.bottleneck():
            main.counts["vector.cycles"] = cycles
        rows = self._waits(unit, [f.name for f in takes], [f.name for f in puts], main)
        held = self.mapping.latency_cycles[node.name] - cycles
        for delay in sorted({f.latency_cycles for f in puts}):
            row = main
            if row.put:  # a token that travels longer leaves in a step of its own
                row = Draft(unit, self.index)
                rows.append(row)
            row.lag_ps = self._ps(held + delay)
            row.put = [self.fifos[f.name] for f in puts if f.latency_cycles == delay]
        if times > 1 and len(rows) == 1:
            main.run = times
            return [self.book.leaf(rows)]
        leaf = self.book.leaf(rows)
        return [leaf] if times == 1 else [Loop(times, (leaf,), name=self.stage.path)]

    def _waits(self, unit: int, takes: list[str], puts: list[str], main: Draft) -> list[Draft]:
        """A row for each wait: tokens in order, then slots; the last of each may share one."""
        pairs: list[tuple[list[str], list[str]]] = [([t], []) for t in takes]
        if pairs and puts:
            pairs[-1] = (pairs[-1][0], puts[:1])
            pairs += [([], [p]) for p in puts[1:]]
        else:
            pairs += [([], [p]) for p in puts]
        rows = []
        for i, (take, reserve) in enumerate(pairs):
            row = main if i == len(pairs) - 1 else Draft(unit, self.index)
            row.take += [self.fifos[name] for name in take]
            row.reserve += [self.fifos[name] for name in reserve]
            rows.append(row)
        return rows or [main]

    def _counts(
        self, node: StreamNode, heads: frozenset[int], tails: frozenset[int]
    ) -> dict[str, int]:
        """Arithmetic of a firing, and bytes in and out of queues and memory units."""
        counts = {f"vector.{name}": n for name, n in (node.primitives or {}).items()}
        counts["vector.points"] = 1
        if node.macs:
            counts[f"mac.{self.stream.dtype}"] = node.macs
        moved: dict[str, int] = {}
        if node.kind == "source":
            moved["sram.read"] = -(-node.elements * node.bits // 8)
        for fifo in self.stream.fifos:
            out, into = self.stream.ends(fifo)
            place = "sram" if f"fifo {fifo.name}" in self.mapping.memory_units else "register"
            size = self.stream.token_bytes(fifo)
            if place == "register":
                size = -(-size // WORD_BYTES)
            if fifo.consumer[0] == node.name and into.every in heads:
                moved[f"{place}.read"] = moved.get(f"{place}.read", 0) + size
            if fifo.producer[0] == node.name and out.every in tails:
                moved[f"{place}.write"] = moved.get(f"{place}.write", 0) + size
        if node.kind == "sink":
            size = -(-self.graph.tensors[node.tensor].bytes
                     // (self.stream.firings[node.name] * self.stream.iterations))  # fmt: skip
            moved["sram.write"] = moved.get("sram.write", 0) + size
        return counts | moved
