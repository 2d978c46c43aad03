"""A mapping: how one op is cut into tiles, in which order they run, and what is held meanwhile.

The same object is timed (its tiles become a schedule), printed as a loop nest, counted in closed
form, and executed on small tensors by `archsim.testing.functional`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from archsim.core.errors import Unmappable
from archsim.core.html import Rendered
from archsim.ir.problem import Extents, Problem
from archsim.ir.reuse import Segment, segments
from archsim.ir.target import Target

# the rank whose loop does not change an operand: its tile may be held across it
REUSED = {"in": "n", "weight": "m", "out": "k"}


@dataclass(frozen=True, slots=True)
class Loop:
    """One loop of the nest: `rank` of `extent` in steps of `tile`; spatial ones run at once."""

    rank: str
    extent: int
    tile: int
    spatial: bool = False
    at: str = "buffer"  # buffer | instances | rows | cols | stream

    @property
    def steps(self) -> int:
        """Number of tiles."""
        return -(-self.extent // self.tile)


@dataclass(frozen=True, slots=True)
class Buffer:
    """On-chip room of one operand: bytes of its largest tile and how many tiles fit at once."""

    tile_bytes: int
    slots: int

    @property
    def bytes(self) -> int:
        """Bytes occupied."""
        return self.tile_bytes * self.slots


@dataclass(frozen=True, slots=True)
class Moves:
    """What happens to an operand at one tile: brought in (or its room reserved), let go."""

    enter: bool
    leave: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One tile: index ranges per rank, and the moves of each operand."""

    ranges: dict[str, tuple[int, int]]
    first: dict[str, bool]
    last: dict[str, bool]

    def size(self, rank: str) -> int:
        """Extent of a rank in this tile."""
        low, high = self.ranges[rank]
        return high - low


