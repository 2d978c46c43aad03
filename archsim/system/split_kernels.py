"""What a part takes as kernels: those that its engine's library would choose, by their own forms.

A roofline knows nothing of launches, of tiles that are filled in part, or of what an attention
kernel waits for, and those decide small parts.
"""

from __future__ import annotations

from collections.abc import Mapping

from archsim.components.base import KernelEngine
from archsim.core.units import PS_PER_S
from archsim.dataflows.base import covers_attention
from archsim.ir.attention import AttentionMapping
from archsim.ir.graph import OpGraph
from archsim.ir.kernel import GridMapping
from archsim.ir.op import Op
from archsim.ir.tensor import Role
from archsim.system.build import Machine
from archsim.system.flash_backward_chain import FLASH
from archsim.system.kernel import kernel_stage
from archsim.system.place import Stage
from archsim.system.room import Room
from archsim.system.rules import rule_option
from archsim.system.split_parts import Part


def kernels_ps(
    machine: Machine, graph: OpGraph, block: str, part: Part, shares: Mapping[str, float]
) -> tuple[int, int]:
    """Picoseconds of the kernels of a part one after the other, and of those what memory takes.

    Args:
        machine: that the kernels run on.
        graph: with the tensors of the part.
        block: that its ops are of.
        part: for an engine that runs kernels; activations that fit stay on chip.
        shares: of the bandwidth at which tensors are read, where they lie for another engine.
    """
    engine = machine.engines[part.engine]
    assert isinstance(engine, KernelEngine)
    half = machine.sram.capacity_bytes // 2
    here = frozenset(
        t.name for t in graph.tensors.values() if t.role is Role.ACTIVATION and t.bytes <= half
    )
    room = Room(graph, machine, here, half, 32, set())
    launch_ps = round((engine.launch_s or 0.0) * PS_PER_S)
    time_ps = memory_ps = 0
    for ops, template in _stages(machine, block, part):
        stage = Stage(block, ops, engine, template=template, launch_ps=launch_ps)
        whole, moved = _times(kernel_stage(stage, room), machine, shares)
        time_ps, memory_ps = time_ps + whole, memory_ps + moved
    return time_ps, memory_ps


def _stages(machine: Machine, block: str, part: Part) -> list[tuple[tuple[Op, ...], str]]:
    """The ops of each kernel, and its template: an attention may be one kernel."""
    first = part.ops[0]
    if first.op_class == "attention_score":
        asked = rule_option(machine, f"{block}/{first.name}", first, "dataflow", set())
        if asked and covers_attention(asked):
            return [(part.ops, FLASH)]
    return [((op,), "") for op in part.products]


def _times(stage: Stage, machine: Machine, shares: Mapping[str, float]) -> tuple[int, int]:
    """Picoseconds of a kernel with its launch, and of what passes through memory."""
    mapping = stage.mapping
    assert isinstance(mapping, AttentionMapping | GridMapping)
    memory_ps = sum(
        round(
            machine.dma.transfer_ps(machine.dram, flow.size_bytes, mapping.efficiency)
            / shares.get(flow.tensor, 1.0)
        )
        for flow in (*mapping.loads, *mapping.stores)
    )
    if isinstance(mapping, AttentionMapping):
        compute_ps, tail_ps = mapping.compute_ps, mapping.tail_ps
    else:
        compute_ps = round(mapping.grid.compute_ps * mapping.grid.stretch)
        tail_ps = mapping.grid.join_ps
    return stage.launch_ps + max(compute_ps, memory_ps) + tail_ps, memory_ps
