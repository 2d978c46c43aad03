"""What one rank contributes to the closed forms of a nest, for each size of the buffer's tiles."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, prod

import numpy as np
from numpy.typing import NDArray

from archsim.ir.nest import NestLevel, NestLoop
from archsim.ir.nest_check import NestTarget
from archsim.ir.nest_ranks import (
    OPERANDS,
    REDUCED,
    RELEVANT,
    WINDOWS,
    Cut,
    axis_of,
    count,
    largest_extents,
    reached,
    widest,
)
from archsim.ir.op import Kind
from archsim.ir.problem import Problem

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Shape:
    """An op with the levels inside the array: what does not depend on the buffer's tiles."""

    def __init__(self, problem: Problem, inner: tuple[NestLevel, ...]) -> None:
        self.problem, self.inner = problem, inner
        kind = problem.op.kind
        self.own, self.summed = RELEVANT[kind], REDUCED[kind]
        self.extents = largest_extents(problem.op)
        self.macs = prod(self.extents.values())
        self.loops = tuple(self._stepping())
        group = problem.weight.group
        self.scale_bytes = -(-problem.weight.scale_bits // 8) + 1 if group else 0  # of an edge
        self.partial_inside = self._returns()

    def _stepping(self) -> Iterator[tuple[int, NestLoop]]:
        """Loops that step at least once in the whole op, with their level."""
        left = dict(self.extents)
        for i, level in enumerate(self.inner):
            for loop in level.loops:
                if loop.tile < left[loop.rank]:
                    left[loop.rank] = loop.tile
                    yield i, loop

    def _returns(self) -> bool:
        """True when sums reach the buffer before they are complete."""
        held = "out" in self.inner[-1].keeps and len(self.inner) > 1
        loops = [loop for i, loop in self.loops if not loop.axis and (i == 0 or not held)]
        own = [i for i, loop in enumerate(loops) if loop.rank in self.own["out"]]
        outside = loops[: own[-1] + 1 if own else 0] if held else loops
        return any(loop.rank in self.summed for loop in outside)

    def unit(self, rank: str) -> int:
        """Extent that one pass over the array covers: tiles of the buffer are multiples of it."""
        first = next((loop for _, loop in self.loops if loop.rank == rank), None)
        if first is None or first.axis:
            return self.extents[rank]
        return first.tile

    def resident(self, operand: str, target: NestTarget) -> bool:
        """True for an operand that lies on chip as a whole."""
        op = self.problem.op
        tensors = {"in": op.reads[0], "weight": op.reads[1], "out": op.writes[0]}
        return tensors[operand].tensor in target.resident

    def registered(self, operand: str) -> bool:
        """True for an operand that elements keep."""
        return len(self.inner) > 1 and operand in self.inner[1].keeps

    def bytes(self, operand: str) -> float:
        """Bytes of an element."""
        view = self.problem
        return (view.weight_bits if operand == "weight" else view.bits[operand]) / 8

    def elements(self, operand: str) -> float:
        """Elements of an operand that is no window."""
        return float(prod(self.extents[r] for r in self.own[operand]))

    def sent_cuts(self, operand: str, rank: str) -> tuple[Cut, ...]:
        """The inner loops of a rank that decide how often an operand leaves the buffer."""
        held = len(self.inner) > 1 and operand in self.inner[1].keeps
        loops = [loop for i, loop in self.loops if i == 0 or not held]
        own = [
            i for i, loop in enumerate(loops) if not loop.axis and loop.rank in self.own[operand]
        ]
        innermost = (own[-1] if own else -1) if held else len(loops)
        return tuple(
            (loop.tile, "at once" if loop.axis else "in turn" if i <= innermost else "held")
            for i, loop in enumerate(loops)
            if loop.rank == rank
        )


class Rank:
    """One rank's share of each product, one array element for each size of the buffer's tiles.

    Attributes:
        sizes, steps: of tiles, and how many.
        turns, tile_turns: steps one after another inside the array, of all tiles and of a full one.
        sent: by operand, what the rank multiplies its values with that leave the buffer.
        received: the same of values that elements take, each its own copy.
        widest: places of the input that a tile reaches at most (its size where it is no window).
        touched: the same, added up over all tiles.
    """

    def __init__(self, shape: Shape, rank: str, sizes: Ints) -> None:
        extent = shape.extents[rank]
        self.sizes = sizes
        self.steps = np.ceil(extent / sizes)
        loops = [loop for _, loop in shape.loops if loop.rank == rank]
        inside: tuple[Cut, ...] = tuple((p.tile, "at once" if p.axis else "in turn") for p in loops)
        every = [(int(n), "in turn") for n in sizes]
        self.turns = np.array([float(count(extent, (n, *inside), lockstep=True)) for n in every])
        full = [float(count(min(int(n), extent), inside, lockstep=True)) for n in sizes]
        self.tile_turns = np.array(full)
        self.sent: dict[str, Floats] = {}
        self.received: dict[str, Floats] = {}
        tap = next((t for o, t in WINDOWS if o == rank), "")
        windowed = shape.problem.op.kind is Kind.CONV and (tap or rank in ("FH", "FW"))
        for operand in OPERANDS:
            cuts = shape.sent_cuts(operand, rank)
            for found, once in ((self.sent, True), (self.received, False)):
                if operand == "in" and windowed:
                    found[operand] = (
                        _window(shape, rank, tap, sizes, together=once)
                        if tap
                        else np.ones(len(sizes))
                    )
                elif rank in shape.own[operand]:
                    found[operand] = np.full(len(sizes), float(extent))
                else:
                    found[operand] = np.array(
                        [float(count(extent, (n, *cuts), lockstep=once)) for n in every]
                    )
        self.widest, self.touched = sizes.astype(float), np.full(len(sizes), float(extent))
        if windowed and not tap:
            self.widest, self.touched = np.ones(len(sizes)), np.ones(len(sizes))
        elif windowed:
            axis, taps = axis_of(shape.problem.op, height=rank == "OH"), shape.extents[tap]
            whole = (taps, ())
            self.widest = np.array(
                [widest(axis, (extent, int(n)), (taps, taps)) for n in sizes], float
            )
            self.touched = np.array(
                [reached(axis, (extent, ((int(n), "in turn"),)), whole, together=True)
                 for n in sizes], float
            )  # fmt: skip
        elif rank not in shape.own["in"]:
            self.widest, self.touched = np.ones(len(sizes)), np.ones(len(sizes))


def _window(shape: Shape, rank: str, tap: str, sizes: Ints, *, together: bool) -> Floats:
    """Input places along one axis that leave the buffer, added up over all fetches.

    Those that several elements take count once (`together`), or for each of them.
    """
    axis = axis_of(shape.problem.op, height=rank == "OH")
    outs, taps = shape.sent_cuts("in", rank), shape.sent_cuts("in", tap)
    other = (shape.extents[tap], taps)
    found = []
    for n in sizes:
        cuts: tuple[Cut, ...] = ((int(n), "in turn"), *outs)
        found.append(float(reached(axis, (shape.extents[rank], cuts), other, together=together)))
    return np.array(found)


def tile_ladder(extent: int, unit: int, thin: int = 1) -> Ints:
    """Sizes worth trying: the extent in 1, 2, 3, 4, 6, 8, 12 ... even parts, in whole units.

    And parts of a unit, for memories that do not hold one: 1, 2, 4, ... of it.

    Args:
        extent: of the rank.
        unit: that one pass covers.
        thin: keep every so many; the whole, a single unit and 1 always stay.
    """
    parts, sizes, n = ceil(extent / unit), [], 1
    while n < parts:
        sizes += [min(extent, ceil(parts / k) * unit) for k in (n, n + n // 2) if k <= parts]
        n *= 2
    ends = {extent, min(unit, extent), 1}
    small = [ceil(min(unit, extent) / (1 << k)) for k in range(1, unit.bit_length())]
    inner = sorted({*sizes, *small} - ends)[::thin]
    return np.array(sorted({*inner, *ends}), dtype=np.int64)
