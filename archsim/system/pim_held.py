"""Whether a memory holds what an engine inside it multiplies by, padding of its layout included."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from math import ceil

from archsim.core.errors import Infeasible, InputError
from archsim.core.units import format_bytes
from archsim.ir.graph import OpGraph
from archsim.ir.pim import STORED, PimMapping, PimStep
from archsim.ir.tensor import Tensor
from archsim.system.build import Machine
from archsim.system.cached_share import rule_of
from archsim.system.capacity import room_key
from archsim.system.homes import Homes
from archsim.system.place import Stage, StagedBlock

PADDING = "padding"  # class of bytes that a layout leaves empty


def settle_inside(
    blocks: Sequence[StagedBlock],
    graph: OpGraph,
    machine: Machine,
    homes: Homes,
    need: Mapping[str, int],
) -> tuple[Homes, dict[str, int]]:
    """Homes and bytes by class with the padding of matrices that are read where they lie.

    Raises:
        InputError: E202 where a matrix lies in another memory than its engine is inside of.
        Infeasible: E401 where a memory does not hold its matrices with their padding.
    """
    padding: dict[str, int] = {}
    seen: set[str] = set()
    for block, stage, mapping, step, tensor in _matrices(blocks, graph):
        _lies_inside(stage, mapping, tensor, machine, homes)
        if tensor.name in seen:
            continue
        seen.add(tensor.name)
        more = Fraction(step.work.stored_bytes, max(1, step.work.matrix_bytes)) - 1
        each = ceil(tensor.bytes * max(Fraction(0), more))
        padding[mapping.memory] = padding.get(mapping.memory, 0) + block.block.count * each
    inside = machine.spec.layout.inside
    other = "another layout, " if inside.weights or inside.keys or inside.values else ""
    for memory, size in padding.items():
        held = sum(homes.held.get(memory, need).values()) + homes.reserved(memory) + size
        capacity = machine.memories[memory].capacity_bytes
        if held > capacity:
            raise Infeasible(
                f"{graph.name} needs {format_bytes(held)} of {memory}, {format_bytes(size)} of it "
                f"padding of matrices that are read there; it holds {format_bytes(capacity)}",
                code="E401",
                help=f"{other}fewer ops inside it, a smaller batch, or "
                f"--set {room_key(machine.memories[memory])}=...",
                details={"path": "layout.inside"} if other else {},
            )
    padding = {memory: size for memory, size in padding.items() if size}
    if not padding:
        return homes, dict(need)
    if homes.held:
        held_there = {
            memory: {**classes, **({PADDING: padding[memory]} if memory in padding else {})}
            for memory, classes in homes.held.items()
        }
        homes = replace(homes, held=held_there)
    return homes, {**need, PADDING: sum(padding.values())}


def _matrices(
    blocks: Sequence[StagedBlock], graph: OpGraph
) -> Iterator[tuple[StagedBlock, Stage, PimMapping, PimStep, Tensor]]:
    """Every product inside a memory, with its matrix."""
    for block in blocks:
        for stage in block.stages:
            if isinstance(stage.mapping, PimMapping):
                products = (op for op in stage.ops if op.is_mac)
                for op, step in zip(products, stage.mapping.steps, strict=True):
                    tensor = graph.tensors[op.reads[1].tensor]
                    yield block, stage, stage.mapping, step, tensor


def _lies_inside(
    stage: Stage, mapping: PimMapping, tensor: Tensor, machine: Machine, homes: Homes
) -> None:
    """Refuse a matrix of which some lies elsewhere.

    Raises:
        InputError: E202.
    """
    lies = dict(homes.far.get(tensor.name, ()))
    nearest = machine.dram.name
    lies[nearest] = tensor.bytes - sum(lies.values())
    elsewhere = [name for name, size in lies.items() if size and name != mapping.memory]
    if not elsewhere:
        return
    key = STORED[tensor.role]
    said = rule_of(machine.spec.placement.residency, key, tensor.name)
    lie = f"{key}: [{mapping.memory}]"
    if said.memories:
        lie = f'residency: [{{of: "{said.of}", memories: [{mapping.memory}]}}]'
    raise InputError(
        f"{stage.path} runs on {mapping.engine} inside {mapping.memory}, "
        f"and {format_bytes(lies[elsewhere[0]])} of {tensor.name} lie in {elsewhere[0]}",
        code="E202",
        help=f"placement: {{{lie}}}, or dispatch it to another engine",
        details={"path": "placement"},
    )