@dataclass(frozen=True)
class Mapping(Rendered):
    """Loops of one MAC op on one engine, outermost first, and which operands are held.

    Attributes:
        problem: the op as a matrix multiplication.
        engine, dataflow: names in the machine and of the template.
        stationary: operand that stays in the array: weight | output | input; `line`: outputs of
            one-dimensional convolutions, one a row.
        order: the temporal loops over tiles, outermost first; always begins with `b`.
        tile: tile extent by rank.
        keep: operands held across the loop that does not change them.
        buffers: on-chip room by operand; an operand without one lies on chip as a whole tensor.
        spatial: loops inside the array, as its template has them.
        lies: the same as the engine's units really lie, for printing, where that differs.
        ahead: whether all weights are on chip before the first tile is computed.
    """

    problem: Problem
    engine: str
    dataflow: str
    stationary: str
    order: tuple[str, ...]
    tile: dict[str, int]
    keep: frozenset[str]
    buffers: dict[str, Buffer]
    spatial: tuple[Loop, ...] = ()
    lies: tuple[Loop, ...] = ()
    ahead: bool = False

    @property
    def name(self) -> str:
        """Name of the op."""
        return self.problem.op.name

    @property
    def spills(self) -> bool:
        """True when partial sums leave the chip between reduction tiles."""
        return "out" not in self.keep and self.steps(self.problem.largest)["k"] > 1

    def steps(self, extents: Extents) -> dict[str, int]:
        """Number of tiles per rank for one case."""
        return {rank: -(-extents.of(rank) // self.tile[rank]) for rank in "bmnk"}

    @property
    def holds_weights(self) -> bool:
        """True where all weights have room on chip at once, and come in once."""
        buffer = self.buffers.get("weight")
        if buffer is None or len(self.problem.cases) > 1:
            return False
        steps = self.steps(self.problem.largest)
        once = "weight" in self.keep or steps["m"] == 1
        return once and buffer.slots >= steps["b"] * steps["n"] * steps["k"]

    def moves(self, operand: str, first: dict[str, bool], last: dict[str, bool]) -> Moves:
        """Whether an operand's tile enters and leaves at a place of the nest."""
        rank = REUSED[operand]
        if operand in self.keep:
            return Moves(first[rank], last[rank])
        return Moves(True, True)

    def cuts(self, extents: Extents) -> list[tuple[str, tuple[Segment, ...]]]:
        """Per loop, outermost first: the runs of alike tiles."""
        return [(rank, segments(extents.of(rank), self.tile[rank])) for rank in self.order]

    def tiles(self) -> Iterator[Step]:
        """Every tile in execution order, cases one after the other."""
        base = 0
        for extents in self.problem.cases:
            yield from self._walk(extents, 0, {"b": (base, base)}, {}, {}, base)
            base += extents.b

    def _walk(
        self,
        extents: Extents,
        depth: int,
        ranges: dict[str, tuple[int, int]],
        first: dict[str, bool],
        last: dict[str, bool],
        base: int,
    ) -> Iterator[Step]:
        if depth == len(self.order):
            yield Step(dict(ranges), dict(first), dict(last))
            return
        rank = self.order[depth]
        extent, tile = extents.of(rank), self.tile[rank]
        origin = base if rank == "b" else 0
        for low in range(0, extent, tile):
            high = min(low + tile, extent)
            ranges[rank] = (origin + low, origin + high)
            first[rank], last[rank] = low == 0, high == extent
            yield from self._walk(extents, depth + 1, ranges, first, last, base)

    def pieces(self, operand: str, extents: Extents) -> int:
        """Tiles of an operand that are held at once."""
        if operand not in self.keep:
            return 1
        place = self.order.index(REUSED[operand])
        steps = self.steps(extents)
        return prod(steps[r] for r in self.order[place + 1 :] if r != REUSED[operand])

    def transfers(self, operand: str, extents: Extents) -> int:
        """Times that a tile of an operand enters the buffer: the closed form of the nest."""
        steps = self.steps(extents)
        rank = REUSED[operand]
        once = prod(n for r, n in steps.items() if r != rank)
        return once if operand in self.keep else once * steps[rank]

    def check(self, target: Target) -> None:
        """Refuse a mapping that misses a rank, holds more than the buffer, or splits the reduction.

        Raises:
            Unmappable: with the reason.
        """
        if sorted(self.order) != sorted("bmnk"):
            raise Unmappable(f"{self.name}: loops {self.order} do not cover b, m, n, k once each")
        held = sum(b.bytes for b in self.buffers.values())
        if held > target.buffer_bytes:
            raise Unmappable(
                f"{self.name}: tiles need {held} bytes on chip, {target.buffer_bytes} are free"
            )
        for operand, buffer in self.buffers.items():
            need = max(self.pieces(operand, e) for e in self.problem.cases)
            if operand in REUSED and buffer.slots < need:
                raise Unmappable(
                    f"{self.name}: {operand} holds {need} tiles, its buffer has {buffer.slots}"
                )
        for loop in (s for s in self.spatial if s.spatial):
            limit = {"rows": target.rows, "cols": target.cols, "instances": target.count}[loop.at]
            if loop.tile > limit:
                raise Unmappable(
                    f"{self.name}: {loop.tile} {loop.rank} do not fit {limit} {loop.at}"
                )

    def render(self) -> str:
        """The loop nest as text, one loop a line, with what each operand holds."""
        e = self.problem.largest
        head = (
            f"{self.name}: {self.dataflow} on {self.engine}   [b {e.b}  m {e.m}  n {e.n}  k {e.k}]"
        )
        lines = [head]
        indent = "  "
        for rank in self.order:
            steps = self.steps(e)[rank]
            if steps > 1:
                lines.append(f"{indent}for {rank} in {steps} tiles of {self.tile[rank]}")
                indent += "  "
        for operand, buffer in self.buffers.items():
            held = " (held)" if operand in self.keep and buffer.slots > 2 else ""
            lines.append(f"{indent}hold {operand}: {buffer.slots} x {buffer.tile_bytes} B{held}")
        for loop in self.lies or self.spatial:
            word = "spatial" if loop.spatial else "stream"
            lines.append(f"{indent}{word} {loop.rank} over {loop.at}: {loop.tile}")
            indent += "  "
        return "\n".join(lines)
