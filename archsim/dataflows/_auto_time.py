"""How long a mapping takes, in closed form: its resources, and the slots that its tiles wait for.

A slot is held from the request of a tile until its last use, or from the first partial sum until
the result is stored; where all slots of an operand are held, the array waits. So lives of tiles,
times their length, over the slots, is a time that no schedule is under. Beside these there are the
busiest resource, the vector unit that is served results in crowds and has nothing to do between
them, the first tile that everything waits for, and the last result.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archsim.dataflows._auto_cost import PS, Measured
from archsim.ir.mapping import REUSED
from archsim.ir.target import Target

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Nest:
    """A loop order, the operands held, and tiles that may be filled beside those in use."""

    order: tuple[str, ...]
    keep: frozenset[str]
    spare: int


class Flow:
    """Tiles of candidates on their way through memory, array and vector unit."""

    def __init__(
        self, of: Measured, target: Target, nest: Nest, slots: dict[str, Ints], at: Ints
    ) -> None:
        self.of, self.target, self.nest, self.at = of, target, nest, at
        self.steps = {r: v[at] for r, v in of.steps.items()}
        self.sizes = {t: v[at] for t, v in of.sizes.items()}
        self.slots = {t: v[at] for t, v in slots.items()}
        self.tiles = of.tiles[at]
        self.scale = of.all_tiles[at] / self.tiles  # of all cases, to the largest

    def ahead_s(self, room_bytes: Ints) -> Floats:
        """Transfers of weights that slots take before they are needed.

        While the stage before is at work, and so that their loader can turn to the next stage while
        this one is. Nothing where the tiles take more than half of what a stage may: two others
        hold theirs then.
        """
        held = np.minimum(self.slots["weight"], self.steps["n"] * self.steps["k"])
        ahead_s = held * self.sizes["weight"] / self.target.dram_bytes_per_s
        return np.where(2 * room_bytes <= self.target.buffer_bytes, ahead_s, 0.0)

    def time_s(
        self, busy_s: Floats, array_s: Floats, port_s: Floats, lag_s: Floats, *, spills: bool
    ) -> Floats:
        """From the first request to the last store.

        Args:
            busy_s: of the busier of array and vector unit.
            array_s: of the array.
            port_s: that transfers hold the memory's port.
            lag_s: from a tile's last cycle until its result is there.
            spills: partial sums leave the chip between reduction tiles.
        """
        target, steps = self.target, self.steps
        rate, latency_s = target.dram_bytes_per_s, target.dram_latency_s
        tile_s = busy_s / self.of.all_tiles[self.at]
        outs = steps["b"] * steps["m"] * steps["n"]
        vector_s = self.of.vector_ps[self.at] / PS / (outs * self.scale)
        store_s = self.of.stored.ps[self.at] / PS / (outs * self.scale)
        done_s = vector_s if target.fused else store_s
        first_s = (self.sizes["in"] + self.sizes["weight"]) / rate + latency_s
        waits_s = self._loads(tile_s)
        waits_s = np.maximum(waits_s, self._results(tile_s, lag_s + done_s))
        pass_s = array_s / self.of.all_tiles[self.at]
        waits_s = np.maximum(waits_s, self._served(pass_s, vector_s, lag_s, spills=spills))
        if spills:
            waits_s = np.maximum(waits_s, self._again(tile_s, lag_s))
        others_s = (self._together() - 1) * store_s  # results that are held with the last one
        last_s = lag_s + vector_s + store_s + self._drain(tile_s, store_s)
        idle_s = latency_s + tile_s + lag_s + vector_s  # of the port, before the last store
        moved_s = port_s + np.maximum(idle_s - others_s, 0.0)
        waits_s = np.maximum(waits_s, self._crowded(tile_s))
        waits_s = np.asarray(waits_s * self.scale)
        return np.maximum(np.maximum(busy_s, waits_s) + first_s + last_s, moved_s)

    def _crowded(self, tile_s: Floats) -> Floats:
        """Time where loads crowd: tiles that are held together come in together.

        They do so in one pass of the loops inside the one they are held across, beside what every
        tile needs; in the other passes the port waits for the array.
        """
        rate = self.target.dram_bytes_per_s
        often = np.zeros(len(tile_s))
        crowds: list[tuple[Floats, Floats]] = []  # share of the passes, and time of each tile there
        for operand in ("in", "weight"):
            one_s, steps = self.sizes[operand] / rate, self.steps[REUSED[operand]]
            if operand not in self.nest.keep:
                often = often + one_s
                continue
            used, lives = self._held(operand)
            together = (steps > 1) & (used > steps)
            spread_s = np.where(together, 0.0, one_s * lives / self.tiles)
            often = often + spread_s
            crowds.append((np.where(together, 1 / steps, 0.0), one_s))
        total = np.zeros(len(tile_s))
        for mask in range(1 << len(crowds)):
            share, port_s = np.ones(len(tile_s)), often
            for i, (part, one_s) in enumerate(crowds):
                inside = bool(mask >> i & 1)
                share = share * (part if inside else 1 - part)
                port_s = port_s + one_s * inside
            total = total + share * np.maximum(tile_s, port_s)
        return self.tiles * total

    def _together(self) -> Ints:
        """Results that are held together, and leave in one pass of the loops inside k."""
        used, _ = self._held("out")
        steps = self.steps["k"]
        return np.where(steps > 1, (used - 1) // np.maximum(steps - 1, 1), 1)

    def _drain(self, tile_s: Floats, store_s: Floats) -> Floats:
        """Time of the last results that are held together, beyond that of the array beside them."""
        return np.asarray((self._together() - 1) * np.maximum(store_s - tile_s, 0.0))

    def _held(self, operand: str) -> tuple[Ints, Ints]:
        """Tiles of the array during which a tile of an operand is held, and lives of its tiles."""
        rank, order = REUSED[operand], self.nest.order
        if operand not in self.nest.keep:
            return np.ones_like(self.tiles), self.tiles
        inside = np.ones_like(self.tiles)
        for inner in order[order.index(rank) + 1 :]:
            inside = inside * self.steps[inner]
        return (self.steps[rank] - 1) * inside + 1, self.tiles // self.steps[rank]

    def _loads(self, tile_s: Floats) -> Floats:
        """Least time that slots of operands allow, from the request of a tile to its last use.

        The port may be at a tile of the other operand first, where that comes in as often.
        """
        target, least = self.target, np.zeros(len(tile_s))
        often = {operand: self._held(operand)[1] for operand in ("in", "weight")}
        for operand, other in (("in", "weight"), ("weight", "in")):
            used, lives = self._held(operand)
            both = self.sizes[operand] + self.sizes[other] * (often[other] >= lives)
            life_s = both / target.dram_bytes_per_s + target.dram_latency_s
            turns = (lives - 1) // np.maximum(self.slots[operand], 1)
            here = turns * (life_s + used * tile_s) + used * tile_s
            least = np.maximum(least, np.where(self.sizes[operand] > 0, here, 0.0))
        return least

    def _results(self, tile_s: Floats, done_s: Floats) -> Floats:
        """Least time that slots of results allow, from the first partial sum until it is gone."""
        used, lives = self._held("out")
        slots = np.maximum(self.slots["out"], 1)
        turns, place = (lives - 1) // slots, (lives - 1) % slots
        # the slot of the last result is first taken after those before it have begun
        apart = np.where(self._inside() == 1, used, 1)
        here = turns * (used * tile_s + done_s) + (used + place * apart) * tile_s
        return np.where(self.sizes["out"] > 0, here, 0.0)

    def _inside(self) -> Ints:
        """Tiles of the array in one pass of the loops inside k: results that end together."""
        order, inside = self.nest.order, np.ones_like(self.tiles)
        for inner in order[order.index("k") + 1 :]:
            inside = inside * self.steps[inner]
        return inside

    def _served(self, tile_s: Floats, vector_s: Floats, lag_s: Floats, *, spills: bool) -> Floats:
        """Time with fused vector ops: they have results in the last pass of a reduction only.

        In the first pass of the next one the array waits for their slots, result by result; in the
        passes between, the vector unit has at most what the spare slots hold. Partial sums that
        spill hold no slots, so that the array waits in the last pass alone.
        """
        if not self.target.fused:
            return np.zeros(len(tile_s))
        crowd, steps = self._inside(), self.steps["k"]
        rounds = self.tiles / (crowd * steps)
        spare = np.maximum(self.slots["out"] - (0 if spills else crowd), 0)
        served_s = np.maximum(crowd - spare, 0) * vector_s + lag_s
        passes = 1 if spills else 2  # beside the vector unit
        pass_s = crowd * tile_s
        others_s = (steps - passes) * pass_s
        round_s = others_s + np.maximum(served_s, passes * pass_s)
        last_s = np.maximum((steps - 1) * pass_s, 0.0) + crowd * np.maximum(tile_s, vector_s)
        return np.where(steps > 1, (rounds - 1) * round_s + last_s, 0.0)

    def _again(self, tile_s: Floats, lag_s: Floats) -> Floats:
        """Least time of partial sums that leave and come back before they are added to."""
        order, target = self.nest.order, self.target
        between = np.ones_like(self.tiles)
        for inner in order[order.index("k") + 1 :]:
            between = between * self.steps[inner]
        trip_s = 2 * self.sizes["out"] / target.dram_bytes_per_s + target.dram_latency_s
        rounds_s = self.tiles / between * (tile_s + lag_s + trip_s)
        return np.where(self.steps["k"] > 1, rounds_s, 0.0)
