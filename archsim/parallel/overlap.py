"""A product and the collective behind it, cut by rows: one part is sent while the next is made.

Source: Wang et al., Overlap Communication with Dependent Computation via Decomposition (2023).
What reads the result waits for all parts. Whether an engine can compute meanwhile is the machine's
affair.
"""

from __future__ import annotations

from dataclasses import replace

from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Access, Dim, Kind, Op
from archsim.ir.tensor import Tensor
from archsim.parallel.held import passing

CUT = ("all_reduce", "reduce_scatter", "all_gather")


def overlap(graph: OpGraph, chunks: int) -> OpGraph:
    """A graph whose products are cut before a collective of their own result."""
    if chunks == 1:
        return graph
    tensors = dict(graph.tensors)
    blocks = tuple(_block(block, tensors, chunks) for block in graph.blocks)
    return replace(graph, blocks=blocks, tensors=tensors)


def overlaps(graph: OpGraph) -> bool:
    """Whether a graph has collectives that were cut."""
    return any(
        op.collective is not None and op.collective.pattern in CUT
        and op.name.rpartition(".")[2].isdigit()
        for _, op in graph.ops()
    )  # fmt: skip


def _block(block: Block, tensors: dict[str, Tensor], chunks: int) -> Block:
    ops: list[Op] = []
    for op in block.ops:
        maker = ops[-1] if ops else None
        if maker and _fits(maker, op, chunks):
            ops.pop()
            ops += _pieces(maker, op, tensors, chunks)
        else:
            ops.append(op)
    return replace(block, ops=tuple(ops))


def _fits(maker: Op, op: Op, chunks: int) -> bool:
    """Whether a collective exchanges what a plain product has just made."""
    return (
        op.kind is Kind.COLLECTIVE and op.collective is not None
        and op.collective.pattern in CUT
        and maker.kind is Kind.GEMM and not maker.groups and maker.ranks["B"] == 1
        and maker.ranks["M"] >= chunks and len(maker.writes) == 1
        and maker.writes[0].tensor == op.reads[0].tensor
        and op.reads[0].touched is None and op.ranks["M"] == maker.ranks["M"]
    )  # fmt: skip


def _pieces(maker: Op, op: Op, tensors: dict[str, Tensor], chunks: int) -> list[Op]:
    """Parts of a product, each with its part of the collective."""
    rows, found, start = maker.ranks["M"], [], 0
    made, result = tensors[maker.writes[0].tensor], tensors[op.writes[0].tensor]
    assert op.collective is not None
    for i in range(chunks):
        size = rows // chunks + (i < rows % chunks)
        part = passing(made, f"{made.name}.{i}", (size, made.elements // rows))
        tensors[part.name] = part
        reads = (_some(maker.reads[0], tensors, start, size, rows), *maker.reads[1:])
        write = replace(maker.writes[0], tensor=part.name, touched=None)
        ranks = {**maker.ranks, "M": size}
        found.append(replace(maker, name=f"{maker.name}.{i}", ranks=ranks, reads=reads,
                             writes=(write,)))  # fmt: skip
        size_bytes = op.collective.size_bytes * (start + size) // rows
        size_bytes -= op.collective.size_bytes * start // rows
        touched = result.elements * (start + size) // rows - result.elements * start // rows
        found.append(
            replace(
                op, name=f"{op.name}.{i}", ranks={**op.ranks, "M": size},
                reads=(Access(part.name),), writes=(Access(result.name, (), touched),),
                collective=replace(op.collective, size_bytes=size_bytes),
            )
        )  # fmt: skip
        start += size
    return found


def _some(access: Access, tensors: dict[str, Tensor], start: int, size: int, rows: int) -> Access:
    """Some rows of what a product reads."""
    whole = access.touched or tensors[access.tensor].elements
    touched = whole * size // rows
    dims = tuple(
        Dim(d.terms, d.offset + start * d.terms[0][1]) if d.terms and d.terms[0][0] == "M" else d
        for d in access.dims
    )
    return Access(access.tensor, dims, touched)
