"""The cascades of attention: in three passes over the keys, in two, and in one.

Ranks: queries `p`, keys `m` in blocks (`m1` the block, `m0` the key in it), `e` of a query and key,
`f` of a value. Source of all three: FuseMax (Nayak et al., MICRO 2024), sections 3 and 4; the
one-pass cascade is that of FlashAttention-2 (Dao, 2023).
"""

from __future__ import annotations

from math import inf

from archsim.ir.cascade import Cascade, Einsum, Operand

KEYS = ("m1", "m0")
_SCORE = Einsum(
    "QK", ("p", *KEYS), "product", (Operand("Q", ("p", "e")), Operand("K", (*KEYS, "e")))
)
_MOST = Einsum("GM", ("p",), "max", (Operand("QK", ("p", *KEYS)),))
_SHARE = Einsum("SN", ("p", *KEYS), "exp", (Operand("QK", ("p", *KEYS)), Operand("GM", ("p",))))
_TOTAL = Einsum("SD", ("p",), "sum", (Operand("SN", ("p", *KEYS)),))

THREE_PASS = Cascade(
    "softmax in three passes",
    (
        _SCORE, _MOST, _SHARE, _TOTAL,
        Einsum("A", ("p", *KEYS), "divide", (Operand("SN", ("p", *KEYS)), Operand("SD", ("p",)))),
        Einsum("AV", ("p", "f"), "product",
               (Operand("A", ("p", *KEYS)), Operand("V", (*KEYS, "f")))),
    ),
)  # fmt: skip

TWO_PASS = Cascade(
    "softmax in two passes, divided once an output",
    (
        _SCORE, _MOST, _SHARE, _TOTAL,
        Einsum("SNV", ("p", "f"), "product",
               (Operand("SN", ("p", *KEYS)), Operand("V", (*KEYS, "f")))),
        Einsum("AV", ("p", "f"), "divide", (Operand("SNV", ("p", "f")), Operand("SD", ("p",)))),
    ),
)  # fmt: skip


def _before(tensor: str, *ranks: str) -> Operand:
    return Operand(tensor, ("m1", *ranks), before="m1")


def _block(tensor: str, *ranks: str) -> Operand:
    return Operand(tensor, ("m1", *ranks))


ONE_PASS = Cascade(
    "softmax in one pass, its sums running on",
    (
        _SCORE,
        Einsum("LM", ("m1", "p"), "max", (Operand("QK", ("p", *KEYS)),)),
        Einsum("RM", ("m1", "p"), "max", (_before("RM", "p"), _block("LM", "p"))),
        Einsum("SLN", ("p", *KEYS), "exp", (Operand("QK", ("p", *KEYS)), _block("RM", "p"))),
        Einsum("SLD", ("m1", "p"), "sum", (Operand("SLN", ("p", *KEYS)),)),
        Einsum("SLNV", ("m1", "p", "f"), "product",
               (Operand("SLN", ("p", *KEYS)), Operand("V", (*KEYS, "f")))),
        Einsum("PRM", ("m1", "p"), "exp", (_before("RM", "p"), _block("RM", "p"))),
        Einsum("SPD", ("m1", "p"), "product", (_before("RD", "p"), _block("PRM", "p"))),
        Einsum("RD", ("m1", "p"), "sum", (_block("SLD", "p"), _block("SPD", "p"))),
        Einsum("SPNV", ("m1", "p", "f"), "product",
               (_before("RNV", "p", "f"), _block("PRM", "p"))),
        Einsum("RNV", ("m1", "p", "f"), "sum",
               (_block("SLNV", "p", "f"), _block("SPNV", "p", "f"))),
        Einsum("AV", ("p", "f"), "divide",
               (Operand("RNV", ("p", "f"), last="m1"), Operand("RD", ("p",), last="m1"))),
    ),
    {"RM": -inf, "RD": 0.0, "RNV": 0.0},
)  # fmt: skip

CASCADES = (THREE_PASS, TWO_PASS, ONE_PASS)
