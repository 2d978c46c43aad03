"""Weights that are gathered before use, over a part of the tensor axis or all of it.

Source: Pope et al., Efficiently Scaling Transformer Inference (MLSys 2023), section 3.2.3. Every
device stores its share of each matrix. Over the part of the axis that gathers, sequences are dealt
out and activations never move; along the rest, matrices are shared as ever. Of the token table only
the rows that a device looks up travel, assumed to lie evenly over the others.
"""

from __future__ import annotations

from dataclasses import replace

from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Access, Kind, Op
from archsim.ir.parallel import ParallelPlan
from archsim.ir.tensor import Role, Tensor
from archsim.parallel.batch import share_batch
from archsim.parallel.held import exchange, with_facts
from archsim.parallel.shape import Shape
from archsim.parallel.tensor import Tensors

REST = {"gathered_x": "yz", "gathered_xy": "z", "gathered_xyz": ""}


def gathered(graph: OpGraph, plan: ParallelPlan, shape: Shape) -> OpGraph:
    """A device's graph where matrices are gathered before each use."""
    rest = REST[plan.layout]
    part = plan.layout.removeprefix("gathered_")
    ways = plan.ways(f"tensor.{part}")
    graph, shape = share_batch(graph, ways, 0, shape)
    if rest and plan.ways(f"tensor.{rest}") > 1:
        graph = Tensors(graph, plan, shape, f"tensor.{rest}").run()
    return _gather(graph, f"tensor.{part}", ways)


def _gather(graph: OpGraph, axis: str, ways: int) -> OpGraph:
    """Store a share of each matrix, and gather it where it is used."""
    tensors = dict(graph.tensors)
    blocks = []
    for block in graph.blocks:
        ops: list[Op] = []
        for op in block.ops:
            wide = [a for a in op.reads if _matrix(graph.tensors[a.tensor])]
            ops += [_gathering(a, graph, tensors, axis, ways, op) for a in wide]
            names = {a.tensor: f"{a.tensor}.gathered" for a in wide}
            reads = tuple(replace(a, tensor=names.get(a.tensor, a.tensor)) for a in op.reads)
            ops.append(replace(op, reads=reads))
        blocks.append(Block(block.name, block.count, tuple(ops), block.carry, block.network))
    return with_facts(replace(graph, blocks=tuple(blocks), tensors=tensors))


def _matrix(tensor: Tensor) -> bool:
    return tensor.role is Role.WEIGHT and len(tensor.shape) > 1


def _gathering(
    access: Access,
    graph: OpGraph,
    tensors: dict[str, Tensor],
    axis: str,
    ways: int,
    op: Op,
) -> Op:
    weight = graph.tensors[access.tensor]
    name = weight.name
    whole = f"{name}.gathered"
    tensors[whole] = replace(weight, name=whole, role=Role.ACTIVATION)
    tensors[name] = replace(weight, shape=(-(-weight.shape[0] // ways), *weight.shape[1:]))
    width = weight.shape[-1]
    if op.kind is Kind.GATHER and 0 < (access.touched or 0) < weight.elements:
        assert access.touched is not None  # of a table, the rows of one's own tokens
        found = exchange(
            f"{op.name}.weight.all_to_all", "all_to_all", (name, whole),
            (access.touched // width, width), axis, ways, weight.dtype.bytes(access.touched),
        )  # fmt: skip
        read = Access(name, (), min(access.touched, tensors[name].elements))
        return replace(found, reads=(read,), writes=(Access(whole, (), access.touched),))
    size = (weight.elements // width, width)
    return exchange(f"{op.name}.weight.all_gather", "all_gather", (name, whole), size, axis, ways,
                    weight.bytes)  # fmt: skip
