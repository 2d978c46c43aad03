"""Attention of one device of a partition in numpy: problems of heads, caches, partial softmaxes.

The rest of a device is in `functional_devices`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from archsim.ir.op import Op
from archsim.testing.functional_attention import Floats
from archsim.testing.functional_slices import Model, Place


class Heads:
    """The rules of ops between the projections."""

    model: Model
    place: Place
    now: dict[str, Any]
    stats: dict[str, Any]

    def _keys(self, name: str) -> Any:
        """Keys or values of tokens, heads apart, with the tokens' places."""
        value = self.now[name]
        places = self.stats.get(f"places {name}", self.place.tokens)
        if value.ndim == 2:
            batch = len(value) // len(places)
            value = value.reshape(batch, -1, *self.place.heads(value.shape[1]))
        return value, places

    def _kv_append(self, op: Op, *new: Floats) -> list[Floats]:
        out = []
        for access, x in zip(op.writes, new, strict=True):
            cache = np.array(self.now[access.tensor])
            b, _, heads, wide = cache.shape
            x = x.reshape(b, -1, heads, wide)  # noqa: PLW2901
            if x.shape[1] == 1 and not self.place.newest:
                out.append(cache)
                continue
            cache[:, cache.shape[1] - x.shape[1] :] = x
            out.append(cache)
        return out

    def _problems(self, op: Op, q: Floats) -> Floats:
        """Queries, as rows of problems: sequence and key head, query and head of its group."""
        wide, b = op.ranks["K"], op.ranks["B"]
        batch = q.shape[0] // op.queries
        x = q.reshape(batch, op.queries, b // batch, -1, wide).transpose(0, 2, 1, 3, 4)
        return x.reshape(b, -1, wide)

    def _heads_apart(self, name: str, b: int) -> Floats:
        value, _ = self._keys(name)
        return np.asarray(value.transpose(0, 2, 1, 3).reshape(b, value.shape[1], -1))

    def _attention_score(self, op: Op, q: Floats, _: Any) -> Floats:
        name = op.reads[1].tensor
        rows, keys = self._problems(op, q), self._heads_apart(name, op.ranks["B"])
        scores = rows @ keys.transpose(0, 2, 1) / np.sqrt(op.ranks["K"])
        if scores.shape != tuple(op.ranks[r] for r in "BMN"):
            raise ValueError(f"{op.name} has {scores.shape} scores")
        if self.model.op(op.name).causal:
            places = self.stats.get(f"places {name}", self.place.seen)
            mine = np.repeat(self.place.tokens, op.ranks["M"] // op.queries)
            hidden = places[None, :] > mine[:, None]
            if hidden.any() and not op.causal:
                raise ValueError(f"{op.name} has keys to mask, and is not causal")
            scores = np.where(hidden[None], -np.inf, scores)
        return np.asarray(scores)

    def _softmax(self, op: Op, *parts: Any) -> Floats:
        if op.name.rpartition(".")[2] == "join":
            return self._join(op)
        scores = parts[0]
        most = np.maximum(scores.max(axis=2, keepdims=True), -1e30)
        shares = np.exp(scores - most)
        total = shares.sum(axis=2, keepdims=True)
        self.stats[op.writes[0].tensor] = (most, total)
        return np.asarray(shares / np.maximum(total, 1e-300))

    def _attention_value(self, op: Op, shares: Floats, _: Any) -> Floats:
        values = self._heads_apart(op.reads[1].tensor, op.ranks["B"])
        out = self._rows(op, shares @ values)
        most, total = self.stats[op.reads[0].tensor]
        self.stats[op.writes[0].tensor] = tuple(
            self._rows(op, np.broadcast_to(x, (*shares.shape[:2], values.shape[2])))
            for x in (most, total)
        )
        return out

    def _rows(self, op: Op, x: Floats) -> Floats:
        """Back from problems to tokens x features."""
        b, m, wide = x.shape
        batch = self.place.attending(b)
        group = m // op.queries
        y = x.reshape(batch, b // batch, op.queries, group, wide).transpose(0, 2, 1, 3, 4)
        return y.reshape(batch * op.queries, -1)

    def _join(self, op: Op) -> Floats:
        names = [a.tensor for a in op.reads]
        whole: Floats = joined([(self.now[n], self.stats[n]) for n in names])[0]
        return whole


def joined(parts: list[Any]) -> Any:
    """Partial results of a softmax into one, with its maxima and sums."""
    most = np.max([m for _, (m, _) in parts], axis=0)
    scale = [np.exp(m - most) * total for _, (m, total) in parts]
    total = np.sum(scale, axis=0)
    out = np.sum([x * s for (x, _), s in zip(parts, scale, strict=True)], axis=0) / total
    return out, (most, total)
