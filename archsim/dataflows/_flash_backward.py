"""Tiles of the backward pass of attention that move the fewest bytes in a room on chip.

Powers of two and whole extents of problems, queries and keys. No template of a rule: what runs the
backward pass are its ops one by one; this is the least that keeping scores on chip would leave.
"""

from __future__ import annotations

from itertools import product

from archsim.core.errors import Unmappable
from archsim.dataflows._grid import ladder
from archsim.ir.attention_problem import AttentionProblem
from archsim.ir.flash_backward import FlashBackwardMapping

LEAST = 16  # rows and keys of a tile that is tried


def least_traffic(p: AttentionProblem, engine: str, buffer_bytes: int) -> FlashBackwardMapping:
    """The mapping that moves least; of several the one with the largest tiles.

    Raises:
        Unmappable: when no tile fits.
    """
    e = p.largest
    sizes = product(ladder(e.m, min(e.m, LEAST)), ladder(e.keys, min(e.keys, LEAST)))
    tried = [
        FlashBackwardMapping(p, engine, {"b": 1, "q": int(q), "kv": int(kv)}, depth)
        for q, kv in sizes
        for depth in (2, 1)
    ]
    fitting = [one for one in tried if one.room_bytes() <= buffer_bytes]
    if not fitting:
        raise Unmappable(
            f"{p.name}: no tile of the backward pass fits {buffer_bytes} bytes on chip", code="E401"
        )
    return min(fitting, key=lambda one: (sum(one.traffic().values()), -one.room_bytes()))
