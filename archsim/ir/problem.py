"""The matrix-multiply view of a MAC op: batch, M, N, K extents and the size of any tile.

GEMM and convolution become one problem here (implicit im2col: the input stays as it is stored,
so a tile of M x K patches costs the distinct input elements it reaches, not M x K).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from archsim.ir.op import Kind, Op
from archsim.ir.reuse import touched_axis
from archsim.ir.tensor import DType, Tensor

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Extents:
    """Extents of one ragged case: `b` independent problems of M x N x K."""

    b: int
    m: int
    n: int
    k: int

    def of(self, rank: str) -> int:
        """The extent of the rank of that letter."""
        return int(getattr(self, rank))


@dataclass(frozen=True)
class Problem:
    """A MAC op as `out[b,m,n] += in[b,m,k] * weight[b,k,n]`, one `Extents` per ragged case."""

    op: Op
    cases: tuple[Extents, ...]
    bits: Mapping[str, int]  # in, out, partial: bits of an element
    weight: DType
    extra_bytes: int  # read once beside the weights, such as a bias
    zeros: Fraction = Fraction(0)  # share of the inputs that are zero

    @property
    def weight_bits(self) -> float:
        """Bits of an element of the weight with its share of a scale."""
        return self.weight.stored_bits

    def weight_bytes(self, elements: Ints) -> Ints:
        """Bytes of tiles of so many elements: those of whole blocks add up to the tensor's."""
        stored = self.weight.bytes_of(-(-elements // self.op.repeated))
        return np.asarray(stored, dtype=np.int64)

    @property
    def largest(self) -> Extents:
        """Extents that cover every case: tile sizes are chosen for them."""
        return Extents(*(max(c.of(rank) for c in self.cases) for rank in "bmnk"))

    def in_elements(self, b: Ints, m: Ints, k: Ints, m_tile: Ints | int) -> Ints:
        """Distinct input elements that tiles of b x m x k patches reach (upper bound inside).

        Args:
            b: problems of each tile.
            m: rows of each tile.
            k: reduction length of each tile.
            m_tile: rows of a full tile of the mapping: tiles of whole output rows start at a row.
        """
        if self.op.kind is not Kind.CONV:
            return b * m * k
        aligned = np.broadcast_to(np.asarray(m_tile) % self.op.ranks["OW"] == 0, np.shape(m))
        return b * self._channels(k) * self._pixels(m, aligned)

    def _channels(self, k: Ints) -> Ints:
        r = self.op.ranks
        taps = r["FH"] * r["FW"]
        whole = -(-k // taps)
        # a tile that starts inside a channel reaches one channel more
        straddle = ((k % taps != 0) & (k < r["IC"] * taps)).astype(np.int64)
        return np.asarray(np.minimum(whole + straddle, r["IC"]))

    def _pixels(self, m: Ints, aligned: NDArray[np.bool_]) -> Ints:
        r, w = self.op.ranks, self.op.window
        assert w is not None
        full_h = touched_axis(r["OH"], w.stride[0], r["FH"], w.dilation[0], w.pad[0], w.in_size[0])
        full_w = touched_axis(r["OW"], w.stride[1], r["FW"], w.dilation[1], w.pad[1], w.in_size[1])

        def pixels(outputs: int, whole: bool) -> int:
            rows = -(-outputs // r["OW"]) if whole else -(-(outputs - 1) // r["OW"]) + 1
            if rows >= r["OH"]:  # whole images; a tile may straddle one more
                images = min(-(-rows // r["OH"]), r["B"])
                return images * full_h * full_w
            # rows of an interior position: no padding helps, so this covers every tile
            high = touched_axis(rows, w.stride[0], r["FH"], w.dilation[0], 0, 1 << 30)
            return min(high, full_h) * full_w

        keys, where = np.unique(2 * m + aligned, return_inverse=True)
        table = np.array([pixels(int(key) // 2, bool(key % 2)) for key in keys], dtype=np.int64)
        return np.asarray(table[where].reshape(np.shape(m)))


def problem(op: Op, tensors: Mapping[str, Tensor], accumulator_bits: int) -> Problem:
    """The matrix-multiply view of a MAC op.

    Args:
        op: a GEMM or CONV op.
        tensors: the graph's tensors, for element widths.
        accumulator_bits: width of partial sums kept between reduction tiles.
    """
    inp, weight, out = op.reads[0], op.reads[1], op.writes[0]
    bits = {
        "in": tensors[inp.tensor].dtype.bits,
        "out": tensors[out.tensor].dtype.bits,
        "partial": accumulator_bits,
    }
    cases = tuple(_extents(op, ranks) for _, ranks in op.cases())
    extra = sum(
        tensors[a.tensor].dtype.bytes(a.touched or tensors[a.tensor].elements) for a in op.reads[2:]
    )
    return Problem(op, cases, bits, tensors[weight.tensor].dtype, extra, tensors[inp.tensor].zeros)


def _extents(op: Op, r: Mapping[str, int]) -> Extents:
    if op.kind is Kind.CONV:
        return Extents(r["G"], r["B"] * r["OH"] * r["OW"], r["OC"], r["IC"] * r["FH"] * r["FW"])
    return Extents(r["B"], r["M"], r["N"], r["K"])
