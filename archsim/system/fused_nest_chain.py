"""Which ops of a block a rule runs as one fused nest: a feed-forward block from its first product.

What such a nest says is read in `fused_nest_written`; here it is only found, or refused as no
block.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from archsim.components.base import KernelEngine, MacEngine, VectorEngine
from archsim.components.spatial_pipeline import SpatialPipeline
from archsim.core.errors import Unmappable
from archsim.ir.graph import Block, OpGraph
from archsim.ir.nest_fused import fused_problem
from archsim.system.build import Machine, selects
from archsim.system.chains import tail_of
from archsim.system.parameters import is_parameter
from archsim.system.rules import engine_of

FUSED = "fused_feed_forward"


def fused_ops(
    graph: OpGraph,
    machine: Machine,
    block: Block,
    at: int,
    flow: tuple[Mapping[str, list[int]], Mapping[str, int], set[str]],
    used: set[str],
) -> tuple[list[int], VectorEngine] | None:
    """Places of the ops of a fused nest that begins at an op, and the engine of its vector ops.

    Those that take the results on are with them. None where no nest begins here; `flow` says who
    reads and who writes each tensor of the block, and which ones others read.

    Raises:
        Unmappable: where the ops that a rule names are no block that can stay on chip.
    """
    op = block.ops[at]
    engine = engine_of(machine, f"{block.name}/{op.name}", op, used)
    if not op.is_mac or not isinstance(engine, MacEngine):
        return None
    if isinstance(engine, KernelEngine | SpatialPipeline):
        return None
    chain = fused_chain(graph, machine, block, at, flow[0], flow[2])
    if not chain:
        return None
    act = block.ops[chain[-2]]
    vector = engine_of(machine, f"{block.name}/{act.name}", act, used)
    last = block.ops[chain[-1]]
    other = engine_of(machine, f"{block.name}/{last.name}", last, used)
    if not isinstance(vector, VectorEngine) or other is not engine:
        raise Unmappable(
            f"{last.name} runs on {other.name} and {act.name} on {vector.name}: a fused nest has "
            "its products on one engine, and a vector_unit beside it",
            code="E302",
        )
    tail, taker = tail_of(machine, block, chain[-1], flow, used)
    return [*chain, *(_elementwise(graph, block, tail) if taker is vector else ())], vector


def fused_chain(
    graph: OpGraph,
    machine: Machine,
    block: Block,
    at: int,
    readers: Mapping[str, Sequence[int]],
    outside: Set[str],
) -> list[int]:
    """Places of the ops that a rule fuses from a product on; empty where none does.

    Args:
        graph: holds the block.
        machine: its mapping rules are asked.
        block: of the product.
        at: place of the product.
        readers: who reads a tensor in the block, by place.
        outside: tensors that are read beyond the block.

    Raises:
        Unmappable: where the ops that a rule names are no block that can stay on chip.
    """
    number = _rule(machine, block, at)
    if number is None:
        return []
    rule = machine.spec.mapping[number]
    places = [
        i
        for i, op in enumerate(block.ops)
        if selects(rule.ops, f"{block.name}/{op.name}", op.op_class)
    ]
    ops = [block.ops[i] for i in places]
    details = {"path": f"mapping[{number}].ops"}
    try:
        fused_problem(ops, graph.tensors)
    except Unmappable as error:
        raise Unmappable(error.message, code=error.code, help=error.help, details=details) from None
    if places != list(range(at, at + len(places))):
        between = next(o.name for i, o in enumerate(block.ops) if i >= at and i not in places)
        raise Unmappable(
            f"{between} lies between the ops of one nest: {', '.join(op.name for op in ops)}",
            code="E302", details=details,
        )  # fmt: skip
    for op in ops[:-1]:
        tensor = op.writes[0].tensor
        others = [block.ops[i].name for i in readers.get(tensor, ()) if i not in places]
        if others or tensor in outside:
            who = ", ".join(others) or "another block"
            raise Unmappable(
                f"{op.name}: {who} reads {tensor} too, so that it cannot stay in tiles on chip",
                code="E302", details=details,
            )  # fmt: skip
    return places


def _elementwise(graph: OpGraph, block: Block, places: Sequence[int]) -> list[int]:
    """Of vector ops that take results on, those up to the first with a reduction or parameters."""
    found = []
    for place in places:
        op = block.ops[place]
        if op.reduces or any(is_parameter(op, graph, access) for access in op.reads):
            break
        found.append(place)
    return found


def _rule(machine: Machine, block: Block, at: int) -> int | None:
    """Number of the rule whose nest is for an op, where it fuses."""
    op = block.ops[at]
    for i, rule in enumerate(machine.spec.mapping):
        if rule.nest is not None and selects(rule.ops, f"{block.name}/{op.name}", op.op_class):
            return i if rule.nest.fuse is not None else None
    return None
