"""Executes a cascade of Einsums with numpy, in the loops and with the room that a nest gives it.

Each tile of each Einsum is computed by itself from tiles that are held; a tensor is let go when its
last reader has had it. The result must equal attention by its definition. A nest that reads what is
not complete, or holds more than its footprint says, is unsound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsim.ir.attention_problem import AttentionProblem, Heads
from archsim.ir.cascade import Cascade, Einsum, Nest, NestLoop, Operand, footprint
from archsim.ir.cascade_mapping import OPERANDS, CascadeMapping
from archsim.testing.functional import UnsoundMappingError
from archsim.testing.functional_attention import AttentionValues

Floats = NDArray[np.float64]
Key = tuple[int, ...]
HIDDEN = -1e30  # of a score that a mask rules out: finite, as hardware adds it
STARTS: Mapping[str, float] = {"max": -np.inf, "sum": 0.0, "product": 0.0}


def execute_cascade(mapping: CascadeMapping, seed: int = 0) -> dict[str, int]:
    """Run a mapping and compare with the definition; returns the elements that entered and left.

    Raises:
        UnsoundMappingError: when the result differs or something is not held.
    """
    values = AttentionValues(mapping.problem, seed)
    moved = dict.fromkeys(OPERANDS, 0)
    base = 0
    for case, nest, want in zip(
        mapping.problem.cases, mapping.nests, values.defined(), strict=True
    ):
        some = slice(base, base + case.b)
        inputs = {
            "Q": values.q[some, : case.m],
            "K": values.k[some, : case.keys],
            "V": values.v[some, : case.keys],
        }
        run = Execution(mapping.cascade, nest, inputs, _mask(values, mapping.problem, case))
        got = run.run()
        if not np.allclose(got, want, atol=1e-9):
            raise UnsoundMappingError(f"{mapping.name}: the cascade computes something else")
        for word, tensor in OPERANDS.items():
            moved[word] += run.entered.get(tensor, got.size if word == "out" else 0)
        base += case.b
    return moved


def _mask(
    values: AttentionValues, problem: AttentionProblem, case: Heads
) -> Callable[[tuple[int, int], tuple[int, int]], NDArray[np.bool_]] | None:
    if not problem.masked:
        return None
    return lambda rows, keys: values.mask(case, rows, keys)


@dataclass
class Execution:
    """One cascade on arrays of all problems: queries [b, p, e], keys [b, m, e], values [b, m, f].

    Attributes:
        mask: which keys of a range each query of a range sees; None: all.
        peak: most elements of each tensor that were held at once.
        entered: elements of each input that were brought in.
    """

    cascade: Cascade
    nest: Nest
    inputs: Mapping[str, Floats]
    mask: Callable[[tuple[int, int], tuple[int, int]], NDArray[np.bool_]] | None = None
    peak: dict[str, int] = field(default_factory=dict)
    entered: dict[str, int] = field(default_factory=dict)

    def run(self) -> Floats:
        """The result, as large as the queries."""
        q, v = self.inputs["Q"], self.inputs["V"]
        self.rows, self.keys = q.shape[1], v.shape[1]
        self.out = np.full((q.shape[0], self.rows, v.shape[2]), np.nan)
        self.held: dict[str, dict[Key, Floats]] = {e.name: {} for e in self.cascade.einsums}
        self.old: dict[str, dict[Key, Floats]] = {e.name: {} for e in self.cascade.einsums}
        self.parts: dict[tuple[str, Key], set[int]] = {}
        self.rooms: dict[str, int] = {}  # footprints, each found once
        self.brought: dict[str, set[Any]] = {name: set() for name in self.inputs}
        self.visits = self.cascade.visits("m1")
        self._walk(0, (), self.cascade.einsums)
        left = [name for name, tiles in self.held.items() if tiles]
        if left:
            raise UnsoundMappingError(f"{left[0]}: {len(self.held[left[0]])} tiles left at the end")
        if np.isnan(self.out).any():
            raise UnsoundMappingError("some results are never written")
        return self.out

    @property
    def key_tile(self) -> int:
        """Keys of a block."""
        return int(self.nest.tile["m0"])

    @property
    def blocks(self) -> int:
        """Blocks of keys."""
        return int(-(-self.keys // self.key_tile))

    def _walk(self, level: int, at: Key, einsums: tuple[Einsum, ...]) -> None:
        loops, shared = self.nest.loops, self.nest.shared
        if level == shared and len(einsums) > 1:
            for e in einsums:
                self._walk(level, at, (e,))
            return
        if level == len(loops):
            for e in einsums:
                self._tile(e, at)
            return
        loop = loops[level]
        if loop.rank == "m1" and level < shared:
            self._passes(level, at, einsums)
            return
        for i in self._steps(loop, einsums):
            self._walk(level + 1, (*at, i), einsums)

    def _steps(self, loop: NestLoop, einsums: tuple[Einsum, ...]) -> Iterator[int]:
        """Iterations of a loop; one for Einsums that it does not concern."""
        concerns = loop.rank in ("b", "p") or any(loop.rank in e.space for e in einsums)
        return iter(range(loop.steps if concerns else 1))

    def _passes(self, level: int, at: Key, einsums: tuple[Einsum, ...]) -> None:
        """Every pass over the blocks of keys, each followed by what it completes."""
        walk = tuple(e for e in einsums if "m1" in e.space)
        rest = [e for e in einsums if "m1" not in e.space]
        for n in range(1, max((self.visits[e.name] for e in walk), default=0) + 1):
            own = tuple(e for e in walk if self.visits[e.name] == n)
            for j in range(self.nest.loops[level].steps):
                self._walk(level + 1, (*at, j), own)
            ready = tuple(e for e in rest if self.visits[e.name] == n + 1)
            if ready:
                self._walk(level + 1, (*at, self.blocks - 1), ready)

    def _tile(self, e: Einsum, at: Key) -> None:
        """One tile of one Einsum: `at` are the iterations of all loops."""
        index: dict[str, int] = {}
        for loop, i in zip(self.nest.loops, at, strict=True):
            inner = loop.steps if loop.rank in index else 0
            index[loop.rank] = index.get(loop.rank, 0) * inner + i
        high = self.nest.tile["p"]
        rows = (index["p"] * high, min((index["p"] + 1) * high, self.rows))
        keys = (index["m1"] * self.key_tile, min((index["m1"] + 1) * self.key_tile, self.keys))
        if rows[0] >= rows[1] or keys[0] >= keys[1]:
            return
        arrays = [self._fetch(e, o, index, rows, keys, at) for o in e.inputs]
        tile = _apply(e, arrays)
        if e.name == "QK" and self.mask is not None:
            tile = np.where(self.mask(rows, keys), tile, HIDDEN)
        self._store(e, tile, index, rows)
        self._release(e, index)

    def _key(self, ranks: tuple[str, ...], index: dict[str, int], running: str) -> Key:
        own = [index[r] for r in ("b", "p") if r == "b" or r in ranks]
        if "m1" in ranks and running != "m1":
            own.append(index["m1"])
        return tuple(own)

    def _fetch(
        self,
        e: Einsum,
        o: Operand,
        index: dict[str, int],
        rows: tuple[int, int],
        keys: tuple[int, int],
        at: Key,
    ) -> tuple[Floats, tuple[str, ...]]:
        if o.tensor in self.inputs:
            where = rows if "p" in o.ranks else keys
            tile = self.inputs[o.tensor][index["b"], slice(*where)]
            self._bring(o.tensor, index, at, tile.size)
            ranks = tuple("m0" if r in ("m1", "m0") else r for r in o.ranks)
            return tile, tuple(dict.fromkeys(ranks))
        running = self.cascade.running(o.tensor)
        key = self._key(self.cascade.ranks(o.tensor), index, running)
        ranks = tuple(r for r in o.ranks if r != "m1")
        if o.before and index["m1"] == 0:
            shape = [rows[1] - rows[0], *([self.inputs["V"].shape[2]] if "f" in ranks else [])]
            return np.full(shape, self.cascade.starts[o.tensor]), ranks
        # an Einsum that runs before the one that makes this iteration's value sees the last one
        place = self.old if o.before and self._made(o.tensor, e) else self.held
        found = place[o.tensor].get(key)
        if found is None:
            raise UnsoundMappingError(f"{e.name} reads {o.tensor} {key}, which is not held")
        parts = self.parts.get((o.tensor, key))
        if parts is not None and len(parts) < self.blocks:
            raise UnsoundMappingError(
                f"{e.name} reads {o.tensor} {key} after {len(parts)} of {self.blocks} blocks"
            )
        return found, ranks

    def _made(self, tensor: str, reader: Einsum) -> bool:
        """True when a running tensor's Einsum comes before its reader."""
        order = [e.name for e in self.cascade.einsums]
        return order.index(tensor) < order.index(reader.name)

    def _bring(self, tensor: str, index: dict[str, int], at: Key, size: int) -> None:
        """Count what enters: once for each run of the loop that an operand stays over."""
        held = self.nest.held.get(tensor)
        tile = index["p"] if "p" in self.cascade.ranks(tensor) else index["m1"]
        mark = (at, tile) if held is None else (at[:held], tile)
        if mark not in self.brought[tensor]:
            self.brought[tensor].add(mark)
            self.entered[tensor] = self.entered.get(tensor, 0) + size

    def _store(self, e: Einsum, tile: Floats, index: dict[str, int], rows: tuple[int, int]) -> None:
        running = self.cascade.running(e.name)
        key = self._key(e.ranks, index, running)
        if "m1" in e.space and "m1" not in e.ranks:  # one more block of a reduction
            parts = self.parts.setdefault((e.name, key), set())
            if index["m1"] in parts:
                raise UnsoundMappingError(f"{e.name} {key} takes block {index['m1']} twice")
            parts.add(index["m1"])
            before = self.held[e.name].get(key)
            if before is not None:
                tile = np.maximum(before, tile) if e.operation == "max" else before + tile
        elif running and key in self.held[e.name]:
            self.old[e.name][key] = self.held[e.name][key]
        self.held[e.name][key] = tile
        live = sum(t.size for t in self.held[e.name].values())
        self.peak[e.name] = max(self.peak.get(e.name, 0), live)
        if e.name not in self.rooms:
            self.rooms[e.name] = footprint(self.cascade, self.nest, e.name)
        if live > self.rooms[e.name]:
            raise UnsoundMappingError(f"{e.name}: {live} elements held, more than its footprint")
        done = "m1" not in e.space or "m1" in e.ranks or len(self.parts[e.name, key]) == self.blocks
        if e.name == self.cascade.result and done:
            self.out[index["b"], slice(*rows)] = self.held[e.name].pop(key)

    def _release(self, e: Einsum, index: dict[str, int]) -> None:
        """Let tiles go whose last reader this was."""
        for o in e.inputs:
            if o.tensor in self.inputs:
                continue
            readers = [
                x for x in self.cascade.einsums if any(i.tensor == o.tensor for i in x.inputs)
            ]
            running = self.cascade.running(o.tensor)
            ends = "m1" not in e.space or index["m1"] == self.blocks - 1
            stays = (running or "m1" not in self.cascade.ranks(o.tensor)) and not ends
            if readers[-1] is e and not stays:
                self.held[o.tensor].pop(
                    self._key(self.cascade.ranks(o.tensor), index, running), None
                )


