"""The ONNX operators that have a cost, by name, and the walk from nodes to ops."""

from __future__ import annotations

from archsim.ir.op import Op
from archsim.lowering.onnx.attention import ATTENTION, joined
from archsim.lowering.onnx.moves import MOVES
from archsim.lowering.onnx.nodes import Onnx
from archsim.lowering.onnx.points import POINTS
from archsim.lowering.onnx.products import PRODUCTS
from archsim.lowering.onnx.walk import Handler, Walk
from archsim.lowering.parts import Parts

OPERATORS: dict[str, Handler] = {**ATTENTION, **MOVES, **POINTS, **PRODUCTS}


def supported() -> str:
    """The operators in one line, ONNX's own before those of other domains."""
    return ", ".join(sorted(OPERATORS, key=lambda name: ("." in name, name.lower())))


def ops_of(model: Onnx, parts: Parts) -> tuple[Op, ...]:
    """The ops of a model in its order; tensors are left in `parts`.

    Raises:
        Unsupported: E302 for a node whose form has no cost model.
    """
    walk = Walk(parts, model)
    for node in model.nodes:
        if node.name not in walk.done:
            OPERATORS[node.op](walk, node)
    return tuple(joined(walk.ops))
