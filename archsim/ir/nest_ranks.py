"""The ranks of a MAC op: which operand each one indexes, and how many elements a tile reaches.

Here are the extents of a case, the relevance of ranks, and the window arithmetic of a convolution's
input. Loops over these ranks are in `nest`.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from archsim.ir.op import Kind, Op
from archsim.ir.reuse import touched_axis

Ints = NDArray[np.int64]
How = Literal["in turn", "at once", "held"]
Turns = list[list[tuple[int, int]]]
Cut = tuple[int, How]  # tile of one loop, and how its pieces follow each other

OPERANDS = ("in", "weight", "out")
RANKS = {
    Kind.GEMM: ("B", "M", "N", "K"),
    Kind.CONV: ("B", "G", "OH", "OW", "OC", "IC", "FH", "FW"),
}
RELEVANT = {
    Kind.GEMM: {
        "in": frozenset({"B", "M", "K"}),
        "weight": frozenset({"B", "K", "N"}),
        "out": frozenset({"B", "M", "N"}),
    },
    Kind.CONV: {
        "in": frozenset({"B", "G", "IC", "OH", "OW", "FH", "FW"}),
        "weight": frozenset({"G", "OC", "IC", "FH", "FW"}),
        "out": frozenset({"B", "G", "OC", "OH", "OW"}),
    },
}
REDUCED = {Kind.GEMM: frozenset({"K"}), Kind.CONV: frozenset({"IC", "FH", "FW"})}
WINDOWS = (("OH", "FH"), ("OW", "FW"))  # of a convolution's input, height first


def case_extents(op: Op) -> tuple[dict[str, int], ...]:
    """Extents by rank of each ragged case; one case where the op is regular."""
    return tuple({rank: ranks[rank] for rank in RANKS[op.kind]} for _, ranks in op.cases())


def largest_extents(op: Op) -> dict[str, int]:
    """Extents that cover every case."""
    cases = case_extents(op)
    return {rank: max(case[rank] for case in cases) for rank in RANKS[op.kind]}


@lru_cache(maxsize=65536)
def count(extent: int, cuts: tuple[Cut, ...], *, lockstep: bool) -> int:
    """Pieces of a rank that follow each other, remainders of nested cuts exact.

    Args:
        extent: of the rank.
        cuts: its loops, outermost first; of one that is held only the first piece counts.
        lockstep: pieces at once count as one (they step together); else each counts.
    """
    if not cuts:
        return 1
    (tile, how), rest = cuts[0], cuts[1:]
    if how == "held" or (how == "at once" and lockstep):
        return count(min(extent, tile), rest, lockstep=lockstep)
    full, edge = divmod(extent, tile)
    whole = full * count(tile, rest, lockstep=lockstep) if full else 0
    return whole + (count(edge, rest, lockstep=lockstep) if edge else 0)


def spread(extent: int, cuts: tuple[Cut, ...]) -> Turns:
    """Pieces (first place, size) of a rank: for each turn those that are there at once."""
    turns = [[(0, extent)]]
    for tile, how in cuts:
        parts = [[_cut(piece, tile) for piece in turn] for turn in turns]
        if how == "at once":
            turns = [[part for some in turn for part in some] for turn in parts]
        else:
            steps = 1 if how == "held" else max(len(some) for turn in parts for some in turn)
            turns = [
                pieces
                for turn in parts
                for step in range(steps)
                if (pieces := [some[step] for some in turn if step < len(some)])
            ]
    return turns


def _cut(piece: tuple[int, int], tile: int) -> list[tuple[int, int]]:
    low, size = piece
    return [(low + at, min(tile, size - at)) for at in range(0, size, tile)]


Axis = tuple[int, int, int, int]  # stride, dilation, padding before, input size


def axis_of(op: Op, height: bool) -> Axis:
    """Geometry of a convolution's window along one axis."""
    w, i = op.window, 0 if height else 1
    assert w is not None
    return w.stride[i], w.dilation[i], w.pad[i], w.in_size[i]