def _apply(e: Einsum, arrays: list[tuple[Floats, tuple[str, ...]]]) -> Floats:
    """The operation on one tile; `m1` is one block here, and no axis."""
    out = tuple(r for r in e.ranks if r != "m1")
    space = tuple(r for r in e.space if r != "m1")
    spread = [_spread(array, ranks, space) for array, ranks in arrays]
    if e.operation == "exp":
        return np.asarray(_order(np.exp(_minus(*spread)), space, out))
    if e.operation == "divide":
        return np.asarray(_order(spread[0] / spread[1], space, out))
    first, *others = spread
    for other in others:
        if e.operation == "product":
            first = first * other
        else:
            first = np.maximum(first, other) if e.operation == "max" else first + other
    axes = tuple(i for i, r in enumerate(space) if r not in out)
    if axes:
        first = first.max(axis=axes) if e.operation == "max" else first.sum(axis=axes)
    return np.asarray(_order(first, tuple(r for r in space if r in out), out))


def _minus(one: Floats, other: Floats) -> Floats:
    return one - other


def _spread(array: Floats, ranks: tuple[str, ...], space: tuple[str, ...]) -> Floats:
    """An array with an axis for each rank of a space, of one where it lacks the rank."""
    order = sorted(range(len(ranks)), key=lambda i: space.index(ranks[i]))
    moved, own = np.transpose(array, order), {ranks[i] for i in order}
    sizes = iter(moved.shape)
    return moved.reshape([next(sizes) if r in own else 1 for r in space])


def _order(array: Floats, ranks: tuple[str, ...], out: tuple[str, ...]) -> Floats:
    return np.transpose(array, [ranks.index(r) for r in out])
