"""Rows of a stage inside a memory: its pieces on the engine, and their turns on the memory's port.

Piece by piece, so that others use the port between them. Where PIM and ordinary accesses have banks
or row buffers of their own, the engine works beside them and shares the bus, for inputs and
results, and the window of activates: what fills that while it opens rows waits for its turn first
and keeps others' rows from opening meanwhile. Where the memory belongs to one of them at a time, a
piece takes the whole of it, and the time to change over before and after.
"""

from __future__ import annotations

from dataclasses import dataclass

from archsim.core.units import PS_PER_S
from archsim.ir.kernel import Flow
from archsim.ir.pim import PimMapping, PimWork
from archsim.sim.program import Leaf
from archsim.system.pim_product import DEPTH, depth_of, engine_of
from archsim.system.rows import COMPUTE, STORE, Draft
from archsim.system.vector_rows import VectorTail
from archsim.system.writer import Node, Part, Writer

FIRST, MIDDLE, LAST = range(3)


@dataclass(frozen=True, slots=True)
class Times:
    """Picoseconds of a piece.

    Attributes:
        banks_ps: of the banks.
        held_ps: of them, those that ordinary accesses lose.
    """

    banks_ps: int
    held_ps: int

    @classmethod
    def of(cls, work: PimWork, pieces: int, last: bool) -> Times:
        """Those of one of some pieces."""
        banks, held = (share(ps, pieces, last) for ps in (work.banks_ps, work.held_ps))
        return cls(banks, min(held, banks))


class Bank:
    """The engine's side of a stage: a unit that works, and one that waits for the bus.

    Its bursts pass among those of others, so that no piece waits for the bus: it is held once, and
    the stage ends no sooner. Where opening rows fills the window of activates, each piece begins
    with its turn on the memory.
    """

    def __init__(self, writer: Writer, mapping: PimMapping) -> None:
        self.w, self.engine = writer, engine_of(writer.stage)
        self.depth, self.pieces = depth_of(writer.stage, mapping), mapping.pieces
        self.piece_ps = min(step.work.banks_ps for step in mapping.steps) // mapping.pieces
        self.held_ps = sum(step.work.held_ps for step in mapping.steps)
        self.memory = self.engine.memory.name
        self.switches = self.engine.spec.sharing == "mode_switch"
        timeline = self.memory if self.switches else None
        self.unit = writer.book.unit(self.engine.name, COMPUTE, timeline)
        self.opens = mapping.steps[0].work.window_ps > 0 and not self.switches
        self.begins = self._bus() if self.opens else self.unit

    def _bus(self) -> int:
        return self.w.book.unit(f"{self.engine.name}.bus", STORE, self.memory)

    def rows(
        self, part: Times, counts: dict[str, int], *, first: bool, last: bool
    ) -> tuple[Draft, ...]:
        """Rows of one piece: the first begins it, the last ends it.

        A stage that is alone keeps the memory from its `first` piece to its `last`.
        """
        counts = {key: n for key, n in counts.items() if n}
        if self.switches:
            times = first + last if self.w.stage.exclusive else 2
            step = self.w.draft(self.unit, max(1, part.banks_ps + times * self.engine.switch_ps))
            step.counts = counts
            return (step,)
        step = self.w.draft(self.unit, part.banks_ps)
        step.counts = counts
        if self.opens:
            over = self._turn(part.held_ps)
            over.lag_ps = part.banks_ps - part.held_ps
            return over, step, self._end()
        if not self.held_ps:
            return (step,)
        if first:
            step.beside.append(self._turn(self.held_ps))
        return (step, self._end()) if last else (step,)

    def _turn(self, held_ps: int) -> Draft:
        """A row that holds the memory's port."""
        bus = self._bus()
        over = self.w.draft(bus, held_ps)
        gives(over, self.w.channel("bus", bus, self.unit, 1))
        for tensor in sorted(self.w.needs.get(self.unit, ())):
            self.w.need(bus, tensor)
        return over

    def _end(self) -> Draft:
        """A row that waits for it."""
        end = self.w.draft(self.unit)
        turn = self.w.channel("bus", self._bus(), self.unit, 1)
        end.take.append(turn)
        end.free.append(turn)
        return end

    def at_once(self, flow: Flow) -> bool:
        """Whether an operand passes in one go: it fits, and it is as short as a piece.

        In pieces each waits for whole tiles of others, between which in truth its bursts pass.
        """
        rate = self.w.machine.dram_bytes_per_s
        return self.depth >= self.pieces and flow.size_bytes * PS_PER_S <= rate * self.piece_ps