def touched(axis: Axis, o_low: Ints, o_size: Ints, t_low: Ints, t_size: Ints) -> Ints:
    """Distinct in-bounds input places that tiles of outputs x taps reach, one element a tile.

    As `reuse.touched_axis`, for many tiles at once that may start anywhere.
    """
    stride, dilation, pad, size = axis
    common = gcd(stride, dilation)
    period, space = stride // common, dilation // common
    before = pad - o_low * stride - t_low * dilation
    total = np.zeros(np.broadcast_shapes(before.shape, o_size.shape, t_size.shape), np.int64)
    for tap in range(min(period, int(t_size.max(initial=0)))):
        at, remainder = divmod(tap * dilation, stride)
        intervals = np.where(t_size > tap, (t_size - tap - 1) // period + 1, 0)
        low = -((remainder - before) // stride)
        high = (size - 1 + before - remainder) // stride + 1
        inside = _covered(high - at, o_size, space, intervals)
        inside = inside - _covered(low - at, o_size, space, intervals)
        total = total + np.where((low < high) & (intervals > 0), inside, 0)
    return np.asarray(total)


def _covered(before: Ints, length: Ints, space: int, intervals: Ints) -> Ints:
    """Places below `before` in intervals of a length that begin at 0, space, 2 space, ..."""
    joined = np.minimum(before, (intervals - 1) * space + length)
    whole = np.minimum(before // space, intervals)
    part = np.where(whole < intervals, np.minimum(before - whole * space, length), 0)
    apart = whole * length + part
    return np.where(before <= 0, 0, np.where(space <= length, joined, apart))


@lru_cache(maxsize=16384)
def reached(
    axis: Axis,
    outputs: tuple[int, tuple[Cut, ...]],
    taps: tuple[int, tuple[Cut, ...]],
    *,
    together: bool,
) -> int:
    """Input places along one axis, added up over all tiles of outputs and taps.

    Args:
        axis: geometry of the window.
        outputs: extent of the output rank and its cuts.
        taps: the same of the tap rank.
        together: places that several tiles reach at once count once; else for each of them.
    """
    if together and not (_contiguous(outputs[1]) and _contiguous(taps[1])):
        return _unions(axis, spread(*outputs), spread(*taps))
    sides = []
    for extent, cuts in (outputs, taps):
        kept = tuple(c for c in cuts if c[1] != "at once") if together else cuts
        flat = np.array([piece for turn in spread(extent, kept) for piece in turn], dtype=np.int64)
        sides.append(flat.reshape(-1, 2))
    o, t = sides
    low, size = o[:, :1], o[:, 1:]
    return int(touched(axis, low, size, t[None, :, 0], t[None, :, 1]).sum())


def _contiguous(cuts: tuple[Cut, ...]) -> bool:
    """True when the pieces at once of any turn lie side by side."""
    hows = [how for _, how in cuts]
    return "at once" not in hows or "in turn" not in hows[hows.index("at once") :]


def _unions(axis: Axis, outputs: Turns, taps: Turns) -> int:
    stride, dilation, pad, size = axis
    rows = [np.concatenate([np.arange(low, low + n) for low, n in turn]) for turn in outputs]
    columns = [np.concatenate([np.arange(low, low + n) for low, n in turn]) for turn in taps]
    total = 0
    for row in rows:
        for column in columns:
            places = (row[:, None] * stride + column[None, :] * dilation - pad).ravel()
            seen = np.zeros(size, dtype=np.bool_)
            seen[places[(places >= 0) & (places < size)]] = True
            total += int(seen.sum())
    return total


def widest(axis: Axis, outputs: tuple[int, int], taps: tuple[int, int]) -> int:
    """Input places along one axis that no tile exceeds: those of one far from the padding.

    Args:
        axis: geometry of the window.
        outputs: extent of the output rank and its tile.
        taps: the same of the tap rank.
    """
    stride, dilation, pad, size = axis
    whole = touched_axis(outputs[0], stride, taps[0], dilation, pad, size)
    return min(whole, touched_axis(outputs[1], stride, taps[1], dilation, 0, 1 << 30))
