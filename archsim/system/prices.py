"""The energy row of what a run counts: which component's, and of which action."""

from __future__ import annotations

from archsim.components._pim import PimEngine
from archsim.ir.record import Price
from archsim.system.build import Machine

# counts that measure and spend nothing
FREE = {"array", "bound", "inside", "skipped", "staging", "sent", "vector.points", "vector.cycles"}


def price(machine: Machine, key: str) -> Price | None:
    """Energy row of a count such as `mac.bf16` or `dram.read.weight.in`; None if it is free.

    Raises:
        InputError: for an action without a row in the machine's table.
    """
    kind, _, action = key.partition(".")
    owner, _, action_there = action.partition(".")
    if kind in FREE or key in FREE or key.startswith("mac.in_pe."):  # its unit's cycles are priced
        return None
    if kind == "sram":
        spec = machine.sram.spec
        macro = machine.table.sram(spec.capacity, spec.width_bits, spec.banks, spec.energy)
        row, component = macro.read if action == "read" else macro.write, machine.sram.name
    elif kind == "dram":
        row = machine.table.of(machine.dram.energy_class(), action.partition(".")[0])
        component = machine.dram.name
    elif kind == "tier":
        memory = machine.memories[owner]
        row = machine.table.of(memory.energy_class(), action_there.partition(".")[0])
        component = owner
    elif kind == "pim":
        engine = machine.engines[owner]
        assert isinstance(engine, PimEngine)
        row, component = engine.price(machine.table, action_there), owner
    elif kind == "reopen":
        row, component = machine.table.of(machine.memories[owner].energy_class(), kind), owner
    elif kind == "dma":
        row, component = machine.table.of("dma", action), machine.dma.name
    elif kind == "hop":
        if action_there != "taken":
            return None  # the same bytes at its other end
        row, component = machine.table.of("dma", "transfer"), owner
    elif kind == "flow":
        assert machine.noc is not None
        return machine.noc.price(key)
    elif kind == "link":
        assert machine.port is not None
        return machine.port.price(key)
    else:
        row, component = machine.table.of(kind, action), kind
    return Price(component, row.pj, row.source, row.accuracy)