class PimWriter(Writer):
    """Rows of one product inside a memory, and of the vector ops that take its results on."""

    def write(self) -> Part:
        """Write the stage."""
        mapping = self.stage.mapping
        assert isinstance(mapping, PimMapping)
        self.mapping, self.work = mapping, mapping.steps[0].work
        self.bank, op, vector = Bank(self, mapping), self.stage.ops[0], self.stage.vector
        self.engine = self.stage.engine.name
        needs(self, self.bank)
        inner = {a.tensor for o in self.stage.ops for a in o.writes}
        self.tail = VectorTail(self, vector, self.stage.ops[1:], inner) if vector else None
        self.out_bits = self.graph.tensors[op.writes[0].tensor].dtype.bits
        self.part.tree = self.tree(nest(mapping.pieces), self._leaf)
        self.release()
        owner = vector.name if vector else self.engine
        self.part.finisher = self.unit(owner, "store" if mapping.stores else "compute")
        return self.part

    def _leaf(self, i: int) -> Leaf:
        last, pieces = i == LAST, self.mapping.pieces
        shares = {k: share(n, pieces, last) for k, n in self.mapping.counts.items()}
        first = i == FIRST or pieces == 1
        step, *rest = self.bank.rows(
            Times.of(self.work, pieces, last), shares, first=first, last=last
        )
        rows = loads(self, self.mapping, step, self.bank, first=first, last=last)
        rows += [step, *rest]
        end = rest[-1] if rest else step
        if self.tail is not None:
            channel = self.channel("out", self.bank.unit, self.tail.unit, DEPTH)
            gives(end, channel)
            cases = self.mapping.steps[0].product.cases
            sizes = sum(e.b * e.m * e.n for e in cases), sum(e.b * e.m for e in cases)
            points, lines = (share(n, pieces, last) for n in sizes)
            return self.book.leaf([*rows, *self.tail.rows(points, lines, channel, self.out_bits)])
        return self.book.leaf([*rows, *stores(self, self.mapping, end, self.bank, last=last)])


def needs(w: Writer, bank: Bank) -> None:
    """What the engine waits for: inputs on chip, caches that the run appends to, choices."""
    matrices = {op.reads[1].tensor for op in w.stage.ops if op.is_mac}
    for op in w.stage.ops:
        if op.is_mac:
            for access in op.reads:
                if access.tensor in matrices or not w.spilled(access.tensor):
                    w.need(bank.unit, access.tensor)
            if op.picks is not None:
                w.need(bank.unit, op.picks.by)


def loads(
    w: Writer, mapping: PimMapping, step: Draft, bank: Bank, *, first: bool, last: bool
) -> list[Draft]:
    """Inputs of a piece that lie behind the chip come to it before its first row."""
    rows = []
    for flow in mapping.loads:
        whole = bank.at_once(flow)
        unit = w.unit(bank.engine.name, f"load_{flow.operand}")
        channel = w.channel(f"load {flow.tensor}", unit, bank.begins, bank.depth)
        if first or not whole:
            step.take.append(channel)
            size = flow.size_bytes if whole else share(flow.size_bytes, mapping.pieces, last)
            rows.append(w.load(unit, channel, flow.tensor, flow.operand, size))
        if last or not whole:
            step.free.append(channel)
    return rows


def stores(w: Writer, mapping: PimMapping, end: Draft, bank: Bank, *, last: bool) -> list[Draft]:
    """Results of a piece leave the chip after its last row."""
    rows = []
    for flow in mapping.stores:
        whole = bank.at_once(flow)
        if whole and not last:
            continue
        size = flow.size_bytes if whole else share(flow.size_bytes, mapping.pieces, last)
        storer = w.unit(bank.engine.name, "store")
        channel = w.channel(f"store {flow.tensor}", bank.unit, storer, bank.depth)
        gives(end, channel)
        rows.append(w.store(storer, channel, flow.tensor, flow.operand, size))
    return rows


def gives(row: Draft, channel: int) -> None:
    """Let a row fill a slot of a channel."""
    row.reserve.append(channel)
    row.put.append(channel)


def share(whole: int, pieces: int, last: bool) -> int:
    """A piece of so much; the last one carries what does not divide."""
    each = whole // pieces
    return whole - each * (pieces - 1) if last else each


def nest(pieces: int) -> list[Node]:
    """The first piece may wait for others and the last one tells them, so both stand alone."""
    first = [Node(1, leaf=FIRST)] if pieces > 1 else []
    middle = [Node(pieces - 2, leaf=MIDDLE)] if pieces > 2 else []
    return [*first, *middle, Node(1, leaf=LAST)]
