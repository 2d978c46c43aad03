"""What the backward pass of an attention in tiles needs: its operands, products, room on chip.

Integers, or arrays of candidates: the choice of tiles and the mapping that is chosen ask the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from archsim.ir.attention_problem import AttentionProblem, PairTarget
from archsim.ir.target import Cost, Ints, Tiles

# what passes through memory; `sums` are those of the queries between visits
OPERANDS = ("q", "d_out", "stats", "delta", "k", "v", "sums", "d_q", "d_k", "d_v")
PRODUCTS = ("score", "d_shares", "d_v", "d_q", "d_k")
ROW_BITS = 32  # of a row: the logarithm of its sum, and delta, so many bits each


@dataclass(frozen=True)
class BackwardTarget(PairTarget):
    """A multiply-accumulate engine and a vector unit, and what a backward pass costs them.

    Attributes:
        products: cost of tiles of each of the five products.
        points: cycles of the vector unit for (scores, rows) of a tile.
    """

    products: tuple[Callable[[Tiles], Cost], ...]
    points: Callable[[Ints, Ints], Ints]


def product_size(p: AttentionProblem, which: str, q: Any, keys: Any) -> tuple[Any, Any, Any]:
    """Rows, columns and reduction of a product of one problem of a step."""
    return {
        "score": (q, keys, p.key_dim),
        "d_shares": (q, keys, p.value_dim),
        "d_v": (keys, p.value_dim, q),
        "d_q": (q, p.key_dim, keys),
        "d_k": (keys, p.key_dim, q),
    }[which]


def room(p: AttentionProblem, b: Any, q: Any, kv: Any, depth: int, resident: frozenset[str]) -> Any:
    """On-chip bytes of the tiles; integers, or arrays of candidates.

    Operands have slots: keys, values and the sums of their gradients `depth`; what passes one more,
    for a tile of queries is used again in the second half of its step, when the next one has been
    scored; tiles of scores, of their gradients and of what the vector unit makes of both `depth`.
    """
    bits = {word: dtype.stored_bits for word, dtype in p.dtypes.items()}
    width = {"q": p.key_dim * bits["q"], "d_out": p.value_dim * bits["out"], "stats": ROW_BITS}
    passing = sum(n for word, n in {**width, "delta": ROW_BITS}.items() if word not in resident)
    held = {"k": p.key_dim * bits["k"], "v": p.value_dim * bits["v"]}
    held_bits = sum(n for word, n in held.items() if word not in resident)
    sums = (p.key_dim + p.value_dim) * p.partial_bits
    queries = 2 * p.key_dim * p.partial_bits  # what has been summed, and the sum
    scores = q * kv * (2 * p.partial_bits + 2 * bits["shares"])
    total = b * ((depth + 1) * q * passing + depth * (kv * (held_bits + sums) + q * queries))
    return np.ceil((total + b * depth * scores) / 8).astype(np.int64)
