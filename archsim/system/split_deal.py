"""Where a chain is cut: the deal whose slower side is fastest, or the share that a user asks for.

Items are in order; the first engine gets those before the first cut. How long a part takes is an
estimate of closed forms. Parts run at once, but what needs the shared memory takes turns there:
operands of engines on the chip, and of those inside the memory what occupies its bus, or all their
time where the memory changes hands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from archsim.components._pim import PimEngine
from archsim.components.base import KernelEngine
from archsim.components.systolic_array import SystolicArray
from archsim.core.units import PS_PER_S
from archsim.ir.graph import OpGraph
from archsim.system.build import Machine
from archsim.system.dispatch_estimate import estimate
from archsim.system.dispatch_work import work_of
from archsim.system.pim_ask import product_of
from archsim.system.pim_link import crossed, crossing
from archsim.system.split_folds import folds_ps
from archsim.system.split_kernels import kernels_ps
from archsim.system.split_parts import Part

RUNGS = 8  # places tried at once between two cuts; what lies around the best is tried next


@dataclass(frozen=True)
class Load:
    """What a part takes: its engine's time, and of it the time that the memory is not others'."""

    time_ps: int
    memory_ps: int


IDLE = Load(0, 0)
NEVER = Load(1 << 62, 0)
"""Of a part that its engine cannot take, such as more than its memory's banks hold."""

Dealt = tuple[int, tuple[int, ...]]  # picoseconds, and where items are cut


def load_of(
    machine: Machine, graph: OpGraph, block: str, part: Part, inside: PimEngine | None = None
) -> Load:
    """What a part takes on its engine, by closed forms.

    Args:
        machine: that the engine is in.
        graph: with the tensors of the part.
        block: that its ops are of.
        part: whose vector ops are taken to hide behind its products.
        inside: engine inside a memory that has other parts: matrices lie as it wants them.
    """
    unit = machine.engines[part.engine]
    if isinstance(unit, PimEngine):
        works = [
            crossed(
                unit.product(product_of(machine, graph, op, unit)),
                crossing(machine, unit, graph, op, None),
            )
            for op in part.products
        ]
        time_ps = sum(work.banks_ps for work in works)
        if unit.memory.name != machine.dram.name:  # others have another
            return Load(time_ps, 0)
        if unit.spec.sharing == "mode_switch":
            time_ps += 2 * unit.switch_ps
            return Load(time_ps, time_ps)
        return Load(time_ps, sum(work.held_ps for work in works))
    shares = {
        op.reads[1].tensor: inside.read_share(product_of(machine, graph, op, inside))
        for op in part.products
        if inside is not None and inside.memory.name == machine.dram.name
    }
    if isinstance(unit, KernelEngine):
        return Load(*kernels_ps(machine, graph, block, part, shares))
    moved = float(work_of(graph, part.products).size_bytes)
    for op in part.products:
        moved += graph.touched_bytes(op.reads[1]) * (1 / shares.get(op.reads[1].tensor, 1.0) - 1)
    memory_ps = round(moved * PS_PER_S / machine.dram_bytes_per_s)
    time_ps = max(memory_ps, estimate(machine, graph, unit, part.products).ps)
    if isinstance(unit, SystolicArray):
        time_ps = max(time_ps, folds_ps(graph, unit, part.products))
    return Load(time_ps, memory_ps)


def solved(
    items: int,
    engines: int,
    load: Callable[[int, int, int], Load],
    *,
    taking_turns: bool = False,
) -> tuple[tuple[int, int], ...]:
    """The items of each engine, from one on up to another, such that the slowest side is fastest.

    Of equally fast deals the one that gives the first engines least.

    Args:
        items: there are.
        engines: to deal to.
        load: of the items from one on up to another on an engine by its number.
        taking_turns: whether parts follow one another, for they need a unit that both have.
    """
    known = cache(load)

    def best(j: int, start: int, before: Load) -> Dealt:
        """The best deal of the items that are left to the engines that are left."""

        def cut(stop: int) -> Dealt:
            own = known(j, start, stop) if start < stop else IDLE
            both = before.time_ps + own.time_ps
            longest = both if taking_turns else max(before.time_ps, own.time_ps)
            so_far = Load(longest, before.memory_ps + own.memory_ps)
            if j == engines - 1:
                return max(so_far.time_ps, so_far.memory_ps), ()
            cost, cuts = best(j + 1, stop, so_far)
            return cost, (stop, *cuts)

        return cut(items) if j == engines - 1 else _least(start, items, cut)

    _, cuts = best(0, 0, IDLE)
    return tuple(pairwise((0, *cuts, items)))


def _least(low: int, high: int, cost: Callable[[int], Dealt]) -> Dealt:
    """The least cost of a place from one on to another: it falls, then rises."""
    while high - low > RUNGS:
        rungs = [low + (high - low) * i // RUNGS for i in range(RUNGS + 1)]
        best = min(range(len(rungs)), key=lambda i: cost(rungs[i]))
        low, high = rungs[max(0, best - 1)], rungs[min(RUNGS, best + 1)]
    return min(cost(place) for place in range(low, high + 1))


def shared_out(sizes: Sequence[int], ratio: float) -> tuple[tuple[int, int], ...]:
    """The items of two engines such that the first has the share nearest to one asked for.

    Args:
        sizes: work of each item.
        ratio: share of the first engine, 0 to 1.
    """
    sums = [sum(sizes[:at]) for at in range(len(sizes) + 1)]
    cut = min(range(len(sums)), key=lambda at: (abs(sums[at] - ratio * sums[-1]), at))
    return (0, cut), (cut, len(sizes))
