"""What the tiles of an attention occupy on chip, and which contexts can be cut into parts.

Integers, or arrays of candidates: the choice of tiles and the mapping that is chosen ask the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from archsim.ir.attention_problem import AttentionProblem

STATS_BITS = 64  # a running maximum and a running sum for each row, 32 bits each


def fits_split(tiles: Any, split: Any) -> Any:
    """True where every part has a tile, the last one perhaps fewer than the others."""
    each = -(-tiles // split)
    return (split == 1) | ((split - 1) * each < tiles)


def room(
    p: AttentionProblem,
    b: Any,
    q: Any,
    kv: Any,
    split: Any,
    depth: int,
    slots: dict[str, Any],
    resident: frozenset[str],
) -> Any:
    """On-chip bytes of the tiles.

    Operands, scores and shares have slots; sums and their statistics run on in one place, and each
    product with values lands beside them.

    Args:
        p: the attention.
        b: problems of a tile.
        q: rows of a tile.
        kv: keys of a part of a tile.
        split: parts of the context.
        depth: tiles of scores, shares, queries and results at once.
        slots: tiles of keys (`k`) and of values (`v`) at once.
        resident: operands that lie on chip anyway.
    """
    bits = {word: dtype.stored_bits for word, dtype in p.dtypes.items()}
    outs = b * q * p.value_dim
    total = depth * b * split * q * kv * (p.partial_bits + bits["shares"] + p.extra_bits)
    total = total + (depth + 1) * split * outs * p.partial_bits + 2 * split * b * q * STATS_BITS
    if "q" not in resident:
        total = total + depth * b * q * p.key_dim * bits["q"]
    if "k" not in resident:
        total = total + slots["k"] * b * split * kv * p.key_dim * bits["k"]
    if "v" not in resident and not p.one_cache:
        total = total + slots["v"] * b * split * kv * p.value_dim * bits["v"]
    if "out" not in resident:
        total = total + depth * outs * bits["out"]
    return np.ceil(total / 8).astype(np.int64)
