"""One attention on one machine: what each Einsum takes where it runs, and what it counts.

An Einsum on the array takes the steps of one element: the ranks that are not unrolled, times the
blocks of those that are, times the cycles of its arithmetic. One on the lanes takes its points
over all lanes. Counts follow from the same sizes, never from a formula of the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING

from archsim.core.errors import Unmappable
from archsim.core.units import PS_PER_S
from archsim.ir.attention_problem import AttentionProblem, Heads
from archsim.ir.cascade import PRIMITIVES, Einsum, Nest, elements, footprint
from archsim.ir.cascade_mapping import OPERANDS, Passing, Place, Sweep, Unit, Work
from archsim.ir.cascade_target import CascadeTarget, Tiling

if TYPE_CHECKING:
    from archsim.dataflows._cascade import CascadeDataflow

WORDS = {tensor: word for word, tensor in OPERANDS.items()}


@dataclass(frozen=True)
class Uses:
    """What a sweep does with the buffer beside keeping what the template keeps there.

    Attributes:
        filled: tensors from memory that lie in it while they are used.
        partial: results whose sums over keys run on in it, tile by tile.
        again: operands that the array reads once more for each block of keys.
        shared: values through the registers that both units share, each written and read once.
        extra_bytes: read beside what Einsums read.
    """

    filled: frozenset[str] = frozenset()
    partial: frozenset[str] = frozenset()
    again: frozenset[str] = frozenset()
    shared: int = 0
    extra_bytes: int = 0


@dataclass
class Bench:
    """One case on one machine: sizes, cycles and counts of Einsums.

    `rows` and `cols` are queries and keys of a tile: the sides of the array.
    """

    flow: CascadeDataflow
    problem: AttentionProblem
    case: Heads
    target: CascadeTarget
    tiling: Tiling
    rows: int = field(init=False)
    cols: int = field(init=False)

    def __post_init__(self) -> None:
        """A tile is as wide as the array."""
        self.rows, self.cols = self.target.rows, self.target.cols

    @property
    def query_blocks(self) -> int:
        """Tiles along the queries."""
        return -(-self.case.m // self.rows)

    @property
    def key_blocks(self) -> int:
        """Tiles along the keys."""
        return -(-self.case.keys // self.cols)

    @property
    def room_bytes(self) -> int:
        """Bytes on chip that tiles may take."""
        limit = self.tiling.room_bytes or self.target.buffer_bytes
        return min(limit, self.target.buffer_bytes)

    @property
    def points(self) -> int:
        """Scores of the case."""
        return self.case.b * self.case.m * self.case.keys

    def tiles_asked(self) -> int | None:
        """Tiles of queries that a rule asks to work on together; None where it leaves that open.

        Raises:
            Unmappable: for rows that are no whole tiles, or do not divide the tiles there are.
        """
        asked, total = self.tiling.query_rows, self.query_blocks
        if asked is None or (asked % self.rows == 0 and total % (asked // self.rows) == 0):
            return asked and asked // self.rows
        some = [str(n * self.rows) for n in range(1, total + 1) if total % n == 0]
        several = f"{total} tiles" if total > 1 else "one tile"
        raise Unmappable(
            f"{self.problem.name}: {asked} rows of queries are no whole tiles of {self.rows} that "
            f"divide {self.case.m} queries ({several})",
            code="E401",
            help=f"query_rows may be {', '.join(some[-8:])}",
            details={"option": "query_rows"},
        )

    def tile(self) -> dict[str, int]:
        """Extents of one tile."""
        p = self.problem
        return {"p": self.rows, "m1": 1, "m0": self.cols, "e": p.key_dim, "f": p.value_dim}

    def size(self, ranks: Iterable[str]) -> int:
        """Elements over some ranks, all problems; keys in blocks are as many as there are."""
        own, p = set(ranks), self.problem
        extents = {"p": self.case.m, "e": p.key_dim, "f": p.value_dim,
                   "m1": self.key_blocks, "m0": self.cols}  # fmt: skip
        if {"m1", "m0"} <= own:
            extents |= {"m1": self.case.keys, "m0": 1}
        return self.case.b * elements(tuple(own), extents)

    def tensor(self, name: str) -> int:
        """Elements of a tensor."""
        return self.size(self.flow.cascade.ranks(name))

    def bits(self, tensor: str) -> Fraction:
        """Bits of an element: its own in memory, those of partial sums for what is made inside."""
        word = WORDS.get(tensor)
        if word is None:
            return Fraction(self.problem.partial_bits)
        return Fraction(self.problem.dtypes[word].stored_bits)

    def room(self, nest: Nest, names: Iterable[str]) -> int:
        """Buffer bytes of tensors that are held as a nest has it."""
        return sum(
            -(-footprint(self.flow.cascade, nest, n) * self.bits(n).numerator
              // (8 * self.bits(n).denominator))
            for n in names
        )  # fmt: skip

    def blocks(self, rank: str) -> int:
        """Tiles along a rank that is unrolled over a side of the array."""
        p, sides = self.problem, max(self.rows, self.cols)
        return {
            "p": self.query_blocks, "m": self.key_blocks,
            "e": -(-p.key_dim // sides), "f": -(-p.value_dim // sides),
        }[rank]  # fmt: skip

    def array_cycles(self, einsum: Einsum, place: Place) -> int:
        """Cycles of the array for an Einsum, its other ranks one step after the other."""
        p, space = self.problem, set(einsum.space)
        steps = {
            "p": self.case.m, "e": p.key_dim, "f": p.value_dim,
            "m": self.case.keys if "m0" in space else self.key_blocks,
        }  # fmt: skip
        walked = {rank for rank in "pef" if rank in space} | ({"m"} if "m1" in space else set())
        over = {rank for rank in (place.rows, place.cols) if rank in walked}
        inner = prod(steps[rank] for rank in walked - over)
        beats = self.case.b * prod(self.blocks(rank) for rank in over)
        return -(-beats * self.element_cycles(einsum, inner) // self.target.count)

    def element_cycles(self, einsum: Einsum, points: int) -> int:
        """Cycles of one element for some points of an Einsum."""
        if einsum.is_mac:
            return self.target.mac_cycles(points)
        own = self.target.element_cycles
        return points * sum(n * own[p] for p, n in PRIMITIVES[einsum.operation].items())

    def lane_cycles(self, einsum: Einsum) -> int:
        """Cycles of all lanes for an Einsum."""
        points, parts = self.size(einsum.space), PRIMITIVES[einsum.operation]
        if self.flow.chained:
            return max(self.target.lane_cycles({p: n}, points) for p, n in parts.items())
        return self.target.lane_cycles(parts, points)

    def work(self, *names: str, drain_cycles: int = 0) -> Work:
        """Einsums in one go, all on the unit of the first; so many cycles a step drain."""
        flow, target = self.flow, self.target
        unit = flow.where[names[0]].unit
        found = [flow.cascade.of(name) for name in names]
        if unit == "array":
            cycles = sum(self.array_cycles(e, flow.where[e.name]) for e in found)
            hz = target.clock_hz
        else:
            cycles, hz = sum(self.lane_cycles(e) for e in found), target.vector_clock_hz
        return Work(unit, names, picoseconds(cycles, hz), picoseconds(drain_cycles, hz))

    def sweep(
        self,
        steps: int,
        phases: Sequence[Sequence[Work]],
        passing: Sequence[Passing],
        uses: Uses,
        *,
        overlap: bool = True,
        tail: Work | None = None,
    ) -> Sweep:
        """A sweep of so many alike steps, with what its Einsums count.

        `overlap`, `phases`, `passing` and `tail` as `Sweep` has them.
        """
        works = [w for phase in phases for w in phase] + ([tail] if tail else [])
        counts: dict[Unit, dict[str, int]] = {"array": {}, "lanes": {}}
        for work in works:
            for einsum in map(self.flow.cascade.of, work.einsums):
                add(counts[work.unit], self._arithmetic(einsum))
                add(counts[work.unit], self._buffer(einsum, uses))
        add(counts[works[0].unit], {"sram.read": uses.extra_bytes})
        both = {f"row_register.{way}": uses.shared for way in ("read", "write")}
        add(counts["lanes"], both)
        return Sweep(
            steps, tuple(tuple(phase) for phase in phases), overlap, tail, tuple(passing),
            {unit: {k: n for k, n in own.items() if n} for unit, own in counts.items()},
        )  # fmt: skip

    def _arithmetic(self, einsum: Einsum) -> dict[str, int]:
        place, points = self.flow.where[einsum.name], self.size(einsum.space)
        found: dict[str, int] = {}
        if einsum.is_mac:
            word = "k" if "e" in einsum.space else "v"
            found[f"mac.{self.problem.dtypes[word].computes_as}"] = points
        else:
            found = {f"vector.{p}": points * n for p, n in PRIMITIVES[einsum.operation].items()}
        if place.unit == "array":
            found["array.cycles"] = self.array_cycles(einsum, place)
            found["array.slots"] = self.element_cycles(einsum, points)
        else:
            found["vector.cycles"] = self.lane_cycles(einsum)
        return found

    def _buffer(self, einsum: Einsum, uses: Uses) -> dict[str, int]:
        """Bytes that an Einsum reads from the buffer and writes to it."""
        flow, place = self.flow, self.flow.where[einsum.name]
        near, reads, writes = flow.kept | uses.filled, Fraction(0), Fraction(0)
        for o in einsum.inputs:
            if o.tensor not in near or (einsum.name, o.tensor) in flow.passed_on:
                continue
            again = 1
            if place.unit == "array":  # a tile's operand is read once for each tile that needs it
                own = {"m" if r in ("m1", "m0") else r for r in o.ranks}
                again = prod(self.blocks(r) for r in (place.rows, place.cols) if r not in own)
                if o.tensor in uses.again:
                    again *= self.key_blocks
            reads += self.size(o.ranks) * again * self.bits(o.tensor)
        own_bits = self.bits(einsum.name)
        if einsum.name in uses.partial:
            tiles = self.size(einsum.ranks) * self.key_blocks
            writes += tiles * own_bits
            reads += (tiles - self.size(einsum.ranks)) * own_bits
        elif einsum.name in flow.kept:
            writes += self.size(einsum.ranks) * own_bits
        return {"sram.read": whole_bytes(reads), "sram.write": whole_bytes(writes)}

    def operand(
        self, word: str, at: str, times: Fraction | int, *, buffered: bool = True
    ) -> Passing:
        """An operand of the attention through memory, so many times."""
        tensor = OPERANDS[word]
        size = self.tensor(tensor) * self.bits(tensor) / 8 * times
        way: dict[bool, str] = {True: "write", False: "read"}
        return Passing(word, at, way[word == "out"], size, buffered)  # type: ignore[arg-type]

    def elided(self, *written: tuple[int, int]) -> int:
        """Bytes of the reads that FuseMax's published counts add to tensors written in tiles.

        Of N values in tiles of T they seem to take N T / T without the first read of each tile,
        in 64 bits: N - ((N T) mod 2^64) / T reads too many. None unless the rule asks for it.
        """
        if self.tiling.counts == "exact":
            return 0
        extra = sum(n - (n * tile) % 2**64 // tile for n, tile in written)
        return extra * self.problem.partial_bits // 8


def picoseconds(cycles: int, clock_hz: float) -> int:
    """Of so many cycles, rounded up once."""
    return -(-cycles * PS_PER_S // int(clock_hz))


def whole_bytes(bits: Fraction) -> int:
    """Bytes that hold so many bits."""
    return -(-bits.numerator // (8 * bits.denominator))


def add(total: dict[str, int], more: Mapping[str, int]) -> None:
    """Add counters to counters."""
    for key, n in more.items():
        total[key] = total.get(key, 0) + n
