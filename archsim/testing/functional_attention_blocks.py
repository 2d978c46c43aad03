"""Block-sparse attention by its definition: whole sequences under a mask, then cut into rows.

What a mapping executes are rows of blocks with the keys of their blocks side by side. Here they are
taken out of whole sequences, and what must come of them is dense attention under the mask, written
with no notion of rows or cases.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from archsim.ir.attention_problem import AttentionProblem
from archsim.lowering.block_sparse import BlockSparse
from archsim.testing.functional_attention import AttentionValues, Floats


class BlockValues(AttentionValues):
    """Rows of blocks of random sequences, and the masked attention of these.

    Args:
        problem: what scores, softmax and values were lowered to.
        blocks: the mask.
        lengths: tokens and new tokens of each sequence, a whole number of blocks.
        heads: key heads of a sequence.
        causal: a query sees no later key.
        seed: of the values.
    """

    def __init__(
        self,
        problem: AttentionProblem,
        blocks: BlockSparse,
        lengths: Sequence[tuple[int, int]],
        heads: int,
        *,
        causal: bool,
        seed: int = 0,
    ) -> None:
        super().__init__(problem, seed)
        rng = np.random.default_rng(seed)
        size, most = blocks.block, problem.largest
        each = most.m // size  # query heads that share a key head
        rows: list[tuple[Floats, Floats, Floats, Floats]] = []
        for keys, new in lengths:
            for _ in range(heads):
                q = rng.normal(size=(new, each, problem.key_dim))
                k = rng.normal(size=(keys, problem.key_dim))
                v = rng.normal(size=(keys, problem.value_dim))
                whole = dense(q, k, v, mask(blocks, keys, new, causal=causal))
                for i in range((keys - new) // size, keys // size):
                    own = slice(i * size - keys + new, (i + 1) * size - keys + new)
                    seen = [
                        t
                        for j in range(keys // size)
                        if blocks.sees(i, j, causal=causal)
                        for t in range(j * size, (j + 1) * size)
                    ]
                    rows.append((q[own], k[seen], v[seen], whole[own]))
        rows.sort(key=lambda row: len(row[1]))  # in the order of the cases
        self.out = [row[3].reshape(-1, problem.value_dim) for row in rows]
        for b, (queries, keys_, values, _) in enumerate(rows):
            self.q[b] = queries.reshape(-1, problem.key_dim)
            self.k[b, : len(keys_)] = keys_
            self.v[b, : len(values)] = values

    def defined(self) -> list[Floats]:
        """The rows of masked attention, one array a ragged case."""
        found, base = [], 0
        for case in self.problem.cases:
            found.append(np.stack(self.out[base : base + case.b]))
            base += case.b
        return found


def mask(blocks: BlockSparse, keys: int, new: int, *, causal: bool) -> NDArray[np.bool_]:
    """Which keys each of the last `new` tokens is scored against, by tokens."""
    found = np.zeros((new, keys), dtype=bool)
    for row in range(new):
        place = keys - new + row
        for key in range(keys):
            near = blocks.sees(place // blocks.block, key // blocks.block, causal=causal)
            found[row, key] = near and (not causal or key <= place)
    return found


def dense(q: Floats, k: Floats, v: Floats, seen: NDArray[np.bool_]) -> Floats:
    """Attention of queries (tokens, heads, width) over all keys under a mask."""
    scores = np.einsum("thd,sd->ths", q, k)
    scores = np.where(seen[:, None, :], scores, -np.inf)
    shares = np.exp(scores - scores.max(axis=2, keepdims=True))
    shares /= shares.sum(axis=2, keepdims=True)
    return np.asarray(np.einsum("ths,sd->thd", shares, v))
