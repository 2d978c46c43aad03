"""What an op asks of an engine inside a memory: one product, and how its matrices lie.

A layout is chosen for a matrix, not for an op: whoever estimates and whoever runs asks alike.
"""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from archsim.components._pim import PimEngine
from archsim.core.errors import Unmappable
from archsim.ir.graph import OpGraph
from archsim.ir.op import Op
from archsim.ir.pim import Layout, Product
from archsim.ir.problem import Extents, problem
from archsim.ir.tensor import Role
from archsim.system.build import Machine
from archsim.system.layouts import InsideLayout


def product_of(
    machine: Machine, graph: OpGraph, op: Op, engine: PimEngine, accumulator_bits: int = 32
) -> Product:
    """A GEMM as an engine inside a memory is asked for it.

    Matrices of a cache are dealt over channels, each of them whole; a weight lies over all.
    """
    view = problem(op, graph.tensors, accumulator_bits)
    asked = Product(
        cases=view.cases,
        matrix_bits=float(view.weight_bits),
        in_bits=float(view.bits["in"]),
        out_bits=float(view.bits["out"]),
        layout="interleaved",
        dealt=graph.tensors[op.reads[1].tensor].role is Role.KV_CACHE,
        together=_together(graph, op) if engine.spec.deal != "spread" else 1,
        over=machine.spec.layout.inside.values_over if op.op_class == "attention_value" else None,
    )
    said = _layout(machine, graph, op)
    if said is not None:
        return replace(asked, layout=said)
    if graph.tensors[op.reads[1].tensor].role is Role.WEIGHT:
        asked = replace(asked, layout=_best(engine, asked))
    try:
        engine.product(asked)
    except Unmappable:  # a sum is longer than a row of a bank
        return replace(asked, layout="row")
    return asked


def _best(engine: PimEngine, asked: Product) -> Layout:
    """The layout in which one vector takes the least time with such a matrix, alone.

    It is a property of the matrix and the machine, so that a weight lies alike in all runs.
    """
    shapes = dict.fromkeys((e.n, e.k) for e in asked.cases)
    alone = replace(asked, cases=tuple(Extents(1, 1, n, k) for n, k in shapes), together=1)
    found: dict[Layout, int] = {}
    for layout in get_args(Layout):
        try:
            found[layout] = engine.product(replace(alone, layout=layout)).banks_ps
        except Unmappable:
            continue
    return min(found, key=found.__getitem__, default="row")


def _together(graph: OpGraph, op: Op) -> int:
    """Matrices of a cache that belong to one sequence: its key heads."""
    own = op.writes[0] if op.op_class == "attention_value" else op.reads[0]
    tensor = graph.tensors[own.tensor]
    rows = (tensor.elements if own.touched is None else own.touched) // tensor.shape[-1]
    matrices = sum(ranks["B"] for _, ranks in op.cases())
    return matrices * op.queries // rows if op.queries and rows <= matrices * op.queries else 1


def _layout(machine: Machine, graph: OpGraph, op: Op) -> Layout | None:
    """As the machine says; None where it does not.

    Keys and values that are one tensor lie as keys do: the tokens that values sum are then in
    different banks.
    """
    name = op.reads[1].tensor
    said: InsideLayout = machine.spec.layout.inside
    if graph.tensors[name].role is Role.WEIGHT:
        return said.weights
    if op.op_class != "attention_value":
        return said.keys
    return said.values or ("column" if _is_keys(graph, name) else None)


def _is_keys(graph: OpGraph, tensor: str) -> bool:
    """Whether scores are made with a tensor."""
    return any(
        op.op_class == "attention_score" and op.reads[1].tensor == tensor for _, op in graph.ops()
    )
