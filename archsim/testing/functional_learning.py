"""The backward pass of one device of a partition in numpy: loss, gradients, their sums.

Scores are not shifted by a maximum in the loss: logits are small here. What a gradient is compared
with is in `functional_parallel`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from archsim.ir.graph import OpGraph
from archsim.ir.op import Op
from archsim.ir.tensor import Role
from archsim.testing.functional_attention import Floats
from archsim.testing.functional_heads import Heads
from archsim.testing.functional_training import FUNCTIONS


class Learning(Heads):
    """The rules of the loss and of ops of a backward pass."""

    graph: OpGraph
    at: int
    gradients: dict[tuple[str, int], Floats]

    def _loss(self, op: Op, logits: Floats, _: Any, *sums: Floats) -> list[Floats]:
        targets = self.place.targets - self.place.words(logits.shape[1])
        shares = np.exp(logits)
        total = sums[0][:, :1] if sums else shares.sum(axis=1, keepdims=True)
        rows = np.arange(len(logits))
        here = (targets >= 0) & (targets < logits.shape[1])
        gradient = shares / total
        if logits.shape[1] * (self.place.words(1) + 1) > self.model.shape.vocab:  # padded columns
            first = self.place.words(logits.shape[1])
            gradient[:, max(0, self.model.shape.vocab - first) :] = 0.0
        gradient[rows[here], targets[here]] -= 1.0
        return [gradient, np.zeros(len(logits))]

    def sums_of_logits(self, logits: Floats) -> Floats:
        """What devices add up for the loss: exponentials of each token, those of real words."""
        first = self.place.words(logits.shape[1])
        real = logits[:, : max(0, self.model.shape.vocab - first)]
        total = np.exp(real).sum(axis=1)
        return np.stack([total, np.zeros(len(total))], axis=1)

    def backward(self, op: Op, reads: list[Any]) -> list[Any]:
        """What an op of a backward pass yields."""
        if op.is_mac and op.op_class != "attention_backward":
            return [self._product_back(op, reads[0], reads[1])]
        rules: dict[str, Callable[..., Any]] = {
            "attention_backward": self._attention_back,
            "norm_backward": self._norm_back,
            "activation_backward": self._activation_back,
            "residual_backward": lambda _, *terms: np.asarray(sum(terms)),
            "rotary_backward": lambda _, x: self.place.turned(x, back=True),
            "embedding_backward": self._embedding_back,
        }
        found = rules.get(op.op_class, _of_bias)(op, *reads)
        return found if isinstance(found, list) else [found]

    def _product_back(self, op: Op, a: Floats, b: Floats) -> Floats:
        orders = ["".join(d.terms[0][0] for d in x.dims) for x in (*op.reads[:2], op.writes[0])]
        views = [v.reshape([op.ranks[r] for r in order])
                 for order, v in zip(orders[:2], (a, b), strict=True)]  # fmt: skip
        return np.asarray(np.einsum(f"{orders[0]},{orders[1]}->{orders[2]}", *views))

    def _norm_back(self, op: Op, d: Floats, x: Floats, *more: Floats) -> list[Floats]:
        wide = op.ranks["N"]
        d, x = d.reshape(-1, wide), x.reshape(-1, wide)
        centred = len(self.model.op(op.name.rpartition(".")[0]).reads) > 2
        y = x - x.mean(axis=1, keepdims=True) if centred else x
        rate = 1 / np.sqrt((y**2).mean(axis=1, keepdims=True) + 1e-6)
        y = y * rate
        if op.name.endswith(".dw"):
            return [(d * y).sum(axis=0), d.sum(axis=0)][: len(op.writes)]
        d = d * more[0]
        mean = d.mean(axis=1, keepdims=True) if centred else 0.0
        return [rate * (d - mean - y * (d * y).mean(axis=1, keepdims=True))]

    def _activation_back(self, op: Op, d: Floats, *reads: Floats) -> list[Floats]:
        act, slope = FUNCTIONS["silu"]
        if len(reads) == 1:
            return [d * slope(reads[0])]
        return [d * reads[1] * slope(reads[0]), d * act(reads[0])]

    def _embedding_back(self, op: Op, first: Any, *more: Floats) -> Floats:
        access = op.writes[0]
        size = self.graph.tensors[access.tensor].shape
        found = np.zeros(size)
        if op.name == "embed.dw":
            here = self.place.ids - self.place.words(size[0])
            known = (here >= 0) & (here < size[0])
            np.add.at(found, here[known], more[0][known])
            return found
        places = np.tile(self.place.tokens, self.place.batch)
        np.add.at(found, places, first)
        return found

    def _attention_back(self, op: Op, first: Any, *more: Any) -> Floats:
        """Gradients of attention, in problems of heads: see `_backward_attention`."""
        name, b = op.name.partition("attn.")[2], op.ranks.get("B", 0)
        scaled = first / np.sqrt(self.model.head_dim)

        def problems(x: Floats) -> Floats:
            return self._problems_of(x, b, op.queries)

        def keys() -> Floats:
            return self._heads_apart(op.reads[1].tensor, b)

        rules: dict[str, Callable[[], Floats]] = {
            "score.again": lambda: self._attention_score(op, first, None),
            "softmax.again": lambda: self._softmax(op, first),
            "softmax.dscores": lambda: first * (more[0] - more[1][..., None]),
            "delta": lambda: self._delta(first, more[0]),
            "value.dshares": lambda: problems(first) @ keys().swapaxes(1, 2),
            "value.dv": lambda: self._keys_back(first.swapaxes(1, 2) @ problems(more[0])),
            "score.dq": lambda: self._rows(op, scaled @ keys()),
            "score.dk": lambda: self._keys_back(scaled.swapaxes(1, 2) @ problems(more[0])),
        }
        return np.asarray(rules[name]())

    def _delta(self, d: Floats, out: Floats) -> Floats:
        """The sum of a row's gradients times its results."""
        size = (self.place.batch, -1, d.shape[1] // self.model.head_dim, self.model.head_dim)
        return self._grouped((d * out).reshape(size).sum(axis=3))

    def _grouped(self, rows: Floats) -> Floats:
        """A number for each query and head, as rows of problems."""
        batch, new, heads = rows.shape
        kv = self.place.key_heads
        return rows.reshape(batch, new, kv, heads // kv).swapaxes(1, 2).reshape(batch * kv, -1)

    def _problems_of(self, x: Floats, b: int, queries: int) -> Floats:
        batch = x.shape[0] // queries
        wide = self.model.head_dim
        y = x.reshape(batch, queries, b // batch, -1, wide).transpose(0, 2, 1, 3, 4)
        return y.reshape(b, -1, wide)

    def _keys_back(self, x: Floats) -> Floats:
        """Gradients of keys or values, as tokens x features."""
        b, keys, wide = x.shape
        batch = self.place.batch
        y = x.reshape(batch, b // batch, keys, wide).swapaxes(1, 2)
        return np.asarray(y.reshape(batch * keys, -1))

    def collect(self, op: Op, results: list[Any]) -> None:
        """Keep what an op yields: gradients of weights add up."""
        for access, value in zip(op.writes, results, strict=True):
            if self.graph.tensors[access.tensor].role is Role.GRADIENT:
                key = (access.tensor, self.at)
                self.gradients[key] = self.gradients.get(key, 0.0) + value
            else:
                self.now[access.tensor] = value


def _of_bias(op: Op, d: Floats) -> Floats:
    """The sum of all rows."""
    return np.asarray(d.reshape(-1, op.ranks["N"]).sum(axis=0))
