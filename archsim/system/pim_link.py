"""What a product computed in a memory further away pays on its way there: inputs and results.

The nearest memory's bus is the engine's own. Behind a DMA with a rate of its own, inputs cross that
first, and results on their way back, each byte once: what is broadcast, or summed up over channels,
is so at the far end. A product begins when its inputs are there and has ended when its results are
back; a byte crosses while others pass the memory's bus, so the slower of the two counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from archsim.components._pim import PimEngine
from archsim.components.base import Engine
from archsim.components.pim_companion import PimCompanion
from archsim.interconnect.dma import Dma
from archsim.ir.graph import OpGraph
from archsim.ir.op import Op
from archsim.ir.pim import Crossing, PimWork
from archsim.system.build import Machine


def crossing(
    machine: Machine, engine: PimEngine, graph: OpGraph, op: Op, vector: Engine | None
) -> Crossing | None:
    """What an op's product sends over the DMAs between its memory and the chip; None: nothing.

    Scores, and the shares that a companion of the memory makes of them, stay there.

    Args:
        machine: that has both.
        engine: computes the product.
        graph: that the op is of.
        op: the product.
        vector: makes the softmax, where the op is of an attention; None: not known yet.
    """
    movers = _movers(machine, engine.memory.name)
    if not movers:
        return None
    near = isinstance(vector, PimCompanion) if vector else _companion(machine)
    inner = near and op.op_class in ("attention_score", "attention_value")
    gives = 0 if inner and op.op_class == "attention_value" else graph.touched_bytes(op.reads[0])
    takes = 0 if inner and op.op_class == "attention_score" else _written(graph, op)
    times = [sum(dma.hold_ps(engine.memory, n, 0) for n in (gives, takes) if n) for dma in movers]
    return Crossing(tuple(dma.name for dma in movers), gives + takes, max(times))


def crossed(work: PimWork, over: Crossing | None) -> PimWork:
    """The work of a product, waiting for a link that is slower than the memory's own bus."""
    more = over.ps - work.bus_ps if over else 0
    if more <= 0:
        return work
    whole = work.banks_ps + more
    return replace(
        work,
        banks_ps=whole,
        waits_ps={**work.waits_ps, "link": more},
        bank_utilisation=work.bank_utilisation * work.banks_ps / whole,
    )


def _written(graph: OpGraph, op: Op) -> int:
    return sum(graph.touched_bytes(access) for access in op.writes)


def _companion(machine: Machine) -> bool:
    return any(isinstance(unit, PimCompanion) for unit in machine.engines.values())


def _movers(machine: Machine, memory: str) -> Sequence[Dma]:
    """DMAs with a rate or a setup of their own from a memory that is not the nearest one."""
    if memory == machine.dram.name:
        return ()
    way = machine.route(memory)
    ends = pairwise((*way, machine.sram.name)) if len(way) == 1 else pairwise(way)
    found = (machine.mover(*pair) for pair in ends)
    return [dma for dma in found if dma.spec.bandwidth is not None or dma.spec.setup]
