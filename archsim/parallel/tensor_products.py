"""Tensor parallelism, products: by columns of the matrix, by its rows, and for some tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from archsim.ir.op import Access, Op
from archsim.parallel.dealt import deals
from archsim.parallel.held import restacked
from archsim.parallel.tensor_base import COLUMNS, PARTIAL, ROWS, WHOLE, TensorRewrite

WIDENS = ("qkv_proj", "ffn", "lm_head", "moe_shared", "moe_expert")


class Products(TensorRewrite):
    """The rules of products with a matrix."""

    def _product(self, op: Op) -> Iterator[Op]:
        """By rows of the matrix where the input is in columns, by its columns where it is whole."""
        source = op.reads[0]
        if op.op_class == "moe_expert" and deals(self.plan, self.shape):
            return self._of_experts(op)
        gathers = self.slices and op.op_class == "moe_expert" and not op.name.endswith("down")
        if op.op_class == "out_proj" or (self.of(source.tensor) is COLUMNS and not gathers):
            return self._reduced(op)
        if op.op_class not in WIDENS or op.name.endswith("shared.scale") or self._whole_rows(op):
            return self._rowwise(op, WHOLE)
        if self.of(source.tensor) is ROWS and source.dims and self._few(op):
            return self._widened_few(op)
        if op.op_class == "qkv_proj" and self.by_sequence:
            return self._queries(op)
        return self._widened(op)

    def _of_experts(self, op: Op) -> Iterator[Op]:
        """A product of a device's own experts: what they yield in the end is a term of a sum."""
        for access in op.writes:
            self.put(access.tensor, PARTIAL if op.name.endswith("down") else WHOLE)
        yield op

    def _few(self, op: Op) -> bool:
        source = self.before[op.reads[0].tensor]
        return op.ranks["M"] < source.shape[0]

    def _widened_few(self, op: Op) -> Iterator[Op]:
        gather, op = self._sampled(op)
        yield gather
        yield from self._widened(op)

    def _whole_rows(self, op: Op) -> bool:
        """Whether a norm over whole rows follows, as of a latent."""
        return any(self.normed.get(a.tensor) == self._width(a) for a in op.writes)

    def _reduced(self, op: Op) -> Iterator[Op]:
        """A product over a share of K: its result is a term of a sum."""
        source, weight, *bias = op.reads
        depth = -(-op.ranks["K"] // self.ways)
        read = self.want(source, COLUMNS)
        op = replace(op, ranks={**op.ranks, "K": depth})
        reads = (read, self.split_weight(weight, "K", depth, 1), *bias)
        for access in op.writes:
            self.put(access.tensor, PARTIAL)
        yield replace(op, reads=reads)

    def _ways_of(self, access: Access) -> int:
        """Devices that a result's columns are divided over: heads of keys may be fewer."""
        return self.kv_ways if _part_of(access.tensor) in ("k", "v") else self.ways

    def _widened(self, op: Op) -> Iterator[Op]:
        """A product for a share of the columns: whole heads of each of the results."""
        source, weight, *bias = op.reads
        rows = op.rows() if op.groups else op.ranks["M"]
        if op.op_class == "moe_expert":
            rows = self.before[op.writes[0].tensor].shape[0]
        widths = []
        for access in op.writes:
            ways = self._ways_of(access) if op.op_class == "qkv_proj" else self.ways
            self.put(access.tensor, COLUMNS, self.columns(access.tensor, ways))
            widths.append(self.tensors[access.tensor].elements // rows)
        wide = sum(widths)
        if op.op_class == "moe_expert" or weight.dims:
            matrix = self.split_weight(weight, "N", wide, 2)
        else:  # one matrix a head
            matrix = self.split_weight(weight, "B", self.shape.heads // self.ways, 0)
        biases = (self.split_weight(a, "N", wide) for a in bias)
        reads = (self.want(source, WHOLE), matrix, *biases)
        writes = restacked(op.writes, widths)
        yield replace(op, ranks={**op.ranks, "N": wide}, reads=reads, writes=writes)

    def _queries(self, op: Op) -> Iterator[Op]:
        """Projections where attention is shared by sequences: queries by heads, keys by tokens.

        Source: Pope et al. (2023), section 3.3. Keys and values of all heads are made where they
        are used; only queries, and what attention yields, change hands.
        """
        source, weight, *bias = op.reads
        rows = op.ranks["M"]
        for access in op.writes:
            width = self.before[access.tensor].elements // rows
            alone = len(op.writes) == 1
            name = op.name if alone else f"{op.name}.{access.tensor.rpartition('.')[2]}"
            own = [
                a if alone else self._columns_of(a, name, width)
                for a in (weight, *bias)
            ]  # fmt: skip
            write = restacked([access], [width])[0]
            part = replace(op, name=name, ranks={**op.ranks, "N": width}, writes=(write,),
                           reads=(source, *own))  # fmt: skip
            if self._is_query(access):
                self._makers[access.tensor] = name
                yield from self._widened(part)
            else:
                self.put(access.tensor, ROWS, self.row_shape(self.before[access.tensor]))
                reads = (self.want(source, ROWS), *own)
                yield replace(part, ranks={**part.ranks, "M": rows // self.ways}, reads=reads)

    def _is_query(self, access: Access) -> bool:
        return _part_of(access.tensor) in ("q", "q_nope", "q_rope")

    def _columns_of(self, access: Access, name: str, width: int) -> Access:
        """Some columns of a fused matrix, as a matrix of their own."""
        tensor = self.before[access.tensor]
        suffix = access.tensor.rpartition(".")[2]
        base = access.tensor.removesuffix(f".{suffix}")
        own = f"{base}.{name.rpartition('.')[2]}.{suffix}"
        shape = (*tensor.shape[:-1], width)
        self.before = {**self.before, own: replace(tensor, name=own, shape=shape)}
        return replace(access, tensor=own)


def _part_of(tensor: str) -> str:
    """Which of attention's tensors one is, such as `q`."""
    return tensor.rpartition("attn.")[2].split(".", maxsplit=1)[0]
