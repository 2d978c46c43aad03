"""Bytes that a mapping of a systolic array moves between memory and buffer, in closed form.

Tiles come as runs of alike ones (`Mapping.cuts`), so that every edge is counted as large as it is;
operands that lie on chip as a whole move nothing, which the mapping itself does not know.
"""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np

from archsim.ir.mapping import REUSED, Mapping
from archsim.ir.problem import Ints

OWN = {"in": "bmk", "weight": "bkn", "out": "bmn"}


def moved_bytes(mapping: Mapping) -> dict[str, int]:
    """Bytes by operand: `in`, `weight`, `out`, and `partial` sums out of the buffer and back."""
    total = dict.fromkeys((*OWN, "partial"), 0)
    for extents in mapping.problem.cases:
        cuts = dict(mapping.cuts(extents))
        for operand, ranks in OWN.items():
            inner = REUSED[operand]
            times = 1 if operand in mapping.keep else mapping.steps(extents)[inner]
            for parts in product(*(cuts[rank] for rank in ranks)):
                alike = prod(part.count for part in parts)
                size = {rank: part.size for rank, part in zip(ranks, parts, strict=True)}
                if operand != "out":
                    total[operand] += alike * times * tile_bytes(mapping, operand, size)
                    continue
                total["out"] += alike * tile_bytes(mapping, "out", size)
                total["partial"] += 2 * alike * (times - 1) * tile_bytes(mapping, "partial", size)
    return total


def tile_bytes(mapping: Mapping, operand: str, size: dict[str, int]) -> int:
    """Bytes of one tile of an operand on its way, from its extents by rank."""
    problem, bits = mapping.problem, mapping.problem.bits
    if operand == "in":
        one = {rank: _one(size[rank]) for rank in "bmk"}
        n = int(problem.in_elements(one["b"], one["m"], one["k"], mapping.tile["m"])[0])
        return -(-n * bits["in"] // 8)
    elements = prod(size[rank] for rank in OWN["out" if operand == "partial" else operand])
    if operand == "weight":
        return int(problem.weight_bytes(_one(elements))[0])
    return -(-elements * bits[operand] // 8)


def _one(n: int) -> Ints:
    return np.array([n], dtype=np.int64)
