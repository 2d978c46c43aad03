"""The sum of gradients over copies of a model, a collective for the gradients of each block.

It stands at the end of the block's backward pass, so that it is on its way while the next block's
is computed; where several microbatches add up, once behind all of them.
"""

from __future__ import annotations

from dataclasses import replace

from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Access, Op
from archsim.ir.parallel import ParallelPlan
from archsim.ir.tensor import Role
from archsim.parallel.held import exchange

BEHIND = ".gradients"


def sum_gradients(graph: OpGraph, plan: ParallelPlan) -> OpGraph:
    """A device's graph of a training step whose gradients are those of all copies."""
    if plan.data == 1:
        return graph
    blocks: list[Block] = []
    later: list[Block] = []
    backward = [b for b in graph.blocks if b.name.endswith(".backward")]
    final = {name: b.name for b in backward for name in _written(graph, b)}  # the last that adds
    for block in graph.blocks:
        names = _written(graph, block)
        if plan.pipeline == 1:  # else a tied table is on two stages, once on each
            names = [n for n in names if final.get(n) == block.name]
        if not names or not block.name.endswith(".backward"):
            blocks.append(block)
            continue
        op = _bucket(graph, names, plan.data)
        if (plan.microbatches or 1) > 1:
            blocks.append(block)
            base = block.name.removesuffix(".backward")
            later.append(Block(base + BEHIND, block.count, (op,), (), block.network))
        else:
            blocks.append(replace(block, ops=(*block.ops, op)))
    behind = [b for b in blocks if b.name.endswith(".update")]
    before = [b for b in blocks if b not in behind]
    return replace(graph, blocks=(*before, *later, *behind))


def _written(graph: OpGraph, block: Block) -> list[str]:
    """Gradients of weights that a block yields."""
    return list(
        dict.fromkeys(
            a.tensor
            for op in block.ops
            for a in op.writes
            if graph.tensors[a.tensor].role is Role.GRADIENT
        )
    )


def _bucket(graph: OpGraph, names: list[str], ways: int) -> Op:
    """One all-reduce of several gradients, in place."""
    size = sum(graph.tensors[n].bytes for n in names)
    points = sum(graph.tensors[n].elements for n in names)
    op = exchange("gradients.all_reduce", "all_reduce", (names[0], names[0]), (1, points),
                  "data", ways, size)  # fmt: skip
    every = tuple(Access(n) for n in names)
    return replace(op, reads=every, writes=every)
