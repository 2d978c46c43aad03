"""Parts of a product with weights: columns of its outputs for each engine.

Each part has its own columns of the weights, in whichever memory its engine reads them, and writes
its own results; both read all of the input.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Access, Kind, Op
from archsim.ir.tensor import Role, Tensor
from archsim.system.split_parts import Part, Span, own_name, portion

COLUMNS = 64  # that are dealt together: few products are cut finer by their kernels


@dataclass(frozen=True)
class Columns:
    """A product whose columns may be dealt, so many at once."""

    op: Op

    @property
    def sizes(self) -> tuple[int, ...]:
        """Columns of each item; the last has what is left."""
        whole, rest = divmod(self.op.ranks["N"], COLUMNS)
        return (COLUMNS,) * whole + ((rest,) if rest else ())

    def part(self, graph: OpGraph, start: int, stop: int, engine: str) -> Part:
        """The part of an engine: the items from one on up to another."""
        op, n = self.op, self.op.ranks["N"]
        span = Span(min(start * COLUMNS, n), min(stop * COLUMNS, n), n)
        mine = span.of(n)
        tensors: dict[str, Tensor] = {}

        def own(access: Access) -> Access:
            tensor = graph.tensors[access.tensor]
            if tensor.role is not Role.WEIGHT or tensor.shape[-1] != n:
                return portion(graph, access, span)
            name = own_name(tensor.name, engine)
            tensors[name] = replace(tensor, name=name, shape=(*tensor.shape[:-1], mine))
            return replace(access, tensor=name)

        part = replace(
            op,
            name=own_name(op.name, engine),
            ranks={**op.ranks, "N": mine},
            reads=(op.reads[0], *(own(a) for a in op.reads[1:])),
            writes=tuple(portion(graph, a, span) for a in op.writes),
            split_for=engine,
        )
        return Part(engine, (part,), tensors)


def column_chains(graph: OpGraph, block: Block) -> Iterator[tuple[Op, ...]]:
    """Products with weights of their own, each for itself."""
    readers: dict[str, int] = {}
    for other in graph.blocks:
        for op in other.ops:
            for access in op.reads:
                readers[access.tensor] = readers.get(access.tensor, 0) + 1
    for op in block.ops:
        if op.kind is not Kind.GEMM or op.picks is not None or op.groups:
            continue
        weight = graph.tensors[op.reads[1].tensor]
        alone = weight.role is Role.WEIGHT and readers[weight.name] == 1
        if alone and weight.shape == (op.ranks["K"], op.ranks["N"]):
            yield (op,)
