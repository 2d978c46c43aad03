"""Tensor parallelism: matrices by columns, then by rows, whole heads to a device.

Source: Shoeybi et al., Megatron-LM (2019), section 3; with tokens of norms and residuals dealt out,
Korthikanti et al. (2022), section 4.2.2. What each op does follows from its class and from how what
it reads is held: a product of whole rows is divided by columns, one of columns by rows, and its
result is then a term of a sum. Layouts of feed-forward matrices in two dimensions, and with
gathered weights, are in `tensor_2d` and `gathered`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from archsim.ir.collective import Pattern
from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Access, Kind, Op
from archsim.ir.parallel import ParallelPlan
from archsim.parallel.dealt import deals
from archsim.parallel.held import passing, whole
from archsim.parallel.shape import Shape
from archsim.parallel.tensor_backward import Backward
from archsim.parallel.tensor_base import COLUMNS, PARTIAL, ROWS, WHOLE
from archsim.parallel.tensor_columns import leads, led


def tensor_parallel(graph: OpGraph, plan: ParallelPlan, shape: Shape, place: int = 0) -> OpGraph:
    """A device's graph of one whose matrices are shared over the tensor axis.

    Its place along the axis matters where the first one leads.
    """
    if plan.tensor == 1:
        return graph
    if leads(plan):
        return led(graph, plan, place)
    if plan.layout == "2d":
        from archsim.parallel.tensor_2d import TwoDimensional

        return TwoDimensional(graph, plan, shape).run()
    if plan.layout != "1d":
        from archsim.parallel.gathered import gathered

        return gathered(graph, plan, shape)
    return Tensors(graph, plan, shape).run()


class Tensors(Backward):
    """The pass at work."""

    def run(self) -> OpGraph:
        """The graph of one device."""
        return self.finish([self._block(block) for block in self.blocks()])

    def _block(self, block: Block) -> Block:
        for op in block.ops:
            self.emit(op)
        return replace(block, ops=tuple(self.out))

    def emit(self, op: Op) -> None:
        """Put an op's share into the block, with the collectives that it needs."""
        for part in self._rule(op):
            self.out.append(part)  # collectives may be put between
        if (
            op.op_class == "lm_head" and not self.shape.trains
        ):  # the next token is chosen among all logits
            self.turn(op.writes[0].tensor, WHOLE)

    def _rule(self, op: Op) -> Iterator[Op]:
        name = op.op_class
        if name.endswith("_backward") or name in ("loss", "optimizer"):
            return self._back(op)
        if op.kind in (Kind.GEMM, Kind.COLLECTIVE):
            return self._gemm(op) if op.kind is Kind.GEMM else self._passed(op)
        if name == "embedding" and op.kind is Kind.GATHER:
            return self._lookup(op)
        return self._vector(op, name)

    def _vector(self, op: Op, name: str) -> Iterator[Op]:
        if name in ("residual", "moe_combine"):
            return self._residual(op) if name == "residual" else self._combine(op)
        if name == "moe_permute" and self.slices:
            return self._own_features(op, op.reads[0], *op.reads[1:])
        if name == "norm" and self.normed.get(op.reads[0].tensor) == self._width(op.reads[0]):
            return self._rowwise(op, WHOLE if self.of(op.reads[0].tensor) is WHOLE else self.rest)
        ways = {self.of(a.tensor) for a in op.reads}
        if ways & {COLUMNS, ROWS} and not name.startswith("moe_"):
            rows = COLUMNS not in ways and not (self.by_sequence and self._in_attention(op))
            return self._rowwise(op, ROWS) if rows else self._points(op)
        return self._rowwise(op, WHOLE)

    def _gemm(self, op: Op) -> Iterator[Op]:
        if op.op_class.startswith("attention") or op.op_class == "kv_select":
            return self._attention(op)
        by_head = op.op_class != "moe_expert" and "B" in op.reads[1].ranks
        return self._by_head(op) if by_head else self._product(op)

    def _passed(self, op: Op) -> Iterator[Op]:
        """What another axis exchanges: each device its own part, or its term of a sum."""
        if self.slices:
            op = replace(op, reads=(self.want(op.reads[0], COLUMNS),))
        source, result = op.reads[0].tensor, op.writes[0].tensor
        held, ratio = self.of(source), self.ratio(source)
        if held is not COLUMNS:
            self.put(result, held)
            yield op
            return
        shape = self.before[result].shape
        self.put(result, COLUMNS, (whole(shape[0] / ratio), *shape[1:]) if len(shape) == 3
                 else self.columns(result, whole(ratio)))  # fmt: skip
        assert op.collective is not None
        few = replace(
            op.collective,
            size_bytes=int(op.collective.size_bytes / ratio),
            sent_bytes=tuple(int(n / ratio) for n in op.collective.sent_bytes),
        )
        rank = "N" if self.slices else "M"
        size = whole(op.ranks[rank] / ratio)
        yield replace(op, ranks={**op.ranks, rank: size}, collective=few)

    def _lookup(self, op: Op) -> Iterator[Op]:
        """Rows of the token table: a device has those of its words, the others come out zero."""
        ids, table = op.reads
        rows, width = self.before[table.tensor].shape
        held = -(-rows // self.ways)
        self.put(table.tensor, COLUMNS, (held, width))
        used = min(-(-op.ranks["M"] // self.ways), held)  # assumed: words fall evenly
        touched = used * width if used < held else None
        reads = (self.want(ids, WHOLE), Access(table.tensor, table.dims, touched))
        result = self.before[op.writes[0].tensor]
        terms = passing(result, f"{result.name}.terms")
        self.before = {**self.before, terms.name: terms}
        yield replace(op, reads=reads, writes=(replace(op.writes[0], tensor=terms.name),))
        pattern: Pattern = "reduce_scatter" if self.rest is ROWS else "all_reduce"
        self.put(result.name, self.rest, self.row_shape(result) if self.rest is ROWS else None)
        self.exchange(f"{op.name}.{pattern}", pattern, (terms.name, result.name),
                      result.shape, result.bytes)  # fmt: skip

    def _residual(self, op: Op) -> Iterator[Op]:
        """Terms that are terms of sums are added up first, so that one collective does for all."""
        terms = [a for a in op.reads if self.of(a.tensor) is PARTIAL]
        if len(terms) > 1:
            first = self.before[terms[0].tensor]
            added = passing(first, f"{op.writes[0].tensor}.terms")
            self.before = {**self.before, added.name: added}
            self.put(added.name, PARTIAL)
            adds = {"add": len(terms) - 1}
            write = replace(op.writes[0], tensor=added.name)
            name = f"{op.name}.terms"
            self._makers[added.name] = name
            yield replace(op, name=name, reads=tuple(terms), writes=(write,), primitives=adds)
            rest = tuple(a for a in op.reads if a not in terms)
            total = op.primitives["add"]
            op = replace(op, reads=(write, *rest), primitives={"add": total - len(terms) + 1})
        yield from self._rowwise(op, self.rest)

    def _combine(self, op: Op) -> Iterator[Op]:
        """The sum over experts of terms of sums is a term of a sum."""
        if self.slices:
            rows = [a for a in op.reads if self._width(a) == op.ranks["N"]]
            own = {a: self.want(a, COLUMNS) for a in rows}
            yield from self._own_features(op, *(own.get(a, a) for a in op.reads))
            return
        partial = any(self.of(a.tensor) is PARTIAL for a in op.reads)
        if not partial and not deals(self.plan, self.shape):
            yield from self._rowwise(op, WHOLE)
            return
        self.put(op.writes[0].tensor, PARTIAL)
        yield op

    def _own_features(self, op: Op, *reads: Access) -> Iterator[Op]:
        """Features of a device, of tokens of which it has all or these."""
        width = op.ranks["N"] // self.ways
        for access in op.writes:
            self.put(access.tensor, COLUMNS, (*self.before[access.tensor].shape[:-1], width))
        found = []
        for access in reads:
            if self.of(access.tensor) is ROWS:
                access = self.want(access, WHOLE)  # noqa: PLW2901
            wide = self.of(access.tensor) is WHOLE and self._width(access) == op.ranks["N"]
            found.append(self.want(access, COLUMNS) if wide else access)
        ranks = {**op.ranks, "N": width}
        yield replace(op, ranks=ranks, reads=tuple(found), writes=tuple(map(self.part, op.writes)))
