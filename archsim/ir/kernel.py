"""A mapping of one kernel: a grid of output tiles, dealt to alike cores.

Here lives what the plan of a kernel says: its tiles, how many of them run at once, how long the
cores take for all of them, and what passes through memory meanwhile. How tiles are priced is an
engine's business, how the plan becomes rows through time the system's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isqrt

from archsim.core.html import Rendered
from archsim.ir.problem import Extents


@dataclass(frozen=True, slots=True)
class Flow:
    """A tensor that passes through memory: its name, its operand (in, weight, out), its bytes."""

    tensor: str
    operand: str
    size_bytes: int


@dataclass(frozen=True)
class KernelMapping(Rendered):
    """What every kernel has: the path of its stage, and its template."""

    name: str
    dataflow: str = "tile_grid"

    def render(self) -> str:
        """The loop nest as text."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class TileGrid:
    """The grid that an engine chose for a product, and how long its cores take.

    Attributes:
        m, n: extents of an output tile.
        k: reduction length of a tile, in whole steps.
        k_step: reduction length of one step.
        split: parts that the reduction is cut into, each a tile of its own.
        tiles: of the whole grid, split parts counted.
        cores: tiles at once.
        waves: tiles of the core that has most.
        compute_ps: from the first tile to the last, were operands always there.
        memory_ps: in which what passes through memory does, were the cores never in its way.
        join_ps: sums the split parts up afterwards; 0 where there are none.
        stretch: how much longer compute and memory each take because the other is at work.
    """

    m: int
    n: int
    k: int
    k_step: int
    split: int
    tiles: int
    cores: int
    waves: int
    compute_ps: int
    memory_ps: int
    join_ps: int
    stretch: float


@dataclass(frozen=True, kw_only=True)
class GridMapping(KernelMapping):
    """A matrix product, or several alike, as one kernel.

    Attributes:
        engine: name in the machine.
        cases: extents of each ragged case.
        grid: the tiles.
        efficiency: share of the memory's peak bandwidth that operands reach; None is its own.
        steps: pieces in which operands arrive and are used.
        loads, stores: tensors through memory, each byte once.
        counts: of the cores, by counter, the whole kernel.
        join_counts: of the second kernel that sums split parts up.
    """

    engine: str
    cases: tuple[Extents, ...]
    grid: TileGrid
    efficiency: float | None
    steps: int
    loads: tuple[Flow, ...] = ()
    stores: tuple[Flow, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    join_counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def order(self) -> tuple[str, ...]:
        """Loops over tiles, outermost first."""
        return ("b", "m", "n", "k")

    @property
    def tile(self) -> dict[str, int]:
        """Extents of one core's tile."""
        return {"b": 1, "m": self.grid.m, "n": self.grid.n, "k": self.grid.k}

    @property
    def keep(self) -> frozenset[str]:
        """What a core holds over its steps."""
        return frozenset({"out"})

    @property
    def block(self) -> tuple[int, int]:
        """Tiles along m and n of the block that one wave works on: as square as the grid allows."""
        largest = max(self.cases, key=lambda e: e.b * e.m * e.n)
        high, wide = -(-largest.m // self.grid.m), -(-largest.n // self.grid.n)
        cores = max(1, self.grid.cores // self.grid.split)
        side = isqrt(cores * self.grid.n // self.grid.m) or 1
        down = min(high, side)
        across = min(wide, max(1, cores // down))
        return min(high, max(down, cores // across)), across

    def render(self) -> str:
        """The loop nest as text."""
        g, (down, across) = self.grid, self.block
        e = max(self.cases, key=lambda e: e.b * e.m * e.n)
        ragged = f" and {len(self.cases) - 1} more" if len(self.cases) > 1 else ""
        lines = [
            f"{self.name}: {self.dataflow} on {self.engine}   "
            f"[b {e.b}  m {e.m}  n {e.n}  k {e.k}{ragged}]",
            f"  for wave in {g.waves}:  # {g.tiles} tiles to {g.cores} cores, first free first",
            f"    block of {down} x {across} tiles: {down * g.m} x {across * g.n}, panels on chip",
            f"      tile m {g.m}, n {g.n} on each core",
            f"        for k in {-(-g.k // g.k_step)} steps of {g.k_step}",
        ]
        if g.split > 1:
            lines.append(f"  sum {g.split} parts of the reduction in a second kernel")
        for word, flows in (("load", self.loads), ("store", self.stores)):
            lines += [f"  {word} {f.tensor}: {f.size_bytes} B" for f in flows]
        return "\n".join(lines)
