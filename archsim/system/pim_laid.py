"""Matrices in a layout made for units inside a memory, and what others pay who write or read them.

Which ones: those that an engine inside a memory reads in this run; and where the machine states the
layout, all that a dispatch rule may send there, for then they lie so in every run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Literal

from archsim.components._pim import PimEngine
from archsim.ir.graph import OpGraph
from archsim.ir.op import Access, Kind, Op
from archsim.ir.pim import STORED, PimMapping, Product
from archsim.ir.tensor import Role
from archsim.system.build import Machine, selects
from archsim.system.dispatch_default import deals
from archsim.system.dispatch_estimate import can_take
from archsim.system.dispatch_rule import AUTO
from archsim.system.layouts import InsideLayout
from archsim.system.pim_ask import product_of

if TYPE_CHECKING:
    from archsim.system.place import Plan, StagedBlock


@dataclass(frozen=True)
class Laid:
    """How a tensor lies: for which engine, as matrices of which product.

    `grows` is the extent that is one longer for every new token of a cache: keys are outputs of
    scores, values are summed.
    """

    engine: PimEngine
    product: Product
    grows: Literal["n", "k"]


def laid_inside(
    blocks: Sequence[StagedBlock], graph: OpGraph, machine: Machine
) -> Mapping[str, Laid]:
    """Tensors that lie as an engine inside a memory wants them, by name."""
    found: dict[str, Laid] = {}
    for block in blocks:
        for stage in block.stages:
            if isinstance(stage.mapping, PimMapping) and isinstance(stage.engine, PimEngine):
                products = (op for op in stage.ops if op.is_mac)
                for op, step in zip(products, stage.mapping.steps, strict=True):
                    laid = Laid(stage.engine, step.product, _grows(op))
                    found.setdefault(op.reads[1].tensor, laid)
    for op, engine in _stated(graph, machine):
        if op.reads[1].tensor not in found:
            product = product_of(machine, graph, op, engine)
            found[op.reads[1].tensor] = Laid(engine, product, _grows(op))
    return found


def _grows(op: Op) -> Literal["n", "k"]:
    return "k" if op.op_class == "attention_value" else "n"


def _stated(graph: OpGraph, machine: Machine) -> Iterator[tuple[Op, PimEngine]]:
    """Products whose matrices the machine says lie so, with the engine that they may be sent to."""
    said = machine.spec.layout.inside
    if said == InsideLayout():
        return
    for block, op in graph.ops():
        if op.kind is not Kind.GEMM or graph.tensors[op.reads[1].tensor].role not in STORED:
            continue
        weight = graph.tensors[op.reads[1].tensor].role is Role.WEIGHT
        if (said.weights if weight else said.keys or said.values) is None:
            continue
        inside = _may_run(graph, machine, f"{block.name}/{op.name}", op)
        if inside is not None:
            yield op, inside


def _may_run(graph: OpGraph, machine: Machine, path: str, op: Op) -> PimEngine | None:
    """The first engine inside a memory that rules may send an op to, in some run.

    What a rule sends elsewhere whatever the run, no later one gets.
    """
    for rule in machine.spec.dispatch:
        if not selects(rule.ops, path, op.op_class) or (rule.split and not deals(rule.split, op)):
            continue
        names = rule.split.over if rule.split else rule.among or tuple(sorted(machine.engines))
        if rule.run_on not in (None, AUTO):
            names = (str(rule.run_on),)
        units = [machine.engines[name] for name in names]
        able = [unit for unit in units if can_take(machine, graph, unit, op)]
        inside = next((unit for unit in able if isinstance(unit, PimEngine)), None)
        if inside is not None:
            return inside
        if able and rule.always:
            return None
    return None


@dataclass(frozen=True, slots=True)
class Written:
    """What new elements of a cache take of its memory, for a part of them.

    Attributes:
        dur_ps: on the memory's port.
        read_bytes: read first, because an access is written in part.
        write_bytes: whole accesses.
        opened: rows opened for them.
    """

    dur_ps: int
    read_bytes: int
    write_bytes: int
    opened: int


def written(plan: Plan, access: Access, size_bytes: int) -> Written | None:
    """What a tile of new tokens takes in a layout for units; None for what lies in no such one."""
    laid = plan.laid.get(access.tensor)
    tensor = plan.graph.tensors[access.tensor]
    if laid is None or tensor.role is not Role.KV_CACHE:
        return None
    whole = plan.graph.touched_bytes(access)
    gather = plan.machine.spec.layout.inside.gather
    tokens = _tokens(plan, laid, access)
    found = laid.engine.append(laid.product, laid.grows, tokens=tokens, gathered=gather)
    part = Fraction(min(size_bytes, whole), whole)
    return Written(
        max(1, ceil(found.banks_ps * part)),
        ceil(found.read_bytes * part),
        max(size_bytes, ceil(found.write_bytes * part)),
        ceil(found.activates * part),
    )


def _tokens(plan: Plan, laid: Laid, access: Access) -> int:
    """New tokens of each matrix."""
    tensor = plan.graph.tensors[access.tensor]
    elements = tensor.elements if access.touched is None else access.touched
    cases = laid.product.cases
    each = sum(e.b * (e.n if laid.grows == "k" else e.k) for e in cases)  # of one token of all
    return max(1, round(elements / each))


def read_share(plan: Plan, tensor: str) -> float:
    """Share of the bandwidth at which another engine reads a tensor."""
    laid = plan.laid.get(tensor)
    return 1.0 if laid is None else laid.engine.read_share(laid.product)
