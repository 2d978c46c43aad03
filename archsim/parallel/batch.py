"""Copies of a model, each with its share of the batch; also the parts that follow each other.

Weights are on every device; nothing is exchanged but gradients, which `gradients` adds up. Experts
have the tokens that fall on them: those of all sequences are dealt out in turn, so that every share
has as many.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from archsim.ir.graph import OpGraph
from archsim.ir.op import Op
from archsim.ir.tensor import Tensor
from archsim.parallel.experts import dealt_tokens
from archsim.parallel.held import with_facts
from archsim.parallel.rows import STORED, row_op, row_shape
from archsim.parallel.shape import Shape


def share_batch(graph: OpGraph, ways: int, index: int, shape: Shape) -> tuple[OpGraph, Shape]:
    """The graph of one share of the batch, and its sizes.

    Args:
        graph: of all sequences.
        ways: shares.
        index: which of them; those with sequences of other lengths differ.
        shape: of the graph.
    """
    if ways == 1:
        return graph, shape
    shapes = long_shapes(graph, ways, index, shape.batch)
    blocks = []
    for block in graph.blocks:
        ops = []
        for op in block.ops:
            found, parts = _share(op, graph.tensors, ways, index, shape.batch)
            ops.append(found)
            for name, size in parts.items():
                shapes.setdefault(name, size)
        blocks.append(replace(block, ops=tuple(ops)))
    tensors = {
        name: replace(t, shape=shapes.get(name, t.shape)) for name, t in graph.tensors.items()
    }
    fewer = replace(shape, batch=shape.batch // ways, tokens=shape.tokens // ways)
    return with_facts(replace(graph, blocks=tuple(blocks), tensors=tensors)), fewer


def _share(
    op: Op, tensors: Mapping[str, Tensor], ways: int, index: int, batch: int
) -> tuple[Op, dict[str, tuple[int, ...]]]:
    if op.op_class != "moe_expert":
        return row_op(op, tensors, ways, index, batch)
    names = {a.tensor for a in (*op.reads, *op.writes)}
    shapes = {n: row_shape(tensors[n], ways) for n in names if tensors[n].role not in STORED}
    return dealt_tokens(op, tensors, ways, index), shapes


def long_shapes(graph: OpGraph, ways: int, index: int, batch: int) -> dict[str, tuple[int, ...]]:
    """Shapes of tensors as long as contexts that differ: whoever else writes them follows."""
    found: dict[str, tuple[int, ...]] = {}
    for _, op in graph.ops():
        if op.groups and op.op_class != "moe_expert":
            found |= row_op(op, graph.tensors, ways, index, batch)[1]
    return found


def alike(graph: OpGraph, ways: int, batch: int) -> bool:
    """Whether all shares of a batch have the same sequences."""
    for _, op in graph.ops():
        if op.groups and op.op_class != "moe_expert":
            problems = Fraction(sum(g.count for g in op.groups), batch)
            if any((g.count / problems) % ways for g in op.groups):
                return False
    return True
