"""Executes the backward pass of an attention in tiles with numpy, holding what the mapping holds.

Gradients must equal those of `softmax(mask(q k^T)) v` by their definition. Sums of the queries lie
in memory between visits: a first visit that reads them, or a later one that does not, is unsound.
"""

from __future__ import annotations

import numpy as np

from archsim.ir.flash_backward import BackwardStep, FlashBackwardMapping
from archsim.ir.flash_backward_room import OPERANDS, ROW_BITS
from archsim.testing.functional import Held, UnsoundMappingError
from archsim.testing.functional_attention import AttentionValues, Floats

Gradients = tuple[Floats, Floats, Floats]  # of queries, keys and values


def defined_gradients(values: AttentionValues, d_out: Floats) -> Gradients:
    """Gradients by definition: whole rows of scores, case by case.

    Args:
        values: queries, keys and values.
        d_out: gradient of the result, (problems, rows, width of a value).
    """
    d_q, d_k, d_v = (np.zeros_like(x) for x in (values.q, values.k, values.v))
    base = 0
    for case in values.problem.cases:
        some, m, n = slice(base, base + case.b), case.m, case.keys
        q, k, v = values.q[some, :m], values.k[some, :n], values.v[some, :n]
        seen = values.mask(case, (0, m), (0, n))
        scores = np.where(seen, q @ k.transpose(0, 2, 1), -np.inf)
        shares = np.exp(scores - scores.max(axis=2, keepdims=True))
        shares /= shares.sum(axis=2, keepdims=True)
        given = d_out[some, :m]
        d_shares = given @ v.transpose(0, 2, 1)
        d_scores = shares * (d_shares - (shares * d_shares).sum(axis=2, keepdims=True))
        d_q[some, :m] = d_scores @ k
        d_k[some, :n] = d_scores.transpose(0, 2, 1) @ q
        d_v[some, :n] = shares.transpose(0, 2, 1) @ given
        base += case.b
    return d_q, d_k, d_v


def execute_attention_backward(mapping: FlashBackwardMapping, seed: int = 0) -> dict[str, int]:
    """Run a mapping and compare with the definition; returns the bytes of each operand that moved.

    Raises:
        UnsoundMappingError: when a gradient differs or something is not held.
    """
    return _Execution(mapping, seed).run()


