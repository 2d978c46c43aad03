"""Executes an attention in tiles with numpy: a running softmax over the keys that are held.

The result must equal `softmax(mask(q k^T)) v` by its definition, row by row. A mapping that skips
keys that some query sees, joins parts wrongly or reads a tile that it does not hold is unsound.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsim.ir.attention_problem import AttentionProblem, Heads
from archsim.ir.flash import FlashMapping, FlashStep
from archsim.testing.functional import Held, UnsoundMappingError

Floats = NDArray[np.float64]


class AttentionValues:
    """Random queries, keys and values as DRAM holds them, and the definition over them."""

    def __init__(self, problem: AttentionProblem, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.problem = problem
        most, batch = problem.largest, sum(case.b for case in problem.cases)
        self.q: Floats = rng.normal(size=(batch, most.m, problem.key_dim))
        self.k: Floats = rng.normal(size=(batch, most.keys, problem.key_dim))
        self.v: Floats = rng.normal(size=(batch, most.keys, problem.value_dim))
        if problem.one_cache:
            self.v = self.k[:, :, : problem.value_dim]

    def mask(self, case: Heads, rows: tuple[int, int], keys: tuple[int, int]) -> NDArray[np.bool_]:
        """Which keys of a range each row of a range sees, by the definition of the mask."""
        p = self.problem
        query = np.arange(*rows)[:, None] // max(1, case.m // p.queries)
        place = np.arange(*keys)[None, :]
        newest = case.keys - p.queries + query if p.causal else np.full_like(query, case.keys - 1)
        seen = place <= newest
        return seen if p.reach is None else seen & (place > newest - p.reach)

    def defined(self) -> list[Floats]:
        """The result by its definition, one array a ragged case."""
        out, base = [], 0
        for case in self.problem.cases:
            some = slice(base, base + case.b)
            scores = self.q[some, : case.m] @ self.k[some, : case.keys].transpose(0, 2, 1)
            scores = np.where(self.mask(case, (0, case.m), (0, case.keys)), scores, -np.inf)
            shares = np.exp(scores - scores.max(axis=2, keepdims=True))
            shares /= shares.sum(axis=2, keepdims=True)
            out.append(shares @ self.v[some, : case.keys])
            base += case.b
        return out


@dataclass
class Sums:
    """What runs on for a tile of queries, one entry a part of the context."""

    most: list[Floats] = field(default_factory=list)
    total: list[Floats] = field(default_factory=list)
    out: list[Floats] = field(default_factory=list)

    def take(self, part: int, scores: Floats, values: Floats) -> None:
        """One more tile of keys: FlashAttention-2, algorithm 1."""
        while len(self.most) <= part:
            rows = scores.shape[:2]
            self.most.append(np.full(rows, -np.inf))
            self.total.append(np.zeros(rows))
            self.out.append(np.zeros((*rows, values.shape[2])))
        most = np.maximum(self.most[part], scores.max(axis=2))
        safe = np.where(np.isneginf(most), 0.0, most)  # a row that has seen no key yet
        shares = np.exp(scores - safe[:, :, None])
        kept = np.exp(self.most[part] - safe)
        self.total[part] = kept * self.total[part] + shares.sum(axis=2)
        self.out[part] = kept[:, :, None] * self.out[part] + shares @ values
        self.most[part] = most

    def joined(self) -> Floats:
        """The result over all parts."""
        most = np.maximum.reduce(self.most)
        kept = [np.exp(m - most) for m in self.most]
        total = sum(k * s for k, s in zip(kept, self.total, strict=True))
        out = sum(k[:, :, None] * o for k, o in zip(kept, self.out, strict=True))
        return np.asarray(out / np.asarray(total)[:, :, None])


def execute_attention(
    mapping: FlashMapping, seed: int = 0, values: AttentionValues | None = None
) -> dict[str, int]:
    """Run a mapping and compare with the definition; returns the bytes of each operand that moved.

    Operands that lie on chip count none. `values` have a definition of their own; default: random
    ones with that of the problem's mask.

    Raises:
        UnsoundMappingError: when the result differs or something is not held.
    """
    return _Execution(mapping, values or AttentionValues(mapping.problem, seed)).run()


class _Execution:
    def __init__(self, mapping: FlashMapping, values: AttentionValues) -> None:
        self.mapping, self.problem = mapping, mapping.problem
        self.values = values
        slots = mapping.slots()
        self.held = {word: Held(word, slots[word]) for word in "kv"}
        self.held["q"] = Held("q", mapping.depth)
        self.moved = dict.fromkeys(("q", "k", "v", "out"), 0)
        most = self.problem.largest
        self.dram = np.zeros((len(self.values.q), most.m, self.problem.value_dim))
        self.written = np.zeros(self.dram.shape[:2], dtype=np.int64)
        self.sums: dict[Any, Sums] = {}
        self.points = 0

    def run(self) -> dict[str, int]:
        for step in self.mapping.tiles():
            self._step(step)
        for name, operand in self.held.items():
            if operand.tiles:
                raise UnsoundMappingError(f"{name}: {len(operand.tiles)} tiles left at the end")
        if self.sums:
            raise UnsoundMappingError(f"{len(self.sums)} tiles of queries are not closed")
        if self.points != self.mapping.executed:
            raise UnsoundMappingError(
                f"{self.points} scores computed, the mapping says {self.mapping.executed}"
            )
        self._compare()
        return {word: 0 if word in self.mapping.resident else n for word, n in self.moved.items()}

    def _step(self, step: FlashStep) -> None:
        some, rows, p = slice(*step.b), slice(*step.q), self.problem
        at, place = (step.b, step.q), (step.b, *step.keys)
        if step.opens:
            self.held["q"].enter(at, self.values.q[some, rows])
            self._move("q", self.values.q[some, rows])
            if at in self.sums:
                raise UnsoundMappingError(f"queries {at} open twice")
            self.sums[at] = Sums()
        if step.enter:
            for word, all_of in (("k", self.values.k), ("v", self.values.v)):
                tile = [all_of[some, slice(*keys)] for keys in step.keys]
                self.held[word].enter(place, tile)
                if word == "k" or not p.one_cache:
                    self._move(word, np.concatenate(tile, axis=1))
        if at not in self.sums:
            raise UnsoundMappingError(f"queries {at} are used before they are brought")
        queries, case = self.held["q"].get(at), p.cases[step.case]
        tiles = zip(step.keys, self.held["k"].get(place), self.held["v"].get(place), strict=True)
        for part, (keys, k, v) in enumerate(tiles):
            scores = queries @ k.transpose(0, 2, 1)
            seen = self.values.mask(case, step.q, keys)
            self.sums[at].take(part, np.where(seen, scores, -np.inf), v)
            self.points += scores.size
        if step.leave:
            for word in "kv":
                self.held[word].leave(place)
        if step.closes:
            self.held["q"].leave(at)
            self.dram[some, rows] = self.sums.pop(at).joined()
            self.written[some, rows] += 1
            self._move("out", self.dram[some, rows])

    def _move(self, word: str, tile: Floats) -> None:
        self.moved[word] += self.problem.dtypes[word].bytes(tile.size)

    def _compare(self) -> None:
        base = 0
        for case, want in zip(self.problem.cases, self.values.defined(), strict=True):
            times = self.written[base : base + case.b, : case.m]
            if not np.all(times == 1):
                raise UnsoundMappingError(
                    f"{self.mapping.name}: outputs are written {times.min()}-{times.max()} times"
                )
            if not np.allclose(self.dram[base : base + case.b, : case.m], want, atol=1e-9):
                raise UnsoundMappingError(
                    f"{self.mapping.name}: the mapping computes something else"
                )
            base += case.b
