"""A cascade on a machine: which Einsum runs where, in which order of tiles, and what is held.

The same object is timed (its sweeps become rows), printed, counted in closed form, and executed on
small arrays by `archsim.testing.functional_cascade`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from archsim.ir.attention_problem import AttentionProblem, Heads
from archsim.ir.cascade import Cascade, Nest, footprints
from archsim.ir.kernel import KernelMapping

Unit = Literal["array", "lanes"]
OPERANDS = {"q": "Q", "k": "K", "v": "V", "out": "AV"}  # words of an attention as tensors here


@dataclass(frozen=True, slots=True)
class Place:
    """Where an Einsum runs: on the lanes, or on the array with two ranks unrolled over it."""

    unit: Unit
    rows: str = ""
    cols: str = ""

    def text(self) -> str:
        """As people write it."""
        return f"array, {self.rows} x {self.cols}" if self.unit == "array" else "lanes"


LANES = Place("lanes")


@dataclass(frozen=True, slots=True)
class Work:
    """Einsums that a unit runs through in one go, and the time of all steps together.

    Attributes:
        drain_ps: passes after them, all steps together, before another unit sees a result.
    """

    unit: Unit
    einsums: tuple[str, ...]
    total_ps: int
    drain_ps: int = 0


@dataclass(frozen=True, slots=True)
class Passing:
    """A tensor through memory, all steps together.

    Attributes:
        word: `q`, `k`, `v`, `out`, or the name of a tensor that is made inside.
        at: the Einsum that uses or makes it.
        way: read | write.
        size_bytes: may have a fraction, where a share of a tensor spills.
        buffered: what is read is written to the buffer on its way.
    """

    word: str
    at: str
    way: Literal["read", "write"]
    size_bytes: Fraction
    buffered: bool = True


@dataclass(frozen=True)
class Sweep:
    """One run over all tiles, in alike steps.

    Attributes:
        steps: of the whole sweep.
        phases: of a step, one after the other; what is in one runs side by side.
        overlap: steps run into each other: a unit begins one when it is free and has its inputs.
            Without it the phases of a step wait for each other, and steps follow.
        tail: what runs beside the first phase of the step that follows.
        passing: what goes through memory.
        counts: of all steps, by unit and counter.
    """

    steps: int
    phases: tuple[tuple[Work, ...], ...]
    overlap: bool
    tail: Work | None = None
    passing: tuple[Passing, ...] = ()
    counts: Mapping[Unit, Mapping[str, int]] = field(default_factory=dict)

    def works(self) -> Iterator[Work]:
        """Everything that runs, in order."""
        for phase in self.phases:
            yield from phase
        if self.tail:
            yield self.tail

    def busy_ps(self, unit: Unit) -> int:
        """Time that a unit is at work."""
        return sum(w.total_ps for w in self.works() if w.unit == unit)


@dataclass(frozen=True)
class TileStep:
    """One step as index ranges: problems, rows of queries, blocks of them, and blocks of keys."""

    case: int
    b: int
    q: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class CascadeMapping(KernelMapping):
    """One attention as a cascade of Einsums on an array and on lanes beside it.

    Attributes:
        problem: the attention.
        engine, vector: names in the machine.
        cascade: what is computed.
        where: place of each Einsum.
        nests: tiles and loops of each ragged case.
        sweeps: in time order, of all cases.
        kept: tensors that lie in the buffer.
        slots: cycles of single elements of the array that do work.
        array_cycles: that the array is busy, times its elements, makes the slots there are.
        elements: of the array.
    """

    problem: AttentionProblem
    engine: str
    vector: str
    cascade: Cascade
    where: Mapping[str, Place]
    nests: tuple[Nest, ...]
    sweeps: tuple[Sweep, ...]
    kept: frozenset[str]
    room_bytes: int
    slots: int
    array_cycles: int
    elements: int

    @property
    def order(self) -> tuple[str, ...]:
        """The loops over tiles, outermost first."""
        return tuple(loop.rank for loop in self.nests[-1].loops)

    @property
    def tile(self) -> dict[str, int]:
        """Extents of the innermost tile."""
        return dict(self.nests[-1].tile)

    @property
    def keep(self) -> frozenset[str]:
        """Operands from outside that stay on chip over a loop that does not change them."""
        return frozenset(self.nests[-1].held)

    @property
    def busy_pct(self) -> float:
        """Share of the array's elements at work while it is busy, in percent."""
        return 100.0 * self.slots / (self.array_cycles * self.elements)

    def traffic(self) -> dict[str, Fraction]:
        """Bytes of each tensor through memory, exactly: a spilled share need not be whole."""
        total: dict[str, Fraction] = {}
        for sweep in self.sweeps:
            for p in sweep.passing:
                total[p.word] = total.get(p.word, Fraction(0)) + p.size_bytes
        return total

    def counts(self) -> dict[str, int]:
        """Counters of all sweeps, those of loads and stores left out."""
        total: dict[str, int] = {}
        for sweep in self.sweeps:
            for own in sweep.counts.values():
                for key, n in own.items():
                    total[key] = total.get(key, 0) + n
        return total

    def tiles(self) -> Iterator[TileStep]:
        """Tiles of queries in execution order: those that all Einsums finish together."""
        for number, (case, nest) in enumerate(zip(self.problem.cases, self.nests, strict=True)):
            rows = self.rows_together(case, nest)
            for b in range(case.b):
                for low in range(0, case.m, rows):
                    yield TileStep(number, b, (low, min(low + rows, case.m)))

    @staticmethod
    def rows_together(case: Heads, nest: Nest) -> int:
        """Rows of queries inside the outermost loop over them, if that is shared by all."""
        outer = next((x for x in nest.loops[: nest.shared] if x.rank == "p"), None)
        if outer is None:
            return case.m
        return -(-nest.extents()["p"] // outer.steps)

    @property
    def computes_masked(self) -> str:
        """Why it does more than the attention needs, as text; empty where every key is seen."""
        if not self.problem.masked:
            return ""
        return f"masked scores are computed, {self.dataflow} has no masked tiles"

    def live(self) -> dict[str, int]:
        """Elements of each tensor that are held at once, of the case with most."""
        found = [footprints(self.cascade, nest) for nest in self.nests]
        return {name: max(f[name] for f in found) for name in found[0]}

    def render(self) -> str:
        """The loop nest as text: Einsums in order, where each runs, passes, what is held."""
        p, nest, c = self.problem, self.nests[-1], self.cascade
        e = p.largest
        lines = [
            f"{self.name}: {self.dataflow} on {self.engine} and {self.vector}   "
            f"[b {e.b}  q {e.m}  kv {e.keys}  d {p.key_dim}+{p.value_dim}]",
            f"  {c.name}: passes over the keys {c.passes('m1')}, buffer {self.room_bytes} B",
        ]
        indent = "  "
        for i, loop in enumerate(nest.loops):
            if i == nest.shared:
                lines.append(f"{indent}each Einsum by itself:")
                indent += "  "
            if loop.steps > 1:
                lines.append(f"{indent}for {loop.rank} in {loop.steps} tiles")
                indent += "  "
        live, visits = self.live(), c.visits("m1")
        lines.append(f"{indent}tile {', '.join(f'{r} {n}' for r, n in nest.tile.items())}")
        for word in c.inputs:
            how = "held" if word in nest.held else "streamed"
            lines.append(f"{indent}{word}: {how}, {live[word]} elements at once")
        for einsum in c.einsums:
            home = "buffer" if einsum.name in self.kept else "units"
            when = f"pass {visits[einsum.name]}" if "m1" in einsum.space else "after "
            lines.append(
                f"{indent}{when}  {einsum.text()}   "
                f"[{self.where[einsum.name].text()}; {live[einsum.name]} live, {home}]"
            )
        for sweep in self.sweeps:
            how = "steps overlap" if sweep.overlap else "phases in turn"
            phases = "; ".join(
                " | ".join(f"{w.unit}: {' '.join(w.einsums)}" for w in phase)
                for phase in sweep.phases
            )
            lines.append(f"  {sweep.steps} steps, {how}: {phases}")
            if sweep.tail:
                lines.append(f"    then beside the next step: {' '.join(sweep.tail.einsums)}")
        if self.computes_masked:
            lines.append(f"  {self.computes_masked}")
        for word, size in self.traffic().items():
            lines.append(f"  {word} through memory: {float(size):.0f} B")
        return "\n".join(lines)
