"""Options that a run did not listen to, and memories stated larger than their banks.

A known key without effect is a warning that names it; those of mapping rules are a file of their
own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from archsim.components._pim import PimEngine
from archsim.components.base import Engine, KernelEngine, MacEngine
from archsim.core.units import format_bytes
from archsim.ir.record import TierRecord
from archsim.memory.dram import Dram
from archsim.system.build import Machine
from archsim.system.layouts import InsideLayout, Layout
from archsim.system.place import Plan
from archsim.system.split_batch import whole_because
from archsim.system.unheard_cascades import unheard_cascades
from archsim.system.unheard_rules import unheard_rules

NO_BANKS = "its banks are not simulated in this run"


def unheard(
    plan: Plan, banked: Collection[str], tiers: Collection[TierRecord]
) -> Iterator[tuple[str, str]]:
    """(code, text) of each warning; where devices are of several kinds, those of every kind.

    Args:
        plan: what runs where.
        banked: names of the memories whose banks were simulated.
        tiers: what each memory behind the chip holds.
    """
    if not plan.machine.spec.devices or plan.pod is None:
        yield from _unheard(plan, banked, tiers)
        return
    found = [tuple(_unheard(one, banked, tiers)) for one in plan.pod.plans]
    yield from (said for said in found[0] if all(said in others for others in found))


def _unheard(
    plan: Plan, banked: Collection[str], tiers: Collection[TierRecord]
) -> Iterator[tuple[str, str]]:
    machine = plan.machine
    yield from unheard_rules(plan)
    yield from unheard_cascades(plan)
    stages = [stage for block in plan.blocks for stage in block.stages]
    inside = {s.engine.memory.name for s in stages if isinstance(s.engine, PimEngine)}
    for name, memory in sorted(machine.memories.items()):
        if not isinstance(memory, Dram):
            continue
        refreshes = name in inside  # engines inside it ask the controller whether it does
        for key in ("controller", "mapping"):
            heard = name in banked or (key == "controller" and refreshes)
            if getattr(memory.spec, key) is not None and not heard:
                yield "W101", f"memory.{name}.{key} has no effect: {NO_BANKS}"
    layout = machine.spec.layout
    if layout != Layout(inside=layout.inside) and not banked:
        yield "W101", "layout has no effect: no memory's banks are simulated in this run"
    if layout.inside != InsideLayout() and not plan.laid:
        yield "W101", "layout.inside has no effect: nothing goes to an engine inside a memory"
    if machine.spec.interleave is not None and len(plan.graph.networks) == 1:
        yield "W101", f"interleave has no effect: {whole_because(plan)}"
    engines = {s.engine.name: s.engine for b in plan.blocks for s in b.stages if s.ops[0].is_mac}
    counts = getattr(machine.sram.spec, "interleave", None) is not None
    if counts and engines and all(isinstance(e, KernelEngine) for e in engines.values()):
        name = machine.sram.name
        yield "W101", f"memory.{name}.interleave has no effect: kernels do not count bank conflicts"
    yield from _of_chip(machine, engines.values())
    skips = {getattr(e.spec, "skips", None) for e in engines.values()}
    if any(t.zeros for t in plan.graph.tensors.values()) and not skips & {"activations", "both"}:
        yield "W101", "sparsity.activations has no effect: no engine skips activations"
    for tier in tiers:
        banks = machine.memories[tier.name].banked() if tier.name in banked else None
        if banks is not None and tier.peak_bytes > banks.capacity_bytes:
            holds, rows = format_bytes(tier.peak_bytes), format_bytes(banks.capacity_bytes)
            text = f"memory.{tier.name} holds {holds}, and its banks {rows}"
            yield "W205", f"{text}: their addresses begin again"


def _of_chip(machine: Machine, engines: Collection[Engine]) -> Iterator[tuple[str, str]]:
    """Options of the network on the chip that no engine has a use for."""
    noc = machine.noc
    arrays = [e for e in engines if isinstance(e, MacEngine) and not isinstance(e, KernelEngine)]
    if noc is None or not engines:
        return
    path = f"interconnect.{noc.name}"
    if noc.link.spec.multicast and all(e.grid[2] == 1 for e in arrays):
        yield "W101", f"{path}.multicast has no effect: no array has instances that read together"
    if noc.link.spec.reduction and not arrays:
        yield "W101", f"{path}.reduction has no effect: kernels add up on their own"
