"""From a mapped MAC stage to rows: operands in, array steps, results out, tile by tile.

All costs of a stage come from one vectorised call; what is written here only says which tile takes,
reserves, puts and frees what.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np

from archsim.components.base import MacEngine
from archsim.ir.line import LINE
from archsim.ir.mapping import REUSED, Mapping
from archsim.ir.problem import Extents, Ints
from archsim.ir.reuse import Segment
from archsim.ir.target import Cost, Tiles
from archsim.memory.layout import Pattern
from archsim.sim.program import Leaf
from archsim.system.array_cost import array_cost, banked_counts, tile_work
from archsim.system.layouts import tile_pattern
from archsim.system.rows import Draft
from archsim.system.unpack import unpacker
from archsim.system.vector_rows import VectorTail
from archsim.system.writer import Node, Part, Writer, duration_ps

Flags = dict[str, bool]
Nest = list[Node]


@dataclass
class Shape:
    """One leaf: tile extents and where in its loops it stands."""

    size: dict[str, int]
    first: Flags
    last: Flags
    opens_op: bool
    case: int


class MacWriter(Writer):
    """Rows of a MAC stage: operands in, array, fused vector ops, results out."""

    def write(self) -> Part:
        """Write the stage."""
        mapping = self.stage.mapping
        assert isinstance(mapping, Mapping)
        assert isinstance(self.stage.engine, MacEngine)
        self.mapping: Mapping = mapping
        self.engine: MacEngine = self.stage.engine
        self.view = mapping.problem
        op = self.view.op
        self.op = op
        self.inp, self.weight = op.reads[0].tensor, op.reads[1].tensor
        self.outs = [a.tensor for a in self.stage.ops[-1].writes]
        self.dtype = self.engine.rated(self.view.weight)
        name = self.engine.name
        self.array = self.unit(name, "compute")
        self.unpack = unpacker(self)
        self.shapes: list[Shape] = []
        self.patterns = {
            operand: self._pattern(operand, tensor)
            for operand, tensor in (
                ("in", self.inp),
                ("weight", self.weight),
                ("out", self.outs[0]),
            )
        }
        nest: Nest = []
        for case, extents in enumerate(self.view.cases):
            nest += self._nest(extents, mapping.cuts(extents), {}, {}, {}, case)
        self._price()
        self.tail = self._tail()
        self.part.tree = self.tree(nest, self._leaf)
        self.release()
        stores = any(self.spilled(t) for t in self.outs)
        owner = self.stage.vector.name if self.stage.vector else name
        self.part.finisher = self.unit(owner, "store" if stores else "compute")
        return self.part

    def _nest(
        self,
        extents: Extents,
        cuts: list[tuple[str, tuple[Segment, ...]]],
        size: dict[str, int],
        first: Flags,
        last: Flags,
        case: int,
    ) -> Nest:
        if not cuts:
            self.shapes.append(Shape(size, first, last, not case and all(first.values()), case))
            return [Node(1, leaf=len(self.shapes) - 1)]
        (rank, parts), rest = cuts[0], cuts[1:]
        return [
            Node(
                s.count,
                self._nest(
                    extents,
                    rest,
                    {**size, rank: s.size},
                    {**first, rank: s.first},
                    {**last, rank: s.last},
                    case,
                ),
            )
            for s in parts
        ]

    def _price(self) -> None:
        """Cost of every leaf in one call."""
        shapes, mapping = self.shapes, self.mapping
        size = {r: np.array([s.size[r] for s in shapes], dtype=np.int64) for r in "bmnk"}
        innermost = mapping.order[-1]
        held = {"weight": "weight", "input": "in", "output": "out", LINE: "out"}
        streams = REUSED[held[mapping.stationary]]
        flag = [streams == innermost and not s.first[innermost] for s in shapes]
        tiles = Tiles(
            mapping.stationary,
            **size,
            first=np.array([s.opens_op for s in shapes]),
            resumed=np.array(flag),
            opens=np.array([s.first["k"] for s in shapes]),
            closes=np.array([s.last["k"] for s in shapes]),
        )
        bits = self.view.bits
        self.cost: Cost = array_cost(self.engine, self.view, self.machine, self.dtype)(tiles)
        self.in_bytes: Ints = -(
            -self.view.in_elements(size["b"], size["m"], size["k"], mapping.tile["m"])
            * bits["in"]
            // 8
        )
        elements = size["b"] * size["k"] * size["n"]
        self.weight_bytes: Ints = self.view.weight_bytes(elements)
        self.outputs: Ints = size["b"] * size["m"] * size["n"]

    def _leaf(self, i: int) -> Leaf:
        rows: list[Draft] = []
        shape, mapping = self.shapes[i], self.mapping
        self.case = shape.case
        step = self._array_row(i)
        for tensor in (self.inp, self.weight):
            if not self.spilled(tensor):
                self.need(self.array, tensor)
        if self.spilled(self.inp):
            self._operand(rows, step, i, "in", self.inp, int(self.in_bytes[i]), "load_in")
        if self.spilled(self.weight):
            size = int(self.weight_bytes[i])
            if shape.opens_op:
                size += self.view.extra_bytes
            self._operand(rows, step, i, "weight", self.weight, size, "load_weight")
        if mapping.spills and not shape.first["k"]:
            rows.append(self._partial_in(i, step))
        rows.append(step)
        if mapping.spills and not shape.last["k"]:
            rows.append(self._partial_out(i, step))
        else:
            rows += self._results(i, step)
        return self.book.leaf(rows)

    def _operand(
        self, rows: list[Draft], step: Draft, i: int, operand: str, tensor: str, size: int, via: str
    ) -> None:
        shape = self.shapes[i]
        moves = self.mapping.moves(operand, shape.first, shape.last)
        loader = self.unit(self.engine.name, via)
        slots = self.mapping.buffers[operand].slots
        unpack = self.unpack if operand == "weight" else None
        source = unpack.unit if unpack else loader
        channel = self.channel(operand, source, self.array, slots)
        if moves.enter:
            again = not shape.first[REUSED[operand]]
            where = self.patterns[operand]
            into = self.channel("stored", loader, source, slots) if unpack else channel
            row = self.load(loader, into, tensor, operand, size, again=again, pattern=where)
            rows.append(row)
            if unpack:
                extents = shape.size
                rows.append(
                    unpack.row(into, channel, extents["b"] * extents["n"] * extents["k"], size)
                )
            step.take.append(channel)
            if operand == "weight" and self.mapping.ahead:
                self._ahead(row, step, shape)
        if moves.leave:
            step.free.append(channel)

    def _ahead(self, load: Draft, step: Draft, shape: Shape) -> None:
        """The first step waits for the last weights."""
        filled = self.channel("filled", load.unit, self.array, 1)
        if all(shape.last[rank] for rank in "bnk"):
            load.reserve.append(filled)
            load.put.append(filled)
        if shape.opens_op:
            step.take.append(filled)
            step.free.append(filled)

    def _pattern(self, operand: str, tensor: str) -> Pattern | None:
        """Where the tiles of an operand lie; None where they follow each other."""
        return tile_pattern(self.graph, self.machine.spec.layout, self.mapping, operand, tensor)

    def _array_row(self, i: int) -> Draft:
        cost, hz, bits = self.cost, self.engine.clock_hz, self.view.bits
        cycles = int(cost.cycles[i])
        lag_ps = duration_ps(int(cost.lag_cycles[i]), hz) + self.machine.sram.latency_ps
        row = self.draft(self.array, duration_ps(cycles, hz), lag_ps)
        size = self.shapes[i].size
        reads = int(cost.in_reads[i]) * bits["in"]
        reads += ceil(int(cost.weight_reads[i]) * self.view.weight_bits)
        partial = bits["partial"]
        row.counts = {
            **tile_work(self.engine, self.view, size),
            "array.cycles": cycles,
            "array.folds": int(cost.folds[i]),
            "array.in_reads": int(cost.in_reads[i]),
            "array.weight_reads": int(cost.weight_reads[i]),
            "array.out_writes": int(cost.out_writes[i]),
            "sram.read": -(-(reads + int(cost.out_reads[i]) * partial) // 8),
            "sram.write": -(-int(cost.out_writes[i]) * partial // 8),
        } | banked_counts(cost, i)
        return row

    def _out_channel(self, name: str, consumer: int) -> int:
        buffer = self.mapping.buffers.get("out")
        return self.channel(name, self.array, consumer, buffer.slots if buffer else 2)

    def _partial_bytes(self, i: int) -> int:
        return -(-int(self.outputs[i]) * self.view.bits["partial"] // 8)

    def _partial_in(self, i: int, step: Draft) -> Draft:
        """Partial sums that were spilled come back once they have been stored."""
        loader, storer = (self.unit(self.engine.name, v) for v in ("load_in", "store"))
        room = self.mapping.buffers["partial"].slots - self.mapping.buffers["out"].slots
        channel = self.channel("partial", loader, self.array, room)
        row = self.load(loader, channel, self.outs[0], "partial", self._partial_bytes(i))
        steps = self.mapping.steps(self.view.largest)
        row.take.append(
            self.channel("stored", storer, loader, steps["b"] * steps["m"] * steps["n"] + 1)
        )
        row.free.append(self._channels["stored"])
        step.take.append(channel)
        step.free.append(channel)
        return row

    def _partial_out(self, i: int, step: Draft) -> Draft:
        """Partial sums leave the chip before the reduction is complete."""
        loader, storer = (self.unit(self.engine.name, v) for v in ("load_in", "store"))
        channel = self._out_channel("spill", storer)
        step.reserve.append(channel)
        step.put.append(channel)
        row = self.store(storer, channel, self.outs[0], "partial", self._partial_bytes(i))
        steps = self.mapping.steps(self.view.largest)
        signal = self.channel("stored", storer, loader, steps["b"] * steps["m"] * steps["n"] + 1)
        row.reserve.append(signal)
        row.put.append(signal)
        return row

    def _results(self, i: int, step: Draft) -> list[Draft]:
        """What happens to an output tile: it stays, is stored, or goes through fused vector ops."""
        shape, vector = self.shapes[i], self.stage.vector
        moves = self.mapping.moves("out", shape.first, shape.last)
        leaves = any(self.spilled(t) for t in self.outs)
        if vector is None and not leaves:
            return []
        taker = (
            self.unit(vector.name, "compute") if vector else self.unit(self.engine.name, "store")
        )
        channel = self._out_channel("out", taker)
        if moves.enter:
            step.reserve.append(channel)
        if not moves.leave:
            return []
        step.put.append(channel)
        outputs = int(self.outputs[i])
        if vector is None:
            size = -(-outputs * self.view.bits["out"] // 8)
            where = self.patterns["out"]
            return [self.store(taker, channel, self.outs[0], "out", size, pattern=where)]
        rows = shape.size["b"] * shape.size["m"] if shape.first["n"] else 0
        assert self.tail is not None
        return self.tail.rows(outputs, rows, channel, self.view.bits["out"])

    def _tail(self) -> VectorTail | None:
        vector, inner = self.stage.vector, {a.tensor for o in self.stage.ops for a in o.writes}
        return VectorTail(self, vector, self.stage.ops[1:], inner) if vector else None
