"""A loop nest over an op's own ranks: what each level keeps, and how its loops cut what it holds.

The same object is timed (its buffer tiles become rows), printed and read as text, counted in
closed form (`nest_traffic`), and executed on small arrays by `archsim.testing.functional_nest`.
Which nests are legal on a machine is in `nest_check`.

One rule says what is held. At a level's boundary a tile of an operand stays while only loops inside
the innermost loop of a rank of that operand step; it is fetched again for every iteration of
everything further out. A tile comes from the nearest level above that keeps the operand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

from archsim.core.html import Rendered
from archsim.ir.mapping import Moves
from archsim.ir.nest_ranks import RANKS, REDUCED, RELEVANT, case_extents, count
from archsim.ir.problem import Problem
from archsim.ir.reuse import Segment, segments

if TYPE_CHECKING:
    from archsim.ir.nest_check import NestTarget
    from archsim.ir.nest_traffic import Moved
    from archsim.ir.nest_walk import NestStep

LEVELS = ("dram", "buffer", "registers")
AXES = ("rows", "cols", "count")
DEPTH = 2  # tiles of an operand in the buffer: one is filled while another is used


@dataclass(frozen=True, slots=True)
class NestLoop:
    """One loop: an iteration covers `tile` of the rank, the last one what is left.

    With an axis (`rows`, `cols`, `count`) its iterations run at once, one a place of the axis.
    """

    rank: str
    tile: int
    axis: str = ""

    def __str__(self) -> str:
        return f"{self.rank}/{self.tile}" + (f" @{self.axis}" if self.axis else "")


@dataclass(frozen=True, slots=True)
class NestLevel:
    """One level: the operands it keeps, and the loops that cut its tile, outermost first."""

    name: str
    keeps: frozenset[str]
    loops: tuple[NestLoop, ...] = ()


@dataclass(frozen=True, slots=True)
class Placed:
    """A loop of the nest with its place: index of its level, and size that it cuts."""

    level: int
    rank: str
    tile: int
    axis: str
    within: int


@dataclass(frozen=True)
class NestMapping(Rendered):
    """Levels of loops of one MAC op on one engine, outermost first.

    Loops that have one step in every case are dropped when the nest is made.

    Attributes:
        problem: the op.
        engine, dataflow: names in the machine and of the template.
        levels: `dram` (keeps everything), `buffer`, and `registers` of each element if it has any.
        depth: tiles of each operand in the buffer at once where there are several; 2 by default.
    """

    problem: Problem
    engine: str
    dataflow: str
    levels: tuple[NestLevel, ...]
    depth: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        size = dict(self.ranks)
        levels = []
        for level in self.levels:
            loops = []
            for loop in level.loops:
                if loop.rank not in size or loop.tile < size[loop.rank]:
                    loops.append(loop)
                    size[loop.rank] = loop.tile
            levels.append(replace(level, loops=tuple(loops)))
        object.__setattr__(self, "levels", tuple(levels))

    @property
    def name(self) -> str:
        """Name of the op."""
        return self.problem.op.name

    @cached_property
    def ranks(self) -> dict[str, int]:
        """Largest extent of each rank of the op."""
        return {r: max(case[r] for case in self.cases) for r in RANKS[self.problem.op.kind]}

    @cached_property
    def cases(self) -> tuple[dict[str, int], ...]:
        """Extents by rank of each ragged case."""
        return case_extents(self.problem.op)

    @property
    def relevant(self) -> dict[str, frozenset[str]]:
        """Ranks that change each operand."""
        return RELEVANT[self.problem.op.kind]

    @property
    def reduced(self) -> frozenset[str]:
        """Ranks over which outputs are summed."""
        return REDUCED[self.problem.op.kind]

    @cached_property
    def loops(self) -> tuple[Placed, ...]:
        """All loops, outermost first."""
        size, found = dict(self.ranks), []
        for i, level in enumerate(self.levels):
            for loop in level.loops:
                within = size.get(loop.rank, 1)
                found.append(Placed(i, loop.rank, loop.tile, loop.axis, within))
                size[loop.rank] = loop.tile
        return tuple(found)

    def keeper(self, operand: str, level: int) -> int:
        """Index of the nearest level above one that keeps an operand."""
        return max(i for i in range(level) if operand in self.levels[i].keeps)

    @cached_property
    def outer(self) -> tuple[NestLoop, ...]:
        """The loops over tiles of the buffer, outermost first."""
        return self.levels[0].loops

    @property
    def order(self) -> tuple[str, ...]:
        """Ranks of the loops over tiles of the buffer, outermost first."""
        return tuple(loop.rank for loop in self.outer)

    def tile_at(self, level: int) -> dict[str, int]:
        """Extent by rank of a full tile that lies at a level."""
        size = dict(self.ranks)
        for loop in self.loops:
            if loop.level < level:
                size[loop.rank] = loop.tile
        return size

    @property
    def tile(self) -> dict[str, int]:
        """Extent by rank of a full tile of the buffer."""
        return self.tile_at(1)

    @property
    def keep(self) -> frozenset[str]:
        """Operands that stay in the buffer while some loop over its tiles steps."""
        kept = self.levels[1].keeps
        return frozenset(t for t in kept if self.held_over(t))

    def held_over(self, operand: str) -> tuple[str, ...]:
        """Ranks of the loops over buffer tiles that step while a tile of an operand stays."""
        order = self.order
        own = [i for i, rank in enumerate(order) if rank in self.relevant[operand]]
        return order[own[-1] + 1 :] if own else order

    def moves(self, operand: str, first: dict[str, bool], last: dict[str, bool]) -> Moves:
        """Whether an operand's buffer tile enters and leaves, by place in each of its loops."""
        inside = self.held_over(operand)
        return Moves(all(first[r] for r in inside), all(last[r] for r in inside))

    @property
    def spills(self) -> bool:
        """True when partial sums leave the buffer between tiles of a reduction."""
        inside = self.held_over("out")
        return any(r in self.reduced for r in self.order[: len(self.order) - len(inside)])

    @property
    def splits(self) -> bool:
        """True when a reduction goes on over several tiles of the buffer."""
        return any(rank in self.reduced for rank in self.order)

    def slots(self, operand: str) -> int:
        """Tiles of an operand in the buffer at once; 1 where there is only one."""
        inside = len(self.held_over(operand))
        several = len(self.order) > inside or len(self.cases) > 1
        return self.depth.get(operand, DEPTH) if several else 1

    def cuts(self, case: Mapping[str, int]) -> list[tuple[str, tuple[Segment, ...]]]:
        """Per loop over buffer tiles, outermost first: the runs of alike tiles."""
        return [(loop.rank, segments(case[loop.rank], loop.tile)) for loop in self.outer]

    def tiles(self) -> Iterator[NestStep]:
        """Every tile of the buffer in execution order, cases one after the other."""
        from archsim.ir.nest_walk import walk

        return walk(self)

    def steps(self, case: Mapping[str, int]) -> int:
        """Cycles of a case at one MAC per element and cycle: its iterations one after another."""
        return self.steps_of(case, 0)

    def steps_of(self, sizes: Mapping[str, int], level: int) -> int:
        """The same of one tile that lies at a level, of any size."""
        total = 1
        for rank, extent in sizes.items():
            cuts = tuple(
                (loop.tile, "at once" if loop.axis else "in turn")
                for loop in self.loops
                if loop.rank == rank and loop.level >= level
            )
            total *= count(extent, cuts, lockstep=True)
        return total

    def macs(self, case: Mapping[str, int]) -> int:
        """Multiply-accumulates of a case."""
        return prod(case.values())

    def spatial(self) -> dict[str, int]:
        """Places used of each axis by a full tile."""
        used = dict.fromkeys(AXES, 1)
        for loop in self.loops:
            if loop.axis:
                used[loop.axis] = used.get(loop.axis, 1) * -(-loop.within // loop.tile)
        return used

    def traffic(self, case: Mapping[str, int]) -> dict[tuple[str, str], Moved]:
        """Elements that a case moves, by (level, operand): exact, see `nest_traffic`."""
        from archsim.ir.nest_traffic import traffic

        return traffic(self, case)

    def tile_bytes(self, operand: str, level: int = 1) -> int:
        """Bytes of the largest tile of an operand that lies at a level."""
        from archsim.ir.nest_check import tile_bytes

        return tile_bytes(self, operand, level)

    def check(self, target: NestTarget) -> None:
        """Refuse a nest that is no mapping of its op, or that its engine cannot run.

        Raises:
            Unmappable: with the reason.
        """
        from archsim.ir.nest_check import check

        check(self, target)

    def render(self) -> str:
        """The loop nest as text, one loop a line, with what each level keeps."""
        from archsim.ir.nest_text import render

        return render(self)

    def to_data(self) -> dict[str, Any]:
        """The nest as plain data, as a mapping rule takes it."""
        from archsim.ir.nest_text import to_data

        return to_data(self)
