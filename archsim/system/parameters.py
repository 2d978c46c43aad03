"""Which operands of a vector op every row shares: they are read once an op, not tile by tile."""

from __future__ import annotations

from archsim.ir.graph import OpGraph
from archsim.ir.op import Access, Kind, Op
from archsim.ir.tensor import Role


def is_parameter(op: Op, graph: OpGraph, access: Access) -> bool:
    """True for an operand that every row shares, such as a norm's scale: read once per op."""
    tensor = graph.tensors[access.tensor]
    touched = tensor.elements if access.touched is None else access.touched
    shared = touched <= op.points() // op.rows()
    return op.kind is not Kind.GATHER and tensor.role is Role.WEIGHT and shared