class _Execution:
    def __init__(self, mapping: FlashBackwardMapping, seed: int) -> None:
        self.mapping, self.problem = mapping, mapping.problem
        self.values = AttentionValues(self.problem, seed)
        shape = (*self.values.q.shape[:2], self.problem.value_dim)
        self.d_out: Floats = np.random.default_rng(seed + 1).normal(size=shape)
        self.logs, self.delta = self._kept()
        self.d_q = np.full_like(self.values.q, np.nan)  # nothing is there before a first visit
        self.d_k, self.d_v = np.zeros_like(self.values.k), np.zeros_like(self.values.v)
        self.held = Held("keys", 1)
        self.sums: dict[tuple[object, ...], tuple[Floats, Floats]] = {}
        self.done = np.zeros(self.d_q.shape[:2], dtype=np.int64)  # last visits of each row
        self.moved = dict.fromkeys(OPERANDS, 0)
        self.points = 0

    def _kept(self) -> tuple[Floats, Floats]:
        """What the forward pass keeps of each row: logarithm of its sum, and delta."""
        logs, delta = (np.zeros(self.values.q.shape[:2]) for _ in range(2))
        base = 0
        for case, out in zip(self.problem.cases, self.values.defined(), strict=True):
            some = slice(base, base + case.b)
            keys = self.values.k[some, : case.keys].transpose(0, 2, 1)
            seen = self.values.mask(case, (0, case.m), (0, case.keys))
            scores = np.where(seen, self.values.q[some, : case.m] @ keys, -np.inf)
            most = scores.max(axis=2)
            sums = np.exp(scores - most[:, :, None]).sum(axis=2)
            logs[some, : case.m] = most + np.log(sums)
            delta[some, : case.m] = (self.d_out[some, : case.m] * out).sum(axis=2)
            base += case.b
        return logs, delta

    def run(self) -> dict[str, int]:
        for step in self.mapping.tiles():
            self._step(step)
        if self.sums or self.held.tiles:
            raise UnsoundMappingError(f"{len(self.sums)} tiles of keys are not closed")
        if self.points != self.mapping.executed:
            raise UnsoundMappingError(
                f"{self.points} scores computed, the mapping says {self.mapping.executed}"
            )
        self._compare()
        return self.moved

    def _step(self, step: BackwardStep) -> None:
        p, some, rows, keys = self.problem, slice(*step.b), slice(*step.q), slice(*step.keys)
        place = (step.b, step.keys)
        if step.opens:
            tile = self.values.k[some, keys], self.values.v[some, keys]
            self.held.enter(place, tile)
            if place in self.sums:
                raise UnsoundMappingError(f"keys {place} open twice")
            self.sums[place] = np.zeros_like(tile[0]), np.zeros_like(tile[1])
            self._move("k", tile[0])
            self._move("v", tile[1])
        k, v = self.held.get(place)
        q, given = self.values.q[some, rows], self.d_out[some, rows]
        self._move("q", q)
        self.moved["d_out"] += p.dtypes["out"].bytes(given.size)
        for word in ("stats", "delta"):
            self.moved[word] += self.logs[some, rows].size * ROW_BITS // 8
        seen = self.values.mask(p.cases[step.case], step.q, step.keys)
        scores = np.where(seen, q @ k.transpose(0, 2, 1), -np.inf)
        shares = np.exp(scores - self.logs[some, rows][:, :, None])
        d_scores = shares * (given @ v.transpose(0, 2, 1) - self.delta[some, rows][:, :, None])
        d_k, d_v = self.sums[place]
        d_v += shares.transpose(0, 2, 1) @ given
        d_k += d_scores.transpose(0, 2, 1) @ q
        self._queries(step, d_scores @ k)
        self.points += scores.size
        if step.closes:
            self.held.leave(place)
            self.d_k[some, keys], self.d_v[some, keys] = self.sums.pop(place)
            for word, tile_ in (("k", d_k), ("v", d_v)):
                self.moved[f"d_{word}"] += p.dtypes[word].bytes(tile_.size)

    def _queries(self, step: BackwardStep, more: Floats) -> None:
        """Add to the sums of the queries, which lie in memory between visits."""
        some, rows = slice(*step.b), slice(*step.q)
        if self.done[some, rows].any():
            raise UnsoundMappingError(f"queries {step.q} are visited after their last visit")
        self.done[some, rows] += step.last
        sums = -(-more.size * self.problem.partial_bits // 8)
        if not step.first:
            more = more + self.d_q[some, rows]
            self.moved["sums"] += sums
        self.d_q[some, rows] = more
        if step.last:
            self._move("q", more, "d_q")
        else:
            self.moved["sums"] += sums

    def _move(self, word: str, tile: Floats, to: str = "") -> None:
        self.moved[to or word] += self.problem.dtypes[word].bytes(tile.size)

    def _compare(self) -> None:
        base = 0
        want = defined_gradients(self.values, self.d_out)
        for case in self.problem.cases:
            some = slice(base, base + case.b)
            if not self.done[some, : case.m].all():
                raise UnsoundMappingError(f"{self.problem.name}: rows without a last visit")
            for name, got, gradient, extent in zip(
                ("queries", "keys", "values"), (self.d_q, self.d_k, self.d_v), want,
                (case.m, case.keys, case.keys), strict=True,
            ):  # fmt: skip
                if not np.allclose(got[some, :extent], gradient[some, :extent], atol=1e-9):
                    raise UnsoundMappingError(f"{self.problem.name}: gradients of {name} differ")
            base += case.b
