"""Capacity: what the nearest memory must hold, by role, and the refusal where it does not fit."""

from __future__ import annotations

from collections.abc import Sequence

from archsim.core.errors import Infeasible
from archsim.core.units import format_bytes
from archsim.ir.graph import OpGraph
from archsim.ir.tensor import Role, Tensor
from archsim.memory.base import Memory
from archsim.system.build import Machine
from archsim.system.place import StagedBlock
from archsim.system.residency import most_live_bytes
from archsim.system.tier_classes import fewer, under_way


def room_key(memory: Memory) -> str:
    """The key of a description that gives a memory more room: stacks, where they say how much."""
    spec = memory.spec
    stacked = getattr(spec, "standard", None) is not None and spec.capacity is None
    return f"memory.{memory.name}.{'stacks' if stacked else 'capacity'}"


def check_capacity(
    graph: OpGraph,
    machine: Machine,
    resident: frozenset[str],
    blocks: Sequence[StagedBlock] = (),
    held: int = 1,
) -> dict[str, int]:
    """Bytes that DRAM must hold, by role.

    Each activation has room of its own, unless they only fit where room is used again: then it is
    the most that live at once.

    Args:
        graph: of a device.
        machine: the device.
        resident: activations that stay on chip.
        blocks: what runs when, which says how long activations live.
        held: microbatches under way at once: each has its own cache, and its own activations that
            wait for a backward pass.

    Raises:
        Infeasible: E401 with the shortfall when they do not fit.
    """
    spilled: dict[str, Tensor] = {
        a.tensor: graph.tensors[a.tensor]
        for _, op in graph.ops()
        for a in (*op.reads, *op.writes)
        if graph.tensors[a.tensor].role is Role.ACTIVATION and a.tensor not in resident
    }
    need = {
        "weights": graph.stored_bytes(Role.WEIGHT),
        "kv_cache": held * graph.stored_bytes(Role.KV_CACHE),
        "activations": sum(t.bytes for t in spilled.values()),
    }
    beside = {
        "saved activations": held * graph.stored_bytes(Role.SAVED),
        "gradients": graph.stored_bytes(Role.GRADIENT),
        "optimizer": graph.stored_bytes(Role.OPTIMIZER),
    }
    need |= {name: size for name, size in beside.items() if size}  # of training alone
    total, dram = sum(need.values()), machine.dram
    if total > dram.capacity_bytes and blocks:
        need["activations"] = most_live_bytes(graph, blocks, spilled)
        total = sum(need.values())
    if total > dram.capacity_bytes:
        parts = ", ".join(f"{role} {format_bytes(n)}" for role, n in need.items())
        raise Infeasible(
            f"{graph.name} needs {format_bytes(total)}{under_way(held)}, {dram.name} holds "
            f"{format_bytes(dram.capacity_bytes)} "
            f"(short by {format_bytes(total - dram.capacity_bytes)})",
            code="E401",
            help=f"{parts}; {fewer(held)}narrower dtypes, a smaller batch, or "
            f"--set {room_key(dram)}=...",
            details={"need_bytes": need, "capacity_bytes": dram.capacity_bytes},
        )
    return need
