"""Executes a mapping tile by tile with numpy, holding only what the mapping says is held.

The result must equal the op's definition. A mapping that misses an edge, counts a product twice or
reads a tile that it does not hold is unsound, and the message says where.
"""

from __future__ import annotations

from collections import OrderedDict
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsim.ir.mapping import Mapping, Step
from archsim.ir.moved import tile_bytes
from archsim.ir.op import Kind, Op
from archsim.ir.problem import Problem

Array = NDArray[np.int64]
Key = tuple[tuple[int, int], ...]


class UnsoundMappingError(AssertionError):
    """The mapping does not compute its op, or touches what it does not hold."""


class Values:
    """Random operands of a problem as DRAM holds them, and the op's definition over them."""

    def __init__(self, problem: Problem, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.problem, self.op = problem, problem.op
        self.batch = sum(e.b for e in problem.cases)
        e = problem.largest
        self.weight: Array = rng.integers(-8, 8, (self.batch, e.k, e.n))
        if self.op.kind is Kind.CONV:
            r, w = self.op.ranks, self.op.window
            assert w is not None
            self.input: Array = rng.integers(-8, 8, (r["B"], r["G"], r["IC"], *w.in_size))
        else:
            self.input = rng.integers(-8, 8, (self.batch, e.m, e.k))

    def places(self, b: tuple[int, int], m: tuple[int, int], k: tuple[int, int]) -> Array:
        """Flat input positions of a tile of b x m x k patches; -1 where a window reads padding."""
        bs, ms, ks = (np.arange(*r) for r in (b, m, k))
        if self.op.kind is not Kind.CONV:
            _, em, ek = self.input.shape
            flat: Array = (bs[:, None, None] * em + ms[None, :, None]) * ek + ks[None, None, :]
            return flat
        r, w = self.op.ranks, self.op.window
        assert w is not None
        image, oh, ow = np.unravel_index(ms, (r["B"], r["OH"], r["OW"]))
        ic, fh, fw = np.unravel_index(ks, (r["IC"], r["FH"], r["FW"]))
        y = (oh * w.stride[0])[:, None] + (fh * w.dilation[0])[None, :] - w.pad[0]
        x = (ow * w.stride[1])[:, None] + (fw * w.dilation[1])[None, :] - w.pad[1]
        high, wide = w.in_size
        inside = (y >= 0) & (y < high) & (x >= 0) & (x < wide)
        channel = bs[:, None, None] * r["IC"] + ic[None, None, :]
        plane = image[None, :, None] * (r["G"] * r["IC"]) + channel
        inner = (plane * high + y[None]) * wide + x[None]
        return np.asarray(np.where(inside[None], inner, -1))

    def patches(self, places: Array) -> Array:
        """Input values at positions; zero where there is padding."""
        return np.asarray(np.where(places < 0, 0, self.input.ravel()[np.maximum(places, 0)]))

    def defined(self) -> list[Array]:
        """The op's result by its definition, one array a ragged case."""
        out, base = [], 0
        for e in self.problem.cases:
            patches = self.patches(self.places((base, base + e.b), (0, e.m), (0, e.k)))
            out.append(patches @ self.weight[base : base + e.b, : e.k, : e.n])
            base += e.b
        return out


class Held:
    """The tiles of one operand that lie on chip, oldest first."""

    def __init__(self, name: str, slots: int) -> None:
        self.name, self.slots = name, slots
        self.tiles: OrderedDict[Key, Any] = OrderedDict()
        self.entered = self.bytes = self.partial_bytes = 0

    def enter(self, key: Key, tile: Any) -> None:
        """Bring a tile in; the buffer must have room."""
        if key in self.tiles:
            raise UnsoundMappingError(f"{self.name}: tile {key} enters twice")
        self.tiles[key] = tile
        self.entered += 1
        if len(self.tiles) > self.slots:
            raise UnsoundMappingError(f"{self.name}: {len(self.tiles)} tiles in {self.slots} slots")

    def get(self, key: Key) -> Any:
        """A tile that is held."""
        if key not in self.tiles:
            raise UnsoundMappingError(f"{self.name}: tile {key} is read but not held")
        return self.tiles[key]

    def leave(self, key: Key) -> Any:
        """Let a tile go; slots are a queue, so it must be the oldest."""
        if next(iter(self.tiles), None) != key:
            raise UnsoundMappingError(f"{self.name}: tile {key} leaves out of order")
        return self.tiles.pop(key)


def execute(mapping: Mapping, seed: int = 0) -> dict[str, int]:
    """Run a mapping and compare with the op; returns how many tiles of each operand entered.

    Raises:
        UnsoundMappingError: when the result differs or something is not held.
    """
    return {name: operand.entered for name, operand in _run(mapping, seed).items()}


def executed_bytes(mapping: Mapping, seed: int = 0) -> dict[str, int]:
    """The same, but returns the bytes of each operand that moved, and those of partial sums.

    Tiles of a convolution's input have the bytes that they are charged for, which are no fewer than
    they reach.

    Raises:
        UnsoundMappingError: as `execute`.
    """
    held = _run(mapping, seed)
    return {**{name: o.bytes for name, o in held.items()}, "partial": held["out"].partial_bytes}


def _run(mapping: Mapping, seed: int) -> dict[str, Held]:
    """Every tile in order; what each operand has moved."""
    problem = mapping.problem
    values = Values(problem, seed)
    e = problem.largest
    # what memory holds before: a sum that reads it instead of beginning at zero goes wrong
    dram = np.full((values.batch, e.m, e.n), 7919, dtype=np.int64)
    written = np.zeros_like(dram)
    everything = 1 << 30
    held = {
        name: Held(name, mapping.buffers[name].slots if name in mapping.buffers else everything)
        for name in ("in", "weight", "out")
    }
    points = 0
    for step in mapping.tiles():
        _step(mapping, values, step, held, dram, written)
        points += prod(step.size(rank) for rank in "bmnk")
    if points != problem.op.points():
        raise UnsoundMappingError(
            f"{problem.op.name}: {points} products, the op has {problem.op.points()}"
        )
    for name, operand in held.items():
        if operand.tiles:
            raise UnsoundMappingError(f"{name}: {len(operand.tiles)} tiles left at the end")
    _compare(problem.op, values, dram, written)
    return held


def _step(
    mapping: Mapping,
    values: Values,
    step: Step,
    held: dict[str, Held],
    dram: Array,
    written: Array,
) -> None:
    b, m, n, k = (step.ranges[r] for r in "bmnk")
    keys: dict[str, Key] = {"in": (b, m, k), "weight": (b, k, n), "out": (b, m, n)}
    moves = {t: mapping.moves(t, step.first, step.last) for t in keys}
    where = np.s_[slice(*b), slice(*m), slice(*n)]
    if moves["in"].enter:
        held["in"].enter(keys["in"], _input_tile(mapping, values, step))
        held["in"].bytes += tile_bytes(mapping, "in", {rank: step.size(rank) for rank in "bmk"})
    if moves["weight"].enter:
        tile = values.weight[slice(*b), slice(*k), slice(*n)].copy()
        held["weight"].enter(keys["weight"], tile)
        held["weight"].bytes += int(mapping.problem.weight_bytes(np.array([tile.size]))[0])
    if moves["out"].enter:
        # a reduction that goes on brings its partial sums back
        start = np.zeros_like(dram[where]) if step.first["k"] else dram[where].copy()
        held["out"].enter(keys["out"], start)
        held["out"].partial_bytes += 0 if step.first["k"] else _bytes(mapping, start, "partial")
    stored, data = held["in"].get(keys["in"])
    places = values.places(b, m, k)
    at = np.searchsorted(stored, np.maximum(places, 0))
    at = np.minimum(at, max(len(stored) - 1, 0))
    if np.any((places >= 0) & (stored[at] != places)):
        raise UnsoundMappingError(f"in: tile {keys['in']} lacks elements it needs")
    patches = np.where(places < 0, 0, data[at])
    held["out"].get(keys["out"])[...] += patches @ held["weight"].get(keys["weight"])
    for name in ("in", "weight"):
        if moves[name].leave:
            held[name].leave(keys[name])
    if moves["out"].leave:
        tile = dram[where] = held["out"].leave(keys["out"])
        if step.last["k"]:
            held["out"].bytes += _bytes(mapping, tile, "out")
        else:
            held["out"].partial_bytes += _bytes(mapping, tile, "partial")
        written[where] += step.last["k"]


def _bytes(mapping: Mapping, tile: Array, width: str) -> int:
    return -(-tile.size * mapping.problem.bits[width] // 8)


def _input_tile(mapping: Mapping, values: Values, step: Step) -> tuple[Array, Array]:
    """The distinct input elements of a tile, which must not exceed what it is charged for."""
    b, m, k = (step.ranges[r] for r in "bmk")
    places = np.unique(values.places(b, m, k))
    places = places[places >= 0]
    b_size, m_size, k_size = (np.array([step.size(r)]) for r in "bmk")
    moved = mapping.problem.in_elements(b_size, m_size, k_size, mapping.tile["m"])
    charged = int(moved[0])
    if len(places) > charged:
        raise UnsoundMappingError(f"in: a tile reaches {len(places)} elements, {charged} are moved")
    if not len(places):
        places = np.zeros(1, dtype=np.int64)
    return places, values.input.ravel()[places]


def _compare(op: Op, values: Values, dram: Array, written: Array) -> None:
    base = 0
    for e, want in zip(values.problem.cases, values.defined(), strict=True):
        got = dram[base : base + e.b, : e.m, : e.n]
        times = written[base : base + e.b, : e.m, : e.n]
        if not np.all(times == 1):
            raise UnsoundMappingError(
                f"{op.name}: outputs are written {times.min()}-{times.max()} times"
            )
        if not np.array_equal(got, want):
            raise UnsoundMappingError(f"{op.name}: the mapping computes something else")
        base += e.b
