"""Executes a loop nest with numpy values, holding at each level only what the nest says is held.

Buffer tiles come and go as the nest's steps say; inside one, every element of the array walks its
own part in lockstep with the others, with registers of its own. Each move is counted where it
happens. The result must equal the op's definition and the counts the nest's closed form.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

from archsim.ir.nest import NestLoop, NestMapping, Placed
from archsim.ir.nest_check import NestTarget
from archsim.ir.nest_ranks import OPERANDS
from archsim.ir.nest_traffic import Moved, Traffic
from archsim.ir.nest_walk import NestStep, Ranges
from archsim.testing.functional import Held, UnsoundMappingError
from archsim.testing.nest_lanes import AXES, Counts, Lane, Place, Tile, cut, dealt
from archsim.testing.nest_values import NestValues


def execute_nest(nest: NestMapping, target: NestTarget | None = None, seed: int = 0) -> Traffic:
    """Run a nest and compare with the op; returns the elements that moved, by (level, operand).

    Raises:
        UnsoundMappingError: when the result differs, or something is not held or does not fit.
    """
    return _Execution(nest, target, seed).run()


def claimed(nest: NestMapping) -> Traffic:
    """The closed form over all ragged cases, those of nothing left out."""
    total: Traffic = {}
    for case in nest.cases:
        for key, moved in nest.traffic(case).items():
            total[key] = total.get(key, Moved()) + moved
    return {key: moved for key, moved in total.items() if moved != Moved()}


class _Execution:
    """The machine while it runs: what lies where, and what has been counted."""

    def __init__(self, nest: NestMapping, target: NestTarget | None, seed: int) -> None:
        self.nest, self.values = nest, NestValues(nest.problem, seed)
        self.limits = dict(target.axes) if target else {}
        self.combines = target.combines if target else frozenset({"rows", "cols"})
        self.names = [level.name for level in nest.levels]
        self.inner = [loop for loop in nest.loops if loop.level]
        self.border = sum(loop.level == 1 for loop in self.inner)
        self.registered = nest.levels[2].keeps if len(nest.levels) > 2 else frozenset()
        self.buffered = nest.levels[1].keeps
        self.counts = Counts()
        self.buffer = {t: Held(t, nest.slots(t)) for t in self.buffered}
        self.registers: dict[str, dict[Place, Tile]] = {t: {} for t in self.registered}
        self.fresh: dict[Place, set[int]] = {}  # sums of an element that have no product yet
        self.done: Tile = {}  # products of each sum so far
        self.sums: Tile = {}  # results in DRAM, complete or not
        self.step: NestStep
        self.cycles = self.points = 0

    def run(self) -> Traffic:
        for step in self.nest.tiles():
            self._buffer_step(step)
        for name, operand in self.buffer.items():
            if operand.tiles:
                raise UnsoundMappingError(f"{name}: {len(operand.tiles)} tiles left at the end")
        for name, tiles in self.registers.items():
            if tiles:
                raise UnsoundMappingError(f"{name}: registers hold {len(tiles)} tiles at the end")
        if self.sums != self.values.defined():
            raise UnsoundMappingError(f"{self.nest.name}: the nest computes something else")
        if self.points != self.nest.problem.op.points():
            raise UnsoundMappingError(f"{self.nest.name}: {self.points} products")
        if self.cycles != (steps := sum(map(self.nest.steps, self.nest.cases))):
            raise UnsoundMappingError(f"{self.cycles} steps taken, the nest says {steps}")
        return self.counts.moved()

    def _buffer_step(self, step: NestStep) -> None:
        """One tile of the buffer: what enters, everything inside, what leaves."""
        self.step = step
        self._sums_are(step.opens, 0, "opens")
        keys = {t: self._key(t, step.ranges) for t in OPERANDS}
        for operand in OPERANDS:
            if operand in self.buffered and step.enter[operand]:
                self.buffer[operand].enter(keys[operand], self._entering(operand, step))
        case = self.nest.cases[step.case]
        first, last = {}, {}
        for i, loop in enumerate(self.nest.outer):
            low, high = step.ranges[loop.rank]
            start = self.values.base(step.case) if loop.rank == "B" else 0
            first[i], last[i] = low == start, high == start + case[loop.rank]
        self._inside(0, [Lane((0, 0, 0), step.ranges)], first, last)
        for operand in OPERANDS:
            if operand in self.buffered and step.leave[operand]:
                tile = self.buffer[operand].leave(keys[operand])
                if operand == "out":
                    self._results(tile, step)
        every = prod(case[rank] for rank in self.nest.reduced)
        self._sums_are(step.closes, every, "closes")

    def _sums_are(self, said: bool, products: int, word: str) -> None:
        """Whether the sums of the tile have so many products, as the step says."""
        positions = self.values.positions("out", self.step.ranges)
        if all(self.done.get(p, 0) == products for p in positions) != said:
            raise UnsoundMappingError(
                f"out: the sum of {self.step.ranges} {word}, says the step: {said}"
            )

    def _entering(self, operand: str, step: NestStep) -> Tile:
        positions = self.values.positions(operand, step.ranges)
        if operand != "out":
            self.counts.add("dram", operand, reads=len(positions))
            self.counts.add("buffer", operand, writes=len(positions))
            return self.values.read(operand, positions)
        back = {p: self.sums[p] for p in positions if p in self.sums}
        self.counts.add("dram", "out", reads=len(back))
        self.counts.add("buffer", "out", writes=len(back))
        return back

    def _results(self, tile: Tile, step: NestStep) -> None:
        positions = self.values.positions("out", step.ranges)
        if len(tile) != len(positions):
            raise UnsoundMappingError(f"out: {len(tile)} of {len(positions)} sums are there")
        self.sums.update(tile)
        self.counts.add("buffer", "out", reads=len(tile))
        self.counts.add("dram", "out", writes=len(tile))

    def _key(self, operand: str, ranges: Ranges) -> Any:
        return tuple(ranges[rank] for rank in sorted(self.nest.relevant[operand]))

    def _inside(
        self, i: int, lanes: list[Lane], first: dict[int, bool], last: dict[int, bool]
    ) -> None:
        """The loops of a buffer tile from the i-th on, all elements in lockstep."""
        if i == self.border:
            self._registers(lanes, first, last, enter=True)
        if i == len(self.inner):
            self._multiply(lanes)
        elif self.inner[i].axis:
            self._inside(i + 1, dealt(self.inner[i], lanes, self.limits), first, last)
        else:
            loop, place = self.inner[i], len(self.nest.outer) + i
            parts = [cut(lane, loop) for lane in lanes]
            steps = max(len(some) for some in parts)
            for n in range(steps):
                now = [some[n] for some in parts if n < len(some)]
                at = {**first, place: n == 0}, {**last, place: n == steps - 1}
                self._inside(i + 1, now, *at)
        if i == self.border:
            self._registers(lanes, first, last, enter=False)

    def _registers(
        self, lanes: list[Lane], first: dict[int, bool], last: dict[int, bool], *, enter: bool
    ) -> None:
        """Fetch or let go what the registers keep, where the loops inside its own begin or end."""
        outer: list[NestLoop | Placed] = [*self.nest.outer, *self.inner[: self.border]]
        steps = [(i, loop.rank) for i, loop in enumerate(outer) if not loop.axis]
        for operand in (t for t in OPERANDS if t in self.registered):
            own = [i for i, rank in steps if rank in self.nest.relevant[operand]]
            inside = [i for i, _ in steps if i > (own[-1] if own else -1)]
            if not all((first if enter else last)[i] for i in inside):
                continue
            if not enter:
                self._flush(operand)
            elif operand == "out":
                self._begin(lanes)
            else:
                self._fill(operand, lanes)

    def _fill(self, operand: str, lanes: list[Lane]) -> None:
        """Send one tile of an operand to the registers of every lane."""
        wanted = {lane.at: self.values.positions(operand, lane.ranges) for lane in lanes}
        got = self._fetch(operand, wanted.values())
        for at, positions in wanted.items():
            if at in self.registers[operand]:
                raise UnsoundMappingError(f"{operand}: registers of {at} are filled twice")
            self.registers[operand][at] = {p: got[p] for p in positions}
            self.counts.add("registers", operand, writes=len(positions))

    def _fetch(self, operand: str, wanted: Iterable[list[int]]) -> Tile:
        """Values from the buffer or from DRAM, sent once however many take them."""
        some = list(wanted)
        distinct = {p for positions in some for p in positions}
        if operand in self.buffered:
            held = self.buffer[operand].get(self._key(operand, self.step.ranges))
            if not distinct <= held.keys():
                raise UnsoundMappingError(f"{operand}: the buffer lacks elements of its tile")
            got = {p: held[p] for p in distinct}
        else:
            got = self.values.read(operand, sorted(distinct))
        self.counts.add("buffer" if operand in self.buffered else "dram", operand, len(distinct))
        self.counts.add("network", operand, len(distinct), sum(map(len, some)))
        return got

    def _above(self) -> Tile:
        """Where sums that leave the array lie."""
        if "out" not in self.buffered:
            return self.sums
        held: Tile = self.buffer["out"].get(self._key("out", self.step.ranges))
        return held

    def _back(self, positions: Iterable[int]) -> Tile:
        """Sums that come back into the array: those that have begun."""
        above = self._above()
        back = {p: above[p] for p in positions if p in above}
        self.counts.add("buffer" if "out" in self.buffered else "dram", "out", reads=len(back))
        self.counts.add("network", "out", len(back), len(back))
        return back

    def _begin(self, lanes: list[Lane]) -> None:
        """Registers for sums: one lane of those that share them takes what comes back."""
        self.owner: dict[Any, list[Place]] = {}
        for lane in lanes:
            if lane.at in self.registers["out"]:
                raise UnsoundMappingError(f"out: registers of {lane.at} are filled twice")
            positions = self.values.positions("out", lane.ranges)
            sharing = self.owner.setdefault(tuple(positions), [])
            back = self._back(positions) if not sharing else {}
            sharing.append(lane.at)
            self.registers["out"][lane.at] = {p: back.get(p, 0) for p in positions}
            self.fresh[lane.at] = set(positions) - set(back)
            self.counts.add("registers", "out", writes=len(back))
        for places in self.owner.values():
            self._may_add(places)

    def _may_add(self, places: list[Place]) -> None:
        for i, axis in enumerate(AXES):
            if len({at[i] for at in places}) > 1 and axis not in self.combines:
                raise UnsoundMappingError(f"out: sums are split over {axis} and never added")

    def _flush(self, operand: str) -> None:
        """Let go of an operand's registers; sums are added up on their way to the level above."""
        tiles, self.registers[operand] = self.registers[operand], {}
        if operand != "out":
            return
        total: Tile = {}
        for p, value in (item for tile in tiles.values() for item in tile.items()):
            total[p] = total.get(p, 0) + value
        sent = sum(map(len, tiles.values()))
        self.counts.add("registers", "out", reads=sent)
        self.counts.add("network", "out", sent, len(total))
        self._store(total)

    def _store(self, total: Tile) -> None:
        above = self._above()
        if "out" in self.buffered:
            room = set(self.values.positions("out", self.step.ranges))
            if not total.keys() <= room:
                raise UnsoundMappingError("out: the buffer has no room for these sums")
        above.update(total)
        self.counts.add("buffer" if "out" in self.buffered else "dram", "out", writes=len(total))

    def _multiply(self, lanes: list[Lane]) -> None:
        """One cycle: every lane multiplies once and adds."""
        self.cycles += 1
        self.points += len(lanes)
        if any(high - low != 1 for lane in lanes for low, high in lane.ranges.values()):
            raise UnsoundMappingError(f"{self.nest.name}: loops end before single products")
        a, b = (self._operands(operand, lanes) for operand in ("in", "weight"))
        products: dict[Place, tuple[int, int]] = {}
        for lane in lanes:
            (p,) = self.values.positions("out", lane.ranges)
            products[lane.at] = p, a[lane.at] * b[lane.at]
            self.done[p] = self.done.get(p, 0) + 1
        if "out" in self.registered:
            for at, (p, value) in products.items():
                tile = self.registers["out"].get(at, {})
                if p not in tile:
                    raise UnsoundMappingError(f"out: element {at} has no register for its sum")
                tile[p] += value
                self.counts.add("registers", "out", int(p not in self.fresh[at]), 1)
                self.fresh[at].discard(p)
            return
        sharing: dict[int, list[Place]] = {}
        for at, (p, _) in products.items():
            sharing.setdefault(p, []).append(at)
        for places in sharing.values():
            self._may_add(places)
        total = dict.fromkeys(sharing, 0) | self._back(sharing)
        for p, value in products.values():
            total[p] += value
        self.counts.add("network", "out", len(lanes), len(total))
        self._store(total)

    def _operands(self, operand: str, lanes: list[Lane]) -> dict[Place, int]:
        """The value of an operand that each lane multiplies; zero where there is padding."""
        wanted = {lane.at: self.values.positions(operand, lane.ranges) for lane in lanes}
        if operand not in self.registered:
            got = self._fetch(operand, wanted.values())
            return {at: got[p[0]] if p else 0 for at, p in wanted.items()}
        found = {}
        for at, positions in wanted.items():
            tile = self.registers[operand].get(at, {})
            if positions and positions[0] not in tile:
                raise UnsoundMappingError(f"{operand}: element {at} does not hold what it reads")
            found[at] = tile[positions[0]] if positions else 0
            self.counts.add("registers", operand, reads=len(positions))
        return found
