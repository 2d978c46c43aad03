"""The backward pass of attention: five products against the two of the forward pass.

Scores and shares are computed again from queries and keys, so that none is saved (as in Dao et
al., FlashAttention, 2022, algorithm 4). Here each product is an op of its own, whose results are
tensors; a mapping that keeps them on chip is in `ir.flash_backward`. With dO the gradient of the
result O: delta = rowsum(dO O), dV = P^T dO, dP = dO V^T, dS = P (dP - delta), dQ = dS K,
dK = dS^T Q.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from archsim.ir.op import Access, Op, dims
from archsim.lowering.architectures._train_forms import DELTA, SCORES, Gradient

if TYPE_CHECKING:
    from archsim.lowering.architectures._backward import Backward

CLASS = "attention_backward"
MADE = ("scores", "shares", "d_shares", "d_scores")  # one element a score


def attention_backward(w: Backward, score: Op, softmax: Op, value: Op) -> Iterator[Op]:
    """The ops for one attention whose sequences are all alike.

    Args:
        w: where gradients are found and given.
        score: the product of queries and keys.
        softmax: of its rows.
        value: the product of shares and values.
    """
    p, ranks = w.p, score.ranks
    b, m, keys, wide, high = ranks["B"], ranks["M"], ranks["N"], ranks["K"], value.ranks["N"]
    at = score.name.removesuffix("score")
    out, d_out = value.writes[0].tensor, w.settled(value.writes[0].tensor).tensor
    made = {name: p.tensor(f"d.{at}{name}", (b, m, keys)).tensor for name in MADE}
    delta = p.tensor(f"d.{at}delta", (b * m,))
    q, k, v = score.reads[0].tensor, score.reads[1].tensor, value.reads[1].tensor
    d_v, d_q, d_k = (w.give(name).tensor for name in (v, q, k))
    ops = _Ops(at, b, score, softmax)
    reads = [Access(d_out), Access(out)]
    yield _formed(p.vector(f"{at}delta", CLASS, reads, [delta], (b * m, high)), DELTA)
    yield replace(
        ops.product("score.again", (q, "BMK"), (k, "BNK"), made["scores"], (m, keys, wide), "N"),
        reads=score.reads[:2],
    )
    again = Gradient(softmax.primitives, softmax.row_primitives, softmax.reduces)
    beside = softmax.reads[1:]
    yield ops.points("softmax.again", [made["scores"]], beside, made["shares"], again)
    shares, d_shares, d_scores = (made[name] for name in MADE[1:])
    yield ops.product("value.dv", (shares, "BKM"), (d_out, "BKN"), d_v, (keys, high, m), "M")
    yield ops.product("value.dshares", (d_out, "BMK"), (v, "BNK"), d_shares, (m, keys, high), "N")
    yield ops.points("softmax.dscores", [shares, d_shares], (delta,), d_scores, SCORES)
    yield ops.product("score.dq", (d_scores, "BMK"), (k, "BKN"), d_q, (m, wide, keys), "K")
    yield ops.product("score.dk", (d_scores, "BKM"), (q, "BKN"), d_k, (keys, wide, m), "M")


@dataclass(frozen=True)
class _Ops:
    """Makes the ops of one attention: products over its problems, vector ops over its scores."""

    at: str
    problems: int
    score: Op
    softmax: Op

    def product(
        self,
        name: str,
        left: tuple[str, str],
        right: tuple[str, str],
        out: str,
        size: tuple[int, int, int],
        key_rank: str,
    ) -> Op:
        """`out[b,m,n] += left right` over k; operands with their ranks, `size` is (m, n, k)."""
        return replace(
            self.score,
            name=self.at + name,
            op_class=CLASS,
            ranks={"B": self.problems, **dict(zip("MNK", size, strict=True))},
            reads=tuple(Access(tensor, dims(*ranks)) for tensor, ranks in (left, right)),
            writes=(Access(out, dims(*"BMN")),),
            key_rank=key_rank,
        )

    def points(
        self, name: str, scores: list[str], beside: tuple[Access, ...], out: str, form: Gradient
    ) -> Op:
        """Something at each score."""
        reads = (*(Access(tensor, dims("M", "N")) for tensor in scores), *beside)
        writes = (Access(out, dims("M", "N")),)
        op = replace(self.softmax, name=self.at + name, reads=reads, writes=writes)
        return _formed(replace(op, op_class=CLASS), form)


def _formed(op: Op, form: Gradient) -> Op:
    return replace(op, primitives=form.point, row_primitives=form.row, reduces=form.reduces)
