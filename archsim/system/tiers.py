"""Which memory behind the chip holds what: tiers in order, spills by rule, a refusal's table.

Here lives the decision, made once before anything is timed; what follows from it in bytes is in
`system.homes`, and how data travel between the tiers in `system.staging`. With a single memory
behind the chip there is nothing to decide. What training keeps lies where activations may.

The rule. A class of tensors (`kv_cache`, `activations`, `weights`) may lie in the memories that
`placement` lists for it, the first one preferred; without a list, in all, the fastest first. Room
is given to the KV cache, then to activations, then to weights. Tensors that are read whole come
before those of which a step touches a part (embedding tables, experts). What is too much for a
memory is split: each tensor keeps the same share of its bytes there and the same share goes to the
next memory, in every repeat of its block, so that slow bytes are spread evenly over the run and
hide behind fast ones. Three exceptions stay whole: activations, tensors below a thousandth of
their class, and a class that may lie in a memory with a DMA of its own to the chip.

Tensors with a policy (`placement.residency`, `placement.experts`) are not split: they lie further
away, and copies of them come and go in the nearest memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING

from archsim.components._pim import PimEngine
from archsim.ir.graph import OpGraph
from archsim.ir.op import Access
from archsim.ir.tensor import TRAINING, Role
from archsim.system.build import Machine
from archsim.system.cached_share import cached_share
from archsim.system.expert_cache import ExpertCache
from archsim.system.homes import Homes, Lane, area_of, staged_bytes
from archsim.system.paged_cache import pages_of
from archsim.system.tier_classes import TensorClass, cached_classes, expert_classes, refusal

if TYPE_CHECKING:
    from archsim.system.place import StagedBlock

CLASSES = {  # in the order in which they are given room
    "kv_cache": Role.KV_CACHE,
    "activations": Role.ACTIVATION,
    "weights": Role.WEIGHT,
}
SMALL = 1000  # tensors below this part of their class are not split
BUFFERS = 2  # of the largest stage that a staging area holds: one is used, one filled (assumed)
AREA_SHARE = 2  # the staging areas of a memory take at most this part of it: half (assumed)


def settle(
    graph: OpGraph,
    machine: Machine,
    blocks: Sequence[StagedBlock],
    kept: frozenset[str],
    experts: ExpertCache,
    held: int = 1,
) -> Homes:
    """Find a home for everything that does not stay on chip.

    `kept` are activations that stay on chip or never leave a stage; `experts` which of them are
    cached. The KV cache, and what waits for a backward pass, is there `held` times over: once for
    each microbatch under way.

    Raises:
        Infeasible: E401 with a table: by class what is needed, where it may lie, what is short.
    """
    late = _late(graph)
    if experts.rule and experts.rule.prefetch:
        late -= frozenset(experts.tensors)
    classes = _classes(graph, machine, kept, experts, held)
    homes = _fill(graph, machine, classes, late, {}, experts)
    if not homes.far:
        return homes
    near = machine.dram.name
    worst = {
        name: tuple((memory, size) for memory in c.order if memory != near)
        for c in classes for name, _, size, _ in c.tensors
    }  # fmt: skip
    worst = {name: far for name, far in worst.items() if far}
    areas = _areas(graph, machine, blocks, Homes(worst, late=late, experts=experts))
    homes = _fill(graph, machine, classes, late, areas, experts)
    for _ in range(3):  # smaller areas leave more room, and then less is staged
        areas = _areas(graph, machine, blocks, homes)
        smaller = _fill(graph, machine, classes, late, areas, experts)
        if not set(_areas(graph, machine, blocks, smaller)) <= set(areas):
            break
        homes = smaller
    return homes


def _classes(
    graph: OpGraph, machine: Machine, kept: frozenset[str], experts: ExpertCache, held: int
) -> list[TensorClass]:
    tiers = tuple(m.name for m in machine.tiers)
    found: list[TensorClass] = []
    for name, role in CLASSES.items():
        listed = tuple(m for m in getattr(machine.spec.placement, name) if m in tiers)
        tensors: dict[str, tuple[str, int, int, Fraction]] = {}
        for block, op in graph.ops():
            for access in (*op.reads, *op.writes):
                tensor = graph.tensors[access.tensor]
                own = tensor.role is role or (role is Role.ACTIVATION and tensor.role in TRAINING)
                if not own or access.tensor in kept or not tensor.bytes:
                    continue
                copies = 1 if tensor.role is Role.ACTIVATION else block.count
                copies *= held if tensor.role in (Role.KV_CACHE, Role.SAVED) else 1
                heat = Fraction(graph.touched_bytes(access), tensor.bytes)
                old = tensors.get(access.tensor, (access.tensor, copies, tensor.bytes, heat))
                tensors[access.tensor] = (*old[:3], max(old[3], heat))
        for memory, names in _inside(graph, machine).items():
            there = [tensors.pop(one) for one in names if one in tensors]
            if memory in (listed or tiers) and there:
                found.append(TensorClass(name, (memory,), there))
            else:
                tensors |= {one[0]: one for one in there}
        stacks = [one for one in tensors.values() if one[0] in experts.tensors]
        if stacks:
            found += expert_classes(machine, stacks, listed or tiers, experts)
        rest = [one for one in tensors.values() if one[0] not in experts.tensors]
        if role is Role.ACTIVATION:
            found.append(TensorClass(name, listed or tiers, rest))
        else:
            cached = cached_classes(graph, machine, name, rest, listed or tiers)
            for one in cached:
                one.times = held if role is Role.KV_CACHE else 1
            found += cached
    return found


def _inside(graph: OpGraph, machine: Machine) -> dict[str, list[str]]:
    """Matrices of parts for engines inside memories behind the nearest, by memory."""
    found: dict[str, list[str]] = {}
    for _, op in graph.ops():
        unit = machine.engines.get(op.split_for)
        if isinstance(unit, PimEngine) and unit.memory.name != machine.dram.name:
            found.setdefault(unit.memory.name, []).append(op.reads[1].tensor)
    return found


def _late(graph: OpGraph) -> frozenset[str]:
    """Tensors of which nothing can be fetched before the run comes to them.

    Those that some op writes whole (of a cache that grows, what is there can be fetched), and
    experts: which of them are needed is known when their router has run.
    """

    def whole(access: Access) -> bool:
        return graph.touched_bytes(access) == graph.tensors[access.tensor].bytes

    ops = [op for _, op in graph.ops()]
    written = {a.tensor for op in ops for a in op.writes if whole(a)}
    parts = {a.tensor for op in ops if op.is_mac for a in op.reads if not whole(a)}
    picked = {name for name in parts if graph.tensors[name].role is Role.WEIGHT}
    return frozenset(written | picked)


def _fill(
    graph: OpGraph,
    machine: Machine,
    classes: Iterable[TensorClass],
    late: frozenset[str],
    areas: Mapping[Lane, int],
    experts: ExpertCache,
) -> Homes:
    """Give the room out, the areas being taken."""
    areas = dict(areas)
    taken = Homes(areas=areas)
    free = {m.name: m.capacity_bytes - taken.reserved(m.name) for m in machine.tiers}
    held: dict[str, dict[str, int]] = {m.name: {} for m in machine.tiers}
    far: dict[str, tuple[tuple[str, int], ...]] = {}
    appended: set[str] = set()
    near, done = machine.dram.name, []
    for one in classes:
        _place(one, free, _splits(one, machine))
        done.append(one)
        copies = {name: n for name, n, _, _ in one.tensors}
        for tensor, parts in one.placed.items():
            live, whole = parts, parts
            if one.pages is not None:
                cut = pages_of(graph, tensor, *one.pages, parts)
                live, whole = cut.live(), cut.held()
                for memory, size in parts.items():
                    free[memory] += copies[tensor] * (size - whole.get(memory, 0))
                if cut.newest_in() == {near}:
                    appended.add(tensor)
            for memory, size in whole.items():
                held[memory][one.name] = held[memory].get(one.name, 0) + copies[tensor] * size
            away = tuple((m, size) for m, size in live.items() if m != near)
            if away:
                far[tensor] = away
    if any(one.short for one in done) or any(left < 0 for left in free.values()):
        times = max(one.times for one in done)
        raise refusal(graph, machine, done, taken, times)
    for one in done:
        if one.policy != "pinned":
            room = free[near] // one.times
            found = cached_share(graph, one.placed.keys(), room, one.policy)
            free[near] -= one.times * found.held_bytes
            held[near][one.name] = one.times * found.held_bytes
            for tensor, share in found.missed.items():
                away = tuple((m, ceil(size * share)) for m, size in far.pop(tensor))
                if share:
                    far[tensor] = away
    return Homes(far, held, late, areas, experts, frozenset(appended))


def _splits(one: TensorClass, machine: Machine) -> bool:
    """True for a class whose tensors may lie in several memories at once."""
    routes = [machine.route(m) for m in one.order]
    direct = any(len(r) == 1 and r[0] != machine.dram.name for r in routes)
    return one.name != "activations" and not direct


def _place(one: TensorClass, free: dict[str, int], splits: bool) -> None:
    """Place one class: small tensors first, then those that are read whole, then the rest."""
    one.placed, one.short = {}, 0
    small = one.need // SMALL
    groups: dict[tuple[bool, Fraction], list[tuple[str, int, int, Fraction]]] = {}
    for tensor in one.tensors:
        _, copies, size, heat = tensor
        tiny = copies * size <= small
        groups.setdefault((not tiny, -heat if not tiny else Fraction(0)), []).append(tensor)
    for (large, _), tensors in sorted(groups.items()):
        left = {name: size for name, _, size, _ in tensors}
        for memory in one.order:
            need = sum(copies * left[name] for name, copies, _, _ in tensors)
            room = free[memory]
            for name, copies, _, _ in tensors:
                if need <= room or (copies * left[name] <= free[memory] and not (splits and large)):
                    size = left[name]
                elif splits and large and room > 0:
                    size = left[name] * room // need
                else:
                    continue
                if size:
                    one.placed.setdefault(name, {})[memory] = size
                    left[name] -= size
                    free[memory] -= copies * size
        one.short += sum(copies * left[name] for name, copies, _, _ in tensors)


def _areas(
    graph: OpGraph,
    machine: Machine,
    blocks: Sequence[StagedBlock],
    homes: Homes,
) -> dict[Lane, int]:
    """Room for what the hungriest stage sends along each lane, twice; within half of a memory."""
    most: dict[Lane, int] = {}
    for block in blocks:
        for stage in block.stages:
            for lane, size in staged_bytes(graph, machine, stage, homes).items():
                most[lane] = max(most.get(lane, 0), size)
    wanted = {lane: BUFFERS * size for lane, size in sorted(most.items())}
    for memory in machine.tiers:
        left = memory.capacity_bytes // AREA_SHARE
        here = sorted((size, lane) for lane, size in wanted.items() if area_of(lane) == memory.name)
        for i, (size, lane) in enumerate(here):  # the small ones get all they want
            wanted[lane] = max(1, min(size, left // (len(here) - i)))
            left -= wanted[lane]
    return wanted
