"""Tensor parallelism, attention: heads of a device, or its sequences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from archsim.ir.op import Access, Kind, Op
from archsim.ir.tensor import Role
from archsim.parallel.held import Held, restacked, scaled_groups, whole
from archsim.parallel.rows import row_op
from archsim.parallel.tensor_base import COLUMNS, PARTIAL, ROWS, WHOLE
from archsim.parallel.tensor_products import Products


class Attention(Products):
    """The rules of ops between the projections."""

    def _by_head(self, op: Op) -> Iterator[Op]:
        """A product for each head: a device has its heads'."""
        source, weight = op.reads
        if self.by_sequence:
            yield from self._points(op)
            return
        heads = op.ranks["B"] // self.ways
        for access in op.writes:
            self.put(access.tensor, COLUMNS, self.columns(access.tensor, self.ways))
        reads = (self.want(source, COLUMNS), self.split_weight(weight, "B", heads))
        writes = tuple(self.part(a) for a in op.writes)
        yield replace(op, ranks={**op.ranks, "B": heads}, reads=reads, writes=writes)

    def _attention(self, op: Op) -> Iterator[Op]:
        """Scores and values: problems of a device's key heads, rows of its query heads."""
        left, right = op.reads
        if self.by_sequence:
            yield from self._points(op)
            return
        few = self.ratio(right.tensor)
        rows = Fraction(1) if op.op_class == "kv_select" else self.ratio(left.tensor) / few
        ranks = {**op.ranks, "B": whole(op.ranks["B"] / few), "M": whole(op.ranks["M"] / rows)}
        found = scaled_groups(replace(op, ranks=ranks), few, M=rows)
        for access in op.writes:
            shape = self.before[access.tensor].shape
            size = tuple(op.ranks[r] for r in "BMN")
            local: tuple[int, ...]
            if shape == size and not op.groups:
                local = tuple(ranks[r] for r in "BMN")
            elif len(shape) == 3 and access.tensor.endswith("partial"):
                local = (shape[0], whole(shape[1] / (few * rows)), shape[2])
            elif len(shape) == 3:
                local = (whole(shape[0] / few), whole(shape[1] / rows), shape[2])
            else:
                local = (*shape[:-1], whole(shape[-1] / (few * rows)))
            self.put(access.tensor, COLUMNS, local)
        ratio = few * rows
        reads = (self.part(left, ratio), self.part(right, few))
        writes = tuple(self.part(a, ratio) for a in op.writes)
        yield replace(found, reads=reads, writes=writes)

    def _points(self, op: Op) -> Iterator[Op]:
        """Vector ops and moves on a device's heads or features, or on its sequences."""
        if self.by_sequence and self._in_attention(op):
            yield from self._own_sequences(op)
            return
        before = sum(self.before[a.tensor].elements for a in op.writes)
        for i, access in enumerate(op.writes):
            self._like(op, i, access)
        ratio = Fraction(before, sum(self.local(a.tensor).elements for a in op.writes))
        rank = "M" if op.op_class in ("softmax", "norm", "kv_select") else "N"
        size = whole(op.ranks[rank] / ratio)
        found = replace(op, ranks={**op.ranks, rank: size})
        if op.groups:
            found = scaled_groups(found, ratio)
        reads = [self._head_weight(a) for a in op.reads]
        if op.kind is Kind.MOVE:
            rows = op.ranks["M"]
            reads = list(restacked(reads, [self.local(a.tensor).elements // rows for a in reads]))
        yield replace(found, reads=tuple(reads), writes=tuple(self.part(a) for a in op.writes))

    def _like(self, op: Op, i: int, access: Access) -> None:
        """Hold a result as the operand is that it is made of."""
        tensor = self.before[access.tensor]
        sources = [a for a in op.reads if self._moves(a)]
        alike = len(sources) == len(op.writes)
        source = sources[i if alike else 0].tensor
        held, ways = self.of(source), self.ratio(source)
        if held is not COLUMNS:
            self.put(access.tensor, held if held is not PARTIAL else WHOLE)
        elif tensor.role is Role.KV_CACHE or (
            op.op_class in ("softmax", "kv_select") and len(tensor.shape) != 2
        ):
            if tensor.shape == self.before[source].shape:
                self.put(access.tensor, COLUMNS, self.local(source).shape)
            else:
                shape = (whole(tensor.shape[0] / ways), *tensor.shape[1:])
                self.put(access.tensor, COLUMNS, shape)
        else:
            self.put(access.tensor, COLUMNS, self.columns(access.tensor, whole(ways)))

    def _head_weight(self, access: Access) -> Access:
        """A device's heads of a weight with one number a head, such as an attention sink."""
        tensor = self.before[access.tensor]
        if self._moves(access) or tensor.shape[-1] != self.shape.heads:
            return self.part(access)
        self.put(access.tensor, COLUMNS, (*tensor.shape[:-1], self.shape.heads // self.ways))
        return self.part(access)

    def _in_attention(self, op: Op) -> bool:
        return op.op_class.startswith(("attention", "softmax", "rotary", "kv_")) or (
            op.op_class in ("norm", "qkv_proj", "out_proj"))  # fmt: skip

    def _own_sequences(self, op: Op) -> Iterator[Op]:
        """An op of attention for a device's sequences."""
        found, shapes = row_op(op, self.before, self.ways, 0, self.shape.batch)
        for name, shape in shapes.items():
            if name not in {a.tensor for a in op.reads}:
                self.put(name, ROWS, shape)
        reads = tuple(
            self._renamed(a, b, ROWS) if self._moves(a) else b
            for a, b in zip(op.reads, found.reads, strict=True)
        )
        yield replace(found, reads=reads)

    def _renamed(self, access: Access, part: Access, held: Held) -> Access:
        if self.before[access.tensor].role is Role.KV_CACHE:
            return part
        return replace(part, tensor=self.want(access, held).tensor)
