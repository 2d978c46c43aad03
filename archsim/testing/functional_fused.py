"""Executes a fused feed-forward block tile by tile with numpy, holding only what its nest says.

The result must equal the block's definition: sums of the first products, an activation of complete
sums, the last product. The activation here is `max(gate, 0) up`, or `max(up, 0)`: it is not linear,
so that it shows when it is given sums that are not complete.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from archsim.ir.mapping import Moves
from archsim.ir.nest_fused import FusedNest, FusedProblem, FusedStep
from archsim.ir.tensor import DTYPES
from archsim.testing.families import Family
from archsim.testing.functional import Held, UnsoundMappingError

Array = NDArray[np.int64]
GARBAGE = 7919  # what memory and sums hold before anything is written there


def activation(sums: Sequence[Array]) -> Array:
    """The hidden tile of complete sums."""
    gate = np.maximum(sums[0], 0)
    return np.asarray(reduce(np.multiply, sums[1:], gate))


class FusedValues:
    """Random operands of a block as DRAM holds them, and the definition over them."""

    def __init__(self, problem: FusedProblem, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        p, self.problem = problem, problem
        b = sum(n for n, _ in p.cases)
        self.x: Array = rng.integers(-4, 5, (b, p.largest["m"], p.k))
        self.firsts: Array = rng.integers(-4, 5, (p.firsts, b, p.k, p.f))
        self.last: Array = rng.integers(-4, 5, (b, p.f, p.n))

    def defined(self) -> list[Array]:
        """The block's result by its definition, one array a ragged case."""
        found, base = [], 0
        for b, m in self.problem.cases:
            some = slice(base, base + b)
            hidden = activation([self.x[some, :m] @ w[some] for w in self.firsts])
            found.append(hidden @ self.last[some])
            base += b
        return found


def execute_fused(nest: FusedNest, seed: int = 0) -> dict[str, tuple[int, int]]:
    """Run a nest and compare with the block; returns elements read and written by operand.

    Raises:
        UnsoundMappingError: when the result differs or something is not held.
    """
    return _Execution(nest, seed).run()


class _Execution:
    def __init__(self, nest: FusedNest, seed: int) -> None:
        self.nest, self.values = nest, FusedValues(nest.problem, seed)
        self.held = {name: Held(name, nest.slots(name)) for name in ("in", "first", "last", "out")}
        self.moved = {name: [0, 0] for name in self.held}
        self.sums: dict[Any, list[Array]] = {}  # of first products, by hidden tile
        self.hidden: dict[Any, Array] = {}
        e = nest.problem.largest
        self.dram = np.full((len(self.values.x), e["m"], e["n"]), GARBAGE, dtype=np.int64)
        self.written = np.zeros_like(self.dram)
        self.added: dict[Any, int] = {}  # hidden columns that are in a tile of sums
        self.macs = 0

    def run(self) -> dict[str, tuple[int, int]]:
        for step in self.nest.tiles():
            (self._last if step.last else self._first)(step)
        for name, operand in self.held.items():
            if operand.tiles:
                raise UnsoundMappingError(f"{name}: {len(operand.tiles)} tiles left at the end")
        if self.sums:
            raise UnsoundMappingError(f"{len(self.sums)} hidden tiles are not complete")
        if self.macs != self.nest.problem.macs:
            raise UnsoundMappingError(f"{self.macs} products, not {self.nest.problem.macs}")
        self._compare()
        return {name: (reads, writes) for name, (reads, writes) in self.moved.items()}

    def _tile(self, step: FusedStep, operand: str, ranks: str, of: Array) -> Array:
        """A tile of an operand, brought in where the step says."""
        key = tuple(step.ranges[rank] for rank in ranks)
        if step.enter[operand]:
            where: tuple[Any, ...] = (..., *(slice(*r) for r in key))
            tile = of[where].copy()
            self.held[operand].enter(key, tile)
            self.moved[operand][0] += tile.size
        return np.asarray(self.held[operand].get(key))

    def _leave(self, step: FusedStep, operand: str, ranks: str) -> Any:
        key = tuple(step.ranges[rank] for rank in ranks)
        return self.held[operand].leave(key) if step.leave[operand] else None

    def _first(self, step: FusedStep) -> None:
        """A tile of the first products: sums of a hidden tile, which the last k completes."""
        x = self._tile(step, "in", "bmk", self.values.x)
        weights = self._tile(step, "first", "bkf", self.values.firsts)
        at = tuple(step.ranges[rank] for rank in "bmf")
        if step.opens:
            if self.sums or at in self.hidden:
                raise UnsoundMappingError(f"hidden tile {at} begins where there is no room")
            shape = (len(weights), *(high - low for low, high in at))
            self.sums[at] = list(np.zeros(shape, dtype=np.int64))
        if at not in self.sums:
            raise UnsoundMappingError(f"hidden tile {at} goes on, but never began")
        self.sums[at] = [total + x @ w for total, w in zip(self.sums[at], weights, strict=True)]
        self.macs += sum(total.size for total in self.sums[at]) * x.shape[2]
        if step.closes:
            self.hidden[at] = activation(self.sums.pop(at))
            if len(self.hidden) > self.nest.hidden_tiles:
                raise UnsoundMappingError(f"{len(self.hidden)} hidden tiles are on chip")
        self._leave(step, "in", "bmk")
        self._leave(step, "first", "bkf")

    def _last(self, step: FusedStep) -> None:
        """A tile of the last product: the hidden tile is added to its outputs."""
        at = tuple(step.ranges[rank] for rank in "bmf")
        if at not in self.hidden:
            raise UnsoundMappingError(f"hidden tile {at} is read but not complete")
        weight = self._tile(step, "last", "bfn", self.values.last)
        key = tuple(step.ranges[rank] for rank in "bmn")
        where = tuple(slice(*r) for r in key)
        if step.enter["out"]:
            start = np.zeros_like(self.dram[where]) if step.opens else self.dram[where].copy()
            self.held["out"].enter(key, start)
            self.moved["out"][0] += 0 if step.opens else start.size
        total = self.held["out"].get(key)
        total += self.hidden[at] @ weight
        done = self.added.get(key, 0)
        self.added[key] = done + weight.shape[1]
        if (done == 0, self.added[key] == self.nest.problem.f) != (step.opens, step.closes):
            raise UnsoundMappingError(f"out: the sum of {key} begins or ends elsewhere")
        self.macs += total.size * weight.shape[1]
        if step.ranges["n"][1] == self.nest.problem.n:
            del self.hidden[at]
        self._leave(step, "last", "bfn")
        result = self._leave(step, "out", "bmn")
        if result is not None:
            self.dram[where] = result
            self.written[where] += step.closes
            self.moved["out"][1] += result.size

    def _compare(self) -> None:
        base = 0
        for (b, m), want in zip(self.nest.problem.cases, self.values.defined(), strict=True):
            times = self.written[base : base + b, :m]
            if not np.all(times == 1):
                words = f"outputs are written {times.min()}-{times.max()} times"
                raise UnsoundMappingError(f"{self.nest.name}: {words}")
            if not np.array_equal(self.dram[base : base + b, :m], want):
                raise UnsoundMappingError(f"{self.nest.name}: the nest computes something else")
            base += b


