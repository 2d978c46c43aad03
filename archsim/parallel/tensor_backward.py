"""Tensor parallelism, training: gradients are held as what they are gradients of.

A rank that an operand lacks part of is divided; where it is summed over, the result is a term of a
sum. So the backward pass of a product by columns yields terms, that of a product by rows columns.
The loss exchanges the largest logit and the sum of exponentials of each token (Shoeybi et al.,
Megatron-LM, 2019, section 3).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from archsim.ir.op import Access, Kind, Op
from archsim.ir.tensor import Role
from archsim.parallel.held import Held, passing, whole
from archsim.parallel.tensor_attention import Attention
from archsim.parallel.tensor_base import COLUMNS, PARTIAL, ROWS, WHOLE

OF_ATTENTION = "attention_backward"


class Backward(Attention):
    """The rules of ops of a backward pass, of the loss and of the optimizer."""

    def _back(self, op: Op) -> Iterator[Op]:
        rules = {
            "loss": self._loss,
            "optimizer": self._update,
            OF_ATTENTION: self._head_by_head,
            "residual_backward": self._summed,
            "norm_backward": self._norm_back,
        }
        if op.op_class in rules:
            return rules[op.op_class](op)
        if op.is_mac:
            return self._linear_back(op)
        return self._scatter(op) if op.kind is Kind.GATHER else self._points_back(op)

    def _split(self, access: Access) -> str:
        """The rank of which a device has a part, by an operand; empty where it has all."""
        before, now = self.before[access.tensor].shape, self.local(access.tensor).shape
        if before == now or not access.dims:
            return ""
        if len(before) != len(access.dims):  # heads side by side, in another view
            return access.dims[-1].terms[0][0]
        at = next(i for i, (a, b) in enumerate(zip(before, now, strict=True)) if a != b)
        return access.dims[at].terms[0][0]

    def _linear_back(self, op: Op) -> Iterator[Op]:
        reads = [
            self.want(a, WHOLE) if self._moves(a) and self.of(a.tensor) in (ROWS, PARTIAL)
            else self.part(a) for a in op.reads
        ]  # fmt: skip
        ranks = {rank for a in reads if (rank := self._split(a))}
        if not ranks:
            yield from self._kept(op, reads)
            return
        (rank,) = ranks
        given = next(a for a in reads if self._split(a) == rank)
        part = self._extent(given, op, rank)
        for access in op.writes:
            found = [i for i, d in enumerate(access.dims) if d.terms[0][0] == rank]
            shape = self.before[access.tensor].shape
            if not found:
                self.put(access.tensor, PARTIAL)
            elif len(shape) != len(access.dims):
                self.put(access.tensor, COLUMNS, self.columns(access.tensor, self.ways))
            else:
                at = found[0]
                self.put(access.tensor, COLUMNS, (*shape[:at], part, *shape[at + 1 :]))
        yield replace(op, ranks={**op.ranks, rank: part}, reads=tuple(reads))

    def _extent(self, access: Access, op: Op, rank: str) -> int:
        """What a device has of a rank."""
        return whole(op.ranks[rank] / self.ratio(access.tensor)) if (
            op.ranks[rank] % self.ways == 0
        ) else -(-op.ranks[rank] // self.ways)  # fmt: skip

    def _kept(self, op: Op, reads: list[Access]) -> Iterator[Op]:
        for access in op.writes:
            self.put(access.tensor, WHOLE)
        yield replace(op, reads=tuple(reads))

    def _head_by_head(self, op: Op) -> Iterator[Op]:
        """Gradients of attention, for a device's heads."""
        rank = "B" if op.is_mac else "M"
        for access in op.writes:
            self.put(access.tensor, COLUMNS, self.columns(access.tensor, self.ways))
        reads = tuple(self.part(self._head_weight(a)) for a in op.reads)
        yield replace(op, ranks={**op.ranks, rank: op.ranks[rank] // self.ways}, reads=reads)

    def _loss(self, op: Op) -> Iterator[Op]:
        """Cross entropy over a device's columns of the logits."""
        logits = op.reads[0]
        if self.of(logits.tensor) is not COLUMNS:
            yield from self._rowwise(op, WHOLE)
            return
        rows, like = op.ranks["M"], self.before[logits.tensor]
        name = f"{logits.tensor}.sums"
        sums = passing(like, name, (rows, 2))
        self.before = {**self.before, name: sums}
        self.exchange("loss.all_reduce", "all_reduce", (logits.tensor, name), (rows, 2),
                      sums.bytes)  # fmt: skip
        ask = self.out.pop()
        yield replace(ask, reads=(Access(logits.tensor, (), 2 * rows),))
        wide = self.local(logits.tensor).shape[-1]
        gradient, losses = op.writes
        self.put(gradient.tensor, COLUMNS, (rows, wide))
        self.put(losses.tensor, WHOLE)
        reads = (*op.reads, Access(name))
        yield replace(op, ranks={**op.ranks, "N": wide}, reads=reads)

    def _update(self, op: Op) -> Iterator[Op]:
        """An optimizer's step on a device's part of a weight."""
        grad, weight, *states = op.reads
        shape = self.local(weight.tensor).shape
        for state in states:
            self.put(state.tensor, COLUMNS, shape)
        ratio = self.ratio(weight.tensor)
        width = shape[-1]
        rows = self.local(weight.tensor).elements // width
        ranks = {"M": rows, "N": width} if ratio != 1 else op.ranks
        reads = (self.part(grad), self.part(weight), *(self.part(s) for s in states))
        yield replace(op, ranks=ranks, reads=reads)

    def _summed(self, op: Op) -> Iterator[Op]:
        """Gradients of one tensor: terms are added up first, so that one collective does."""
        if all(self.of(a.tensor) is PARTIAL for a in op.reads):
            self.put(op.writes[0].tensor, PARTIAL)
            yield op
            return
        yield from self._residual(op)

    def _residual(self, op: Op) -> Iterator[Op]:
        raise NotImplementedError  # of the pass as a whole

    def _norm_back(self, op: Op) -> Iterator[Op]:
        """Gradients of a norm: of its rows, and of its scale as a sum over all rows."""
        held = self.rest
        if held is not ROWS or op.name.endswith(".dx"):
            yield from self._rowwise(op, held)
            return
        reads = tuple(self.want(a, ROWS) if self._moves(a) else a for a in op.reads)
        yield replace(op, ranks={**op.ranks, "M": op.ranks["M"] // self.ways}, reads=reads)
        for access in op.writes:
            tensor = self.before[access.tensor]
            yield self._added(op, tensor.name, tensor.shape[-1], tensor.bytes)

    def _added(self, op: Op, name: str, width: int, size_bytes: int) -> Op:
        """The sum over devices of a gradient, in place."""
        at = name.rpartition(".grad")[0].rpartition(".")[2]
        self.exchange(f"{op.name}.{at}.all_reduce", "all_reduce", (name, name), (1, width),
                      size_bytes)  # fmt: skip
        return self.out.pop()

    def _scatter(self, op: Op) -> Iterator[Op]:
        """Rows of the table's gradient: those of a device's words."""
        ids, rows, grad = op.reads
        tensor = self.before[grad.tensor]
        part = -(-tensor.shape[0] // self.ways)
        self.put(grad.tensor, COLUMNS, (part, *tensor.shape[1:]))
        found = Access(grad.tensor, grad.dims, grad.touched)
        local = self.part(found)
        yield replace(op, reads=(ids, self.want(rows, WHOLE), local), writes=(local,))

    def _points_back(self, op: Op) -> Iterator[Op]:
        """Gradients at each point, and sums of rows for a bias."""
        gradient = self.before[op.writes[0].tensor].role is Role.GRADIENT
        source = op.reads[0]
        if self.of(source.tensor) is not COLUMNS:
            held: Held = WHOLE if gradient else self.of(source.tensor)
            yield from self._rowwise(op, WHOLE if held is PARTIAL else held)
            return
        ratio = Fraction(self.ratio(source.tensor))
        for access in op.writes:
            self.put(access.tensor, COLUMNS, self.columns(access.tensor, self.ways))
        wide = whole(op.ranks["N"] / ratio)
        yield replace(op, ranks={**op.ranks, "N": wide}, reads=tuple(map(self.part, op.reads)))
