"""A product as a nest of commands to one channel.

Inputs go to a buffer in chunks, each row is opened, its accesses meet the vectors that the buffer
holds, and accumulators are read. Two orders are possible: `chunks` outside, so that an input is
written once and results are read once a chunk, or `outputs` outside, so that accumulators stay
and inputs are written again unless they all fit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from archsim.memory.pim.gemv_stream import Loop, Node, Row, Run
from archsim.memory.pim.layouts import Lying
from archsim.memory.pim.product_form import ProductForm

Order = Literal["chunks", "outputs"]
PARTS = 32
"""Of a tick, in which arithmetic is counted that follows a buffer and not each access."""
STEP = 0.001
"""Share by which a clock of its own may miss ticks, whole picoseconds, and still be in step."""


@dataclass(frozen=True)
class Unit:
    """What limits a channel's units besides the rules of commands.

    Attributes:
        form: commands and buffers.
        access_bytes: of an access of a bank.
        banks: that a MAC command reads.
        spacing: ticks between MAC commands.
        macs_per_tick: multiply-accumulates for each of those banks.
    """

    form: ProductForm
    access_bytes: int
    banks: int
    spacing: int
    macs_per_tick: float

    @property
    def held(self) -> int:
        """Reductions that a unit holds at once, for each of its banks."""
        return max(self.form.results_per_unit // (self.form.bundle_banks or 1), 1)

    def together(self, elements: int, vectors: int) -> int:
        """Vectors that an access of some elements meets at once.

        A unit beside its bank multiplies what is on its wires, so that more vectors than its
        arithmetic is fast enough for read it again. One with buffers of its own keeps it.
        """
        fit = int(self.macs_per_tick * (1 + STEP) * self.spacing / elements)
        most = vectors if self.form.ahead_bytes else max(fit, 1)
        return min(vectors, self.held, most)

    def every(self, elements: int, vectors: int) -> float:
        """Ticks of arithmetic on an access of some elements, whole where nothing buffers them."""
        ticks = elements * vectors / (self.macs_per_tick * (1 + STEP))
        if self.form.ahead_bytes:
            return max(1, math.ceil(ticks * PARTS) / PARTS)
        return max(1, math.ceil(ticks))

    def inputs(self, size: float) -> int:
        """Commands that bring so many bytes to a channel."""
        return math.ceil(size / self.access_bytes)

    def results(self, reductions: int, sums: int) -> int:
        """Commands that read some reductions of each bank, or of some banks that are added."""
        at_once = self.form.results_at_once
        return reductions if at_once is None else -(-reductions * (self.banks // sums) // at_once)


@dataclass(frozen=True)
class Gemv:
    """A product of one matrix with `m` vectors in one channel.

    Attributes:
        lying: how its matrix lies in a bank.
        m: vectors.
        in_bits: of an element of them.
        unit: that computes it.
    """

    lying: Lying
    m: int
    in_bits: float
    unit: Unit

    @property
    def orders(self) -> tuple[Order, ...]:
        """Orders that differ and are possible."""
        return ("chunks",) if self._chunk >= self.lying.reduction else ("chunks", "outputs")

    @property
    def _chunk(self) -> int:
        """Elements of a reduction for which inputs are held at a time."""
        lying, held = self.lying, buffered(self.unit.form, self.in_bits)
        chunk = min(lying.width, lying.reduction)
        if held is None:
            return chunk
        return min(chunk, max(held // lying.access_elements, 1) * lying.access_elements)

    def _resident(self, elements: int) -> int:
        """Vectors of so many elements that a buffer holds."""
        held = buffered(self.unit.form, self.in_bits)
        return self.m if held is None else min(self.m, held // elements)

    def nest(self, order: Order) -> tuple[Node, ...]:
        """The commands, in one of the orders."""
        return self._chunks_outside() if order == "chunks" else self._outputs_outside()

    def _chunks_outside(self) -> tuple[Node, ...]:
        vectors = max(1, self._resident(self._chunk))
        chunk, whole = self._chunk, self.lying.reduction
        return _turns(
            self.m, vectors, lambda m: _turns(whole, chunk, lambda k: self._one_chunk(k, m))
        )

    def _one_chunk(self, elements: int, vectors: int) -> tuple[Node, ...]:
        rows = _turns(
            self.lying.outputs, self.lying.sharing, lambda n: self._one_row(elements, vectors, n)
        )
        return (*self._inputs(elements, vectors), *rows)

    def _one_row(self, elements: int, vectors: int, outputs: int) -> tuple[Node, ...]:
        """All vectors meet one open row, as many at once as there are accumulators for."""
        unit, access = self.unit, self.lying.access_elements
        at_once = unit.together(access, vectors)
        full, rest = divmod(vectors, at_once)
        works = ([at_once] * full + [rest] * (rest > 0)) * outputs
        batch = max(1, unit.held // at_once)
        nodes: list[Node] = []
        for first in range(0, len(works), batch):
            some = works[first : first + batch]
            nodes += self._bias(sum(some))
            nodes += [] if first else [Row()]
            nodes += _merged([self._macs(elements, one) for one in some])
            nodes += self._results(sum(some))
        return _folded(nodes)

    def _outputs_outside(self) -> tuple[Node, ...]:
        """Accumulators hold a block of outputs until their reductions are whole."""
        held, reduction = self.unit.held, self.lying.reduction
        whole = self._resident(reduction)
        vectors = max(1, min(held, whole or self._resident(self._chunk)))

        def body(m: int) -> tuple[Node, ...]:
            block, outputs = max(1, held // m), self.lying.outputs
            if not whole:
                return _turns(outputs, block, lambda n: self._block(n, m, inputs=True))
            if not self.unit.form.overlaps_transfers:
                rest = _turns(outputs, block, lambda n: self._block(n, m, inputs=False))
                return (*self._inputs(reduction, m), *rest)
            first = min(block, outputs)  # inputs come while the first ones are under way
            rest = _turns(outputs - first, block, lambda n: self._block(n, m, inputs=False))
            return (*self._block(first, m, inputs=True), *rest)

        return _turns(self.m, vectors, body)

    def _block(self, outputs: int, vectors: int, *, inputs: bool) -> tuple[Node, ...]:
        at_once = self.unit.together(self.lying.access_elements, vectors)
        full, rest = divmod(vectors, at_once)

        def chunk(elements: int) -> tuple[Node, ...]:
            def row(n: int) -> tuple[Node, ...]:
                passes = [self._macs(elements, at_once)] * (full * n)
                passes += [self._macs(elements, rest)] * (n if rest else 0)
                return (Row(), *_merged(passes))

            come = self._inputs(elements, vectors) if inputs else ()
            return (*come, *_turns(outputs, self.lying.sharing, row))

        return (
            *self._bias(outputs * vectors),
            *_turns(self.lying.reduction, self._chunk, chunk),
            *self._results(outputs * vectors),
        )

    def _macs(self, elements: int, vectors: int) -> Run:
        access = self.lying.access_elements
        return Run(
            self.unit.form.mac, -(-elements // access), "mac", self.unit.every(access, vectors)
        )

    def _inputs(self, elements: int, vectors: int) -> tuple[Node, ...]:
        name = self.unit.form.input
        each = self.unit.inputs(elements * self.in_bits / 8)
        return () if name is None else (Run(name, each * vectors, "input"),)

    def _bias(self, reductions: int) -> list[Node]:
        name = self.unit.form.bias
        count = self.unit.results(reductions, self.lying.sums)
        return [] if name is None else [Run(name, count, "bias")]

    def _results(self, reductions: int) -> list[Node]:
        name = self.unit.form.result
        count = self.unit.results(reductions, self.lying.sums)
        return [] if name is None else [Run(name, count, "result")]


def buffered(form: ProductForm, in_bits: float) -> int | None:
    """Elements of input that a channel's buffer holds; None where it holds as many as are asked."""
    return int(form.input_bytes * 8 // in_bits) if form.input and form.input_bytes else None


def _merged(runs: list[Run]) -> list[Node]:
    """Runs of the same in a row as one."""
    merged: list[Node] = []
    for run in runs:
        last = merged[-1] if merged else None
        if isinstance(last, Run) and (last.command, last.every) == (run.command, run.every):
            merged[-1] = Run(run.command, last.count + run.count, run.role, run.every)
        else:
            merged.append(run)
    return merged


def _turns(total: int, step: int, body: Callable[[int], tuple[Node, ...]]) -> tuple[Node, ...]:
    """Turns of a full step, and the rest."""
    full, rest = divmod(total, step)
    turns: tuple[Node, ...] = (Loop(full, body(step)),) if full else ()
    return (*turns, *(body(rest) if rest else ()))


def _folded(nodes: list[Node]) -> tuple[Node, ...]:
    """The same commands, with equal turns at the end as a loop."""
    for size in (2, 3):
        first = len(nodes) % size
        head, tail = nodes[:first], nodes[first:]
        turns = [tuple(tail[i : i + size]) for i in range(0, len(tail), size)]
        while len(set(turns)) > 1:
            head += turns.pop(0)
        if len(turns) > 2:
            return (*head, Loop(len(turns), turns[0]))
    return tuple(nodes)
