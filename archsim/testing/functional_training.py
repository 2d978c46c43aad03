"""Executes a training step of a small Transformer op by op with numpy, as its graph says.

Proves that the backward pass is one: the gradients that its ops leave are those of the loss that
its forward ops compute. An op reads only what other ops have written under the names that it gives;
in a block that repeats, saved activations are those of the iteration. Elements keep their row-major
order from writer to reader, so heads are cut out of rows as they lie.
"""

from __future__ import annotations

from collections.abc import Callable
from math import erf, pi, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Access, Op
from archsim.ir.tensor import Role
from archsim.lowering.primitives import total
from archsim.testing.functional_attention import Floats

EPSILON = 1e-6  # of norms
Ints = NDArray[np.int64]


class Training:
    """One step on random weights.

    Args:
        graph: of a training phase.
        seed: of weights and tokens.
    """

    def __init__(self, graph: OpGraph, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.graph = graph
        self.weights: dict[str, Floats] = {}  # (iterations, elements)
        vocab = graph.tensors["embed.table"].shape[0]
        self.given = {
            name: rng.integers(0, vocab, graph.tensors[name].elements)
            for name in ("ids", "targets")
        }
        for block, op in graph.ops():
            for access in op.reads:
                tensor = graph.tensors[access.tensor]
                if tensor.role is Role.WEIGHT and tensor.name not in self.weights:
                    size = (block.count, tensor.elements)
                    self.weights[tensor.name] = 0.4 * rng.normal(size=size)

    def run(self) -> tuple[float, dict[str, Floats]]:
        """The loss over all tokens, and the gradient of every weight."""
        self.now: dict[str, Any] = dict(self.given)
        self.saved: dict[str, list[Floats]] = {}
        self.gradients: dict[str, Floats] = {}
        for block in self.graph.blocks:
            for i in range(block.count):
                self._iteration(block, i)
        return float(self.now["losses"].sum()), self.gradients

    def _iteration(self, block: Block, i: int) -> None:
        if i:
            self.now |= {read: self.now[carried] for read, carried in block.carry}
        names = {a.tensor for op in block.ops for a in (*op.reads, *op.writes)}
        saved = [name for name in names if self._role(name) is Role.SAVED]
        backward = block.name.endswith(".backward")
        if backward:
            self.now |= {name: self.saved[name].pop() for name in saved}
        self.at = block.count - 1 - i if backward else i
        for op in block.ops:
            self._op(op)
        for name in () if backward else saved:
            self.saved.setdefault(name, []).append(self.now[name])

    def _role(self, name: str) -> Role:
        return self.graph.tensors[name].role

    def _op(self, op: Op) -> None:
        reads = [self._value(a) for a in op.reads if self._role(a.tensor) is not Role.GRADIENT]
        if op.is_mac:
            results = [_product(op, reads)]
        else:
            kind = op.op_class.removesuffix("_backward")
            found = RULES[kind](op, *reads)
            results = list(found) if isinstance(found, tuple) else [found]
        for access, value in zip(op.writes, results, strict=True):
            if self._role(access.tensor) is Role.GRADIENT:
                self._add(access, value)
            else:
                self.now[access.tensor] = value.ravel()

    def _value(self, access: Access) -> Any:
        if self._role(access.tensor) is Role.WEIGHT:
            return self.weights[access.tensor][self.at]
        return self.now[access.tensor]

    def _add(self, access: Access, value: Floats) -> None:
        weight = self.weights[access.tensor.removesuffix(".grad")]
        whole = self.gradients.setdefault(access.tensor, np.zeros_like(weight))
        whole[self.at, : value.size] += value.ravel()


def _product(op: Op, reads: list[Floats]) -> Floats:
    """A product over its ranks, each tensor in the view that its access gives, and a bias."""
    orders = ["".join(dim.terms[0][0] for dim in a.dims) for a in (*op.reads[:2], op.writes[0])]
    views = [
        value.reshape([op.ranks[rank] for rank in order])
        for order, value in zip(orders[:2], reads[:2], strict=True)
    ]
    out = np.einsum(f"{orders[0]},{orders[1]}->{orders[2]}", *views)
    return np.asarray(out + reads[2] if len(reads) > 2 else out)


def _size(op: Op, value: Floats) -> Floats:
    return value.reshape(op.ranks["M"], op.ranks["N"])


def _embedding(op: Op, first: Any, *more: Any) -> Floats:
    """Rows of a table, what is added to them, and back: sums of rows by where they came from."""
    width = op.ranks["N"]
    if op.name == "embed":
        return np.asarray(more[0].reshape(-1, width)[first])
    if op.name == "embed.dw":
        table = np.zeros((int(first.max()) + 1, width))
        np.add.at(table, first, _size(op, more[0]))
        return table
    if op.name.endswith(".dw"):
        touched = op.writes[0].touched or 0
        return np.asarray(_size(op, first).reshape(-1, touched // width, width).sum(axis=0))
    rows = _size(op, first)
    for table in more:
        known = table[: table.size // width * width].reshape(-1, width)
        rows = rows + known[np.arange(len(rows)) % min(len(known), _used(op, width))]
    return rows


def _used(op: Op, width: int) -> int:
    touched = op.reads[1].touched
    return touched // width if touched else op.ranks["M"]


def _norm(op: Op, first: Floats, second: Floats, *more: Floats) -> Any:
    if op.name.endswith(".dw"):
        d, shape = _size(op, first), _normed(_size(op, second), centred=len(op.writes) > 1)[0]
        return ((d * shape).sum(axis=0), d.sum(axis=0))[: len(op.writes)]
    if op.name.endswith(".dx"):
        centred = bool(op.row_primitives["mul"] > 2)
        shape, rate = _normed(_size(op, second), centred=centred)
        d = _size(op, first) * more[0]
        mean = d.mean(axis=1, keepdims=True) if centred else 0.0
        return rate * (d - mean - shape * (d * shape).mean(axis=1, keepdims=True))
    shape, _ = _normed(_size(op, first), centred=bool(more))
    return shape * second + (more[0] if more else 0.0)


def _normed(x: Floats, *, centred: bool) -> tuple[Floats, Floats]:
    x = x - x.mean(axis=1, keepdims=True) if centred else x
    rate = 1 / np.sqrt((x**2).mean(axis=1, keepdims=True) + EPSILON)
    return x * rate, rate


def _rotary(op: Op, x: Floats) -> Floats:
    """Pairs of elements turned by an angle of their own, and back."""
    pairs = x.reshape(-1, 2)
    angle = np.arange(len(pairs)) * (-0.7 if op.name.endswith(".dx") else 0.7)
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([c * pairs[:, 0] - s * pairs[:, 1], s * pairs[:, 0] + c * pairs[:, 1]], axis=1)


def _sum(op: Op, *terms: Floats) -> Floats:
    return np.asarray(sum(terms))


def _activation(op: Op, first: Floats, *more: Floats) -> Any:
    """`a(x)` or `a(gate) up`; of a gradient, what each of them gets."""
    if not op.name.endswith(".dx"):
        act, _ = FUNCTIONS[_named(op.primitives, 1 if more else 0)]
        return act(first) * (more[0] if more else 1.0)
    forms = {"relu": {"max": 1}, "silu": {"add": 3}, "gelu_tanh": {"add": 5}, "gelu": {"add": 8}}
    name = next(n for n, p in forms.items() if p.items() <= op.primitives.items())
    act, slope = FUNCTIONS[name]
    if len(more) == 1:
        return first * slope(more[0])
    return first * more[1] * slope(more[0]), first * act(more[0])


def _named(point: dict[str, int], gates: int) -> str:
    """The activation that computes so many primitives at a point."""
    plain = {**point, "mul": point.get("mul", 0) - gates}
    plain = {name: n for name, n in plain.items() if n}
    return next(name for name in FUNCTIONS if total(name).point == plain)


def _slope(of: Callable[[Floats], Floats]) -> Callable[[Floats], Floats]:
    """A derivative by differences of fourth order, exact to about ten digits."""

    def slope(x: Floats) -> Floats:
        h = 1e-5
        return np.asarray((of(x - 2 * h) - 8 * of(x - h) + 8 * of(x + h) - of(x + 2 * h)) / 12 / h)

    return slope


def _gelu(x: Floats) -> Floats:
    return np.asarray(x * (1 + np.vectorize(erf)(x / sqrt(2))) / 2)


def _gelu_tanh(x: Floats) -> Floats:
    return np.asarray(x / (1 + np.exp(-2 * sqrt(2 / pi) * (x + 0.044715 * x**3))))


def _silu(x: Floats) -> Floats:
    return np.asarray(x / (1 + np.exp(-x)))


FUNCTIONS: dict[str, tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]] = {
    "relu": (lambda x: np.maximum(x, 0.0), lambda x: np.asarray(x > 0.0, dtype=np.float64)),
    "silu": (_silu, _slope(_silu)),
    "gelu": (_gelu, _slope(_gelu)),
    "gelu_tanh": (_gelu_tanh, _slope(_gelu_tanh)),
}


def _loss(op: Op, logits: Floats, targets: Ints) -> tuple[Floats, Floats]:
    rows = _size(op, logits)
    shares = _shares(rows)
    at = np.arange(len(rows)), targets
    losses, gradient = -np.log(shares[at]), shares.copy()
    gradient[at] -= 1
    return gradient, losses


def _shares(scores: Floats) -> Floats:
    found = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(found / found.sum(axis=1, keepdims=True))


SCALE = 0.5  # of the scores; any number will do


def _softmax(op: Op, scores: Floats) -> Floats:
    rows = SCALE * _size(op, scores)
    if op.causal:
        # which row is which query of a group of heads is nothing that a gradient depends on
        newest = op.ranks["N"] - op.queries + np.arange(len(rows))[:, None] % op.queries
        place = np.arange(op.ranks["N"])[None, :]
        seen = (place <= newest) & (place > newest - (op.reach or op.ranks["N"]))
        rows = np.where(seen, rows, -np.inf)
    return _shares(rows)


def _attention(op: Op, first: Floats, *more: Floats) -> Floats:
    if op.name.endswith("delta"):
        return np.asarray((_size(op, first) * _size(op, more[0])).sum(axis=1))
    if op.name.endswith("softmax.again"):
        return _softmax(op, first)
    shares, d_shares, delta = _size(op, first), _size(op, more[0]), more[1][:, None]
    return SCALE * shares * (d_shares - delta)


RULES: dict[str, Callable[..., Any]] = {
    "embedding": _embedding,
    "norm": _norm,
    "rotary": _rotary,
    "residual": _sum,
    "activation": _activation,
    "loss": _loss,
    "softmax": _softmax,
    "attention": _attention,
    **dict.fromkeys(
        ("qkv_proj", "out_proj", "ffn", "lm_head"), lambda op, d: _size(op, d).sum(axis=0)
    ),
}
