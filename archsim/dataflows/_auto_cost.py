"""What mappings cost, exactly: counts of all tiles, edges apart, reduced to time, bytes and energy.

Every element of an array is one set of tile extents of one template. What depends on the extents
alone (array work, bytes of an operand brought in once) is measured once; a loop order and a set of
held operands then combine it in a few operations. The sums are those of the schedule's own rows, so
that they equal what a run at fidelity `analytic` counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from archsim.dataflows._auto_parts import Bools, Floats, Ints, Part, combine, merged, parts_of
from archsim.dataflows._grid import tile_bytes
from archsim.ir.meter import Meter, in_ps
from archsim.ir.problem import Extents, Problem
from archsim.ir.target import Target, Tiles

if TYPE_CHECKING:
    from archsim.dataflows.base import Dataflow

Case = tuple[int, Extents]  # how many alike, and their extents
PS = 1e12  # picoseconds of a second


@dataclass(frozen=True, slots=True)
class Moved:
    """Transfers of an operand over the op: bytes, and time on the memory's port."""

    size_bytes: Floats
    ps: Floats

    def __add__(self, other: Moved) -> Moved:
        return Moved(self.size_bytes + other.size_bytes, self.ps + other.ps)

    def times(self, n: Ints | int) -> Moved:
        """The same transfers so often."""
        return Moved(self.size_bytes * n, self.ps * n)


@dataclass(frozen=True, slots=True)
class Work:
    """Array work of the whole op."""

    cycles: Floats
    ps: Floats
    folds: Floats
    sram_read: Floats
    sram_write: Floats
    lag_ps: Floats  # all tiles together


@dataclass(frozen=True)
class Measured:
    """What tile extents of one template cost before an order is chosen.

    Attributes:
        tile, steps, sizes: extents, steps and largest tile in bytes, for the largest case.
        tiles: tiles of the largest case.
        all_tiles: of all cases.
        work: array work where every tile fills the array anew, and where the stream goes on.
        loads: of an operand, held across the loop that does not change it or not.
        unpacked: weights that pass a vector unit on their way to the array, by whether they are
            held: elements, bytes that it writes, and its time.
        spill: partial sums that leave, when the output is not held; as much comes back.
        loaded, stored: of the output's side: fused operands, and results.
        tail_read, tail_write, vector_ps: bytes on chip and time of the fused vector ops.
        waits: times that a tile of an operand comes in, by whether it is held.
    """

    tile: dict[str, Ints]
    steps: dict[str, Ints]
    sizes: dict[str, Ints]
    tiles: Ints
    all_tiles: Floats
    work: dict[bool, Work]
    loads: dict[tuple[str, bool], Moved]
    unpacked: dict[bool, Floats]
    spill: Moved
    loaded: Moved
    stored: Moved
    tail_read: Floats
    tail_write: Floats
    vector_ps: Floats