def _verify(nest: FusedNest, charged: FusedNest, seed: int) -> None:
    moved, want = execute_fused(nest, seed), charged.traffic()
    if moved != want:
        raise UnsoundMappingError(f"{moved} elements moved, {want} are charged")


def _moves(nest: FusedNest, step: FusedStep, operand: str) -> Moves | None:
    return Moves(step.enter[operand], step.leave[operand]) if operand in step.enter else None


def _with_moves(nest: FusedNest, step: FusedStep, operand: str, moves: Moves) -> FusedStep:
    enter, leave = {**step.enter, operand: moves.enter}, {**step.leave, operand: moves.leave}
    return replace(step, enter=enter, leave=leave)


OWN = {"in": "bmk", "first": "bkf", "last": "bfn", "out": "bmn"}
FUSED = Family(
    name="fused feed-forward",
    operands=("in", "first", "last", "out"),
    verify=_verify,
    ranges=lambda step: step.ranges,
    with_range=lambda step, rank, to: replace(step, ranges={**step.ranges, rank: to}),
    tile=lambda nest, step, operand: [step.ranges.get(rank) for rank in OWN[operand]],
    moves=_moves,
    with_moves=_with_moves,
    sums=lambda step: {"opens": step.opens, "closes": step.closes},
    with_sum=lambda step, which, value: replace(step, **{which: value}),
)


@st.composite
def fused_nests(draw: st.DrawFn) -> FusedNest:
    """Small feed-forward blocks in any tiles: with a gate or without, of experts or not."""
    cases = tuple(
        (draw(st.integers(1, 3)), draw(st.integers(1, 9))) for _ in range(draw(st.integers(1, 3)))
    )
    k, f, n = (draw(st.integers(1, 9)) for _ in range(3))
    dtypes = dict.fromkeys(("in", "first", "hidden", "last", "out"), DTYPES["int8"])
    p = FusedProblem("up", cases, k, f, n, draw(st.sampled_from([1, 2])), dtypes, 32)
    tile = {rank: draw(st.integers(1, extent)) for rank, extent in p.largest.items()}
    keep = frozenset(t for t in ("in", "out") if draw(st.booleans()))
    return FusedNest(p, "array", tile, keep, ahead=draw(st.booleans()))
