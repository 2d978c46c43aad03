"""The on-chip room of a fused feed-forward nest, by operand, and the reasons to refuse one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archsim.core.errors import Unmappable

if TYPE_CHECKING:
    from archsim.ir.nest_fused import FusedNest


def room_bytes(nest: FusedNest) -> dict[str, int]:
    """On-chip bytes of each operand's tiles, sums and hidden tiles included."""
    p, t = nest.problem, nest.tile
    hidden = t["b"] * t["m"] * t["f"]
    out = t["b"] * t["m"] * t["n"]
    summed = nest.steps("f") > 1
    width = p.partial_bits if summed else p.dtypes["out"].bits
    # sums that leave and come back take the room of `out` a second time
    outs = nest.slots("out") * (2 if nest.spills else 1)
    first = p.dtypes["first"].bytes(t["b"] * t["k"] * t["f"])
    room = {
        "in": nest.slots("in") * p.dtypes["in"].bytes(t["b"] * t["m"] * t["k"]),
        "first": p.firsts * nest.slots("first") * first,
        "hidden": -(-p.firsts * hidden * p.partial_bits // 8)
        + nest.hidden_tiles * p.dtypes["hidden"].bytes(hidden),
        "last": nest.slots("last") * p.dtypes["last"].bytes(t["b"] * t["f"] * t["n"]),
        "out": outs * -(-out * width // 8),
    }
    gone = nest.resident - {"out"} if summed else nest.resident
    return {operand: size for operand, size in room.items() if operand not in gone}


def check(nest: FusedNest, buffer_bytes: int) -> None:
    """Refuse a nest that misses a rank, or that does not fit.

    Raises:
        Unmappable: with the reason.
    """
    from archsim.ir.nest_fused import RANKS

    missing = [rank for rank in RANKS if nest.tile.get(rank, 0) < 1]
    if missing:
        raise Unmappable(f"{nest.name}: rank {missing[0]} is missed: it has no tile")
    if nest.keep - {"in", "out"}:
        raise Unmappable(f"{nest.name}: only in and out stay over the loop over f")
    room = nest.room_bytes()
    if sum(room.values()) > buffer_bytes:
        parts = ", ".join(f"{operand} {n}" for operand, n in room.items())
        raise Unmappable(
            f"{nest.name}: tiles need {sum(room.values())} bytes on chip ({parts}), "
            f"{buffer_bytes} are free"
        )