def measure(
    flow: Dataflow, problem: Problem, target: Target, tile: dict[str, Ints], cases: Sequence[Case]
) -> Measured:
    """Counts of tiles of a template, one array element a set of tile extents."""
    assert target.meter is not None
    e = problem.largest
    steps = {r: -(-e.of(r) // tile[r]) for r in "bmnk"}
    count = Counter(flow, problem, target, tile, target.meter)
    for i, (weight, extents) in enumerate(cases):
        count.case(weight, extents, opens=i == 0)
    return Measured(
        tile=tile,
        steps=steps,
        sizes=tile_bytes(flow, problem, target, tile, steps),
        tiles=steps["b"] * steps["m"] * steps["n"] * steps["k"],
        all_tiles=count.tiles,
        work={on: Work(*rows) for on, rows in count.work.items()},
        loads=count.loads,
        unpacked=count.unpacked,
        spill=count.spill,
        loaded=count.loaded,
        stored=count.stored,
        tail_read=count.tail[0],
        tail_write=count.tail[1],
        vector_ps=count.tail[2],
    )


class Counter:
    """Sums over the cases of an op."""

    def __init__(
        self,
        flow: Dataflow,
        problem: Problem,
        target: Target,
        tile: dict[str, Ints],
        meter: Meter,
    ) -> None:
        self.flow, self.problem, self.target, self.tile = flow, problem, target, tile
        self.meter = meter
        zero = np.zeros(len(tile["b"]))
        op = problem.op
        reads = {"in": op.reads[0].tensor, "weight": op.reads[1].tensor}
        self.moves = {t: name not in target.resident for t, name in reads.items()}
        self.leaves = op.writes[0].tensor not in target.resident and not target.fused
        (self.stream,) = set("mnk") - {flow.row_rank, flow.col_rank}
        self.tiles = zero
        self.work: dict[bool, NDArray[np.float64]] = {
            on: np.zeros((6, len(zero))) for on in (False, True)
        }
        none = Moved(zero, zero)
        self.loads = {(t, held): none for t in reads for held in (False, True)}
        self.unpacked = {held: np.zeros((3, len(zero))) for held in (False, True)}
        self.spill = self.loaded = self.stored = none
        self.tail = np.zeros((3, len(zero)))
        for size in meter.once_bytes:
            self.loaded += self._transfer(np.full(len(zero), size, dtype=np.int64), 1)

    def case(self, weight: int, e: Extents, *, opens: bool) -> None:
        """Add so many alike cases; the op's very first tile is in the first one."""
        parts = {r: parts_of(e.of(r), self.tile[r]) for r in "bmnk"}
        steps = {r: np.sum([p.count for p in parts[r]], axis=0) for r in "bmnk"}
        self.tiles = self.tiles + weight * steps["b"] * steps["m"] * steps["n"] * steps["k"]
        for goes_on in (False, True):
            three = {"k", self.stream} if goes_on else {"k"}
            cut = {r: parts[r] if r in three else merged(parts[r]) for r in "bmnk"}
            self.work[goes_on] += weight * self._array(cut, goes_on=goes_on)
        two = {r: merged(parts[r]) for r in "bmnk"}
        if self.moves["weight"] and self.meter.unpack is not None:
            once_each = weight * self._unpacked([two[r] for r in "bkn"])
            self.unpacked[True] += once_each
            self.unpacked[False] += once_each * steps["m"]
        for operand, ranks, other in (("in", "bmk", "n"), ("weight", "bkn", "m")):
            if self.moves[operand]:
                once = self._operand(operand, [two[r] for r in ranks]).times(weight)
                self.loads[operand, True] += once
                self.loads[operand, False] += once.times(steps[other])
        self._outputs(weight, {**two, "n": parts["n"]}, steps)
        if opens:
            self._opening(parts)

    def _array(self, cut: dict[str, list[Part]], *, goes_on: bool) -> NDArray[np.float64]:
        """Cycles, time, folds and on-chip bytes of all tiles."""
        total = np.zeros((6, len(self.tiles)))
        for count, (b, m, n, k) in combine([cut[r] for r in "bmnk"]):
            at = dict(zip("bmnk", (b, m, n, k), strict=True))
            resumed = ~at[self.stream].first if goes_on else np.zeros_like(k.first)
            total += count * self._tiles(at, resumed)
        return total

    def _tiles(
        self, at: dict[str, Part], resumed: Bools, *, first: bool = False
    ) -> NDArray[np.float64]:
        target, k = self.target, at["k"]
        assert target.cost is not None
        tiles = Tiles(
            self.flow.stationary,
            at["b"].size,
            at["m"].size,
            at["n"].size,
            at["k"].size,
            first=np.full(len(resumed), first),
            resumed=resumed,
            opens=k.first,
            closes=k.last,
        )
        cost = target.cost(tiles)
        read, write = self.meter.accessed(cost)
        ps = in_ps(cost.cycles, target.clock_hz)
        lag_ps = cost.lag_cycles * (PS / target.clock_hz) + self.meter.sram_latency_ps
        return np.stack([cost.cycles, ps, cost.folds, read, write, lag_ps])

    def _opening(self, parts: dict[str, list[Part]]) -> None:
        """What only the first tile of an op pays: a fill in the open, and extras such as a bias."""
        extent = {r: sum(p.count * p.size for p in parts[r]) for r in "bmnk"}
        size = {r: np.minimum(self.tile[r], extent[r]) for r in "bmnk"}
        yes = np.ones(len(self.tiles), dtype=bool)
        at = {r: Part(yes.astype(np.int64), size[r], yes, yes) for r in "bmnk"}
        for goes_on in (False, True):
            more = self._tiles(at, ~yes, first=True) - self._tiles(at, ~yes)
            self.work[goes_on][:2] += more[:2]
        extra = self.problem.extra_bytes
        if extra and self.moves["weight"]:
            bare = self.problem.weight_bytes(size["b"] * size["k"] * size["n"])
            one, both = self._transfer(bare, 1), self._transfer(bare + extra, 1)
            for held in (False, True):
                now = self.loads["weight", held]
                self.loads["weight", held] = Moved(
                    now.size_bytes + extra, now.ps + both.ps - one.ps
                )

    def _operand(self, operand: str, cut: list[list[Part]]) -> Moved:
        """Each tile of an operand once."""
        problem, found = self.problem, Moved(np.zeros(len(self.tiles)), np.zeros(len(self.tiles)))
        for count, (b, one, two) in combine(cut):
            if operand == "in":
                elements = problem.in_elements(b.size, one.size, two.size, self.tile["m"])
                size = -(-elements * problem.bits["in"] // 8)
            else:
                size = problem.weight_bytes(b.size * one.size * two.size)
            found += self._transfer(size, count)
        return found

    def _unpacked(self, cut: list[list[Part]]) -> Floats:
        """Elements, bytes and time of the vector unit that unpacks each tile of weights once."""
        assert self.meter.unpack is not None
        total = np.zeros((3, len(self.tiles)))
        for count, (b, k, n) in combine(cut):
            elements = b.size * k.size * n.size
            ps, written = self.meter.unpack(elements)
            total += count * np.stack([elements, written, ps])
        return total

    def _outputs(self, weight: int, cut: dict[str, list[Part]], steps: dict[str, Ints]) -> None:
        problem, meter = self.problem, self.meter
        for one, (b, m, n) in combine([cut[r] for r in "bmn"]):
            count, points = one * weight, b.size * m.size * n.size
            partial = self._transfer(-(-points * problem.bits["partial"] // 8), count)
            self.spill += partial.times(steps["k"] - 1)
            done = -(-points * problem.bits["out"] // 8)
            if meter.tail is not None:
                moves = meter.tail(points, np.where(n.first, b.size * m.size, 0))
                for size in moves.loads:
                    self.loaded += self._transfer(size, count)
                for size in moves.stores:
                    self.stored += self._transfer(size, count)
                vector_ps = in_ps(moves.cycles, self.target.vector_clock_hz)
                self.tail += count * np.stack([moves.sram_read + done, moves.sram_write, vector_ps])
            elif self.leaves:
                self.stored += self._transfer(done, count)

    def _transfer(self, size: Ints, count: Ints | int) -> Moved:
        return Moved((size * count).astype(np.float64), self.meter.transfer_ps(size) * count)
