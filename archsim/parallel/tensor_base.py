"""Tensor parallelism, what all its rules share: tensors by columns, ops by rows or as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import gcd

from archsim.ir.graph import OpGraph
from archsim.ir.op import Access, Kind, Op, dims
from archsim.ir.parallel import ParallelPlan
from archsim.ir.tensor import Role
from archsim.parallel.held import Held, Rewrite, passing
from archsim.parallel.shape import Shape

WHOLE, COLUMNS, ROWS, PARTIAL = Held.WHOLE, Held.COLUMNS, Held.ROWS, Held.PARTIAL


class TensorRewrite(Rewrite):
    """A graph while its matrices are shared.

    Args:
        graph: of all devices of the axis together.
        plan: says how many they are, and how attention and norms are shared.
        shape: of the graph.
        axis: or a part of it, such as `tensor.yz`.
    """

    def __init__(
        self, graph: OpGraph, plan: ParallelPlan, shape: Shape, axis: str = "tensor"
    ) -> None:
        super().__init__(graph, axis, plan.ways(axis))
        self.plan, self.shape = plan, shape
        self.rest = ROWS if plan.sequence else WHOLE  # how norms and residuals are held
        self.kv_ways = gcd(shape.kv_heads, self.ways)
        self.by_sequence = plan.attention == "batch"
        self.normed = {  # tensors of which a norm takes whole rows
            op.reads[0].tensor: op.ranks["N"] for _, op in graph.ops() if op.op_class == "norm"
        }

    @property
    def slices(self) -> bool:
        """Whether a device sends its own features of tokens along the expert axis."""
        return self.plan.experts == "sliced" and self.plan.expert > 1

    def _width(self, access: Access) -> int:
        return self.before[access.tensor].shape[-1]

    def _moves(self, access: Access) -> bool:
        return self.before[access.tensor].role is not Role.WEIGHT

    def columns(self, name: str, ways: int) -> tuple[int, ...]:
        """Shape of a device's heads or features of a tensor; the last share may be padded."""
        shape = self.before[name].shape
        if len(shape) < 3:
            return (*shape[:-1], -(-shape[-1] // ways))
        problems = gcd(shape[0] // self.shape.batch_of(name), ways)  # key heads, of each sequence
        return shape[0] // problems, shape[1] // (ways // problems), *shape[2:]

    def _rowwise(self, op: Op, held: Held) -> Iterator[Op]:
        """All of an op on each device, or a share of its rows."""
        if held is ROWS and op.ranks["M"] * self._width(op.reads[0]) < (
            self.before[op.reads[0].tensor].elements
        ):  # a few tokens of all: they are gathered, and the rest goes on whole
            yield from self._sampled(op)
            return
        reads = tuple(
            self.want(a, held if self.before[a.tensor].shape[0] == op.ranks.get("M") else WHOLE)
            if self._moves(a) else self.part(a)
            for a in op.reads
        )  # fmt: skip
        for access in op.writes:
            shape = self.before[access.tensor].shape
            self.put(access.tensor, held, self.row_shape(self.before[access.tensor])
                     if held is ROWS else shape)  # fmt: skip
        op = replace(op, reads=reads)
        yield replace(op, ranks={**op.ranks, "M": op.ranks["M"] // self.ways}) if (
            held is ROWS) else op  # fmt: skip

    def _sampled(self, op: Op) -> Iterator[Op]:
        """An op over a few rows of a tensor whose rows are dealt out."""
        source, *rest = op.reads
        rows, width = op.ranks["M"], self._width(source)
        tensor = self.before[source.tensor]
        few = passing(tensor, f"{source.tensor}.gathered", (rows, width))
        self.before = {**self.before, few.name: few}
        self.exchange(f"{op.name}.all_gather", "all_gather", (source.tensor, few.name),
                      (rows, width), few.bytes)  # fmt: skip
        gather = self.out.pop()
        held = Access(source.tensor, (), -(-rows * width // self.ways))
        yield replace(gather, reads=(held,))
        read = Access(few.name, dims(*("MK" if op.kind is Kind.GEMM else "MN")))
        for access in op.writes:
            self.put(access.tensor, WHOLE)
        yield replace(op, reads=(read, *rest))
