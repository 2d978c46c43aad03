"""Which memory behind the chip holds what: tiers in order, spills by rule, a refusal's table.

Here lives the decision, made once before anything is timed; what follows from it in bytes is in
`system.homes`, and how data travel between the tiers in `system.staging`. With a single memory
behind the chip there is nothing to decide.

The rule. A class of tensors (`kv_cache`, `activations`, `weights`) may lie in the memories that
`placement` lists for it, the first one preferred; without a list, in all, the fastest first. Room
is given to the KV cache, then to activations, then to weights. Tensors that are read whole come
before those of which a step touches a part (embedding tables, experts). What is too much for a
memory is split: each tensor keeps the same share of its bytes there and the same share goes to the
next memory, in every repeat of its block, so that slow bytes are spread evenly over the run and
hide behind fast ones. Three exceptions stay whole: activations, tensors below a thousandth of
their class, and a class that may lie in a memory with a DMA of its own to the chip.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from archsim.core.errors import Infeasible, InputError
from archsim.core.units import format_bytes
from archsim.ir.graph import OpGraph
from archsim.ir.op import Access
from archsim.ir.tensor import Role
from archsim.system.build import Machine
from archsim.system.expert_cache import ExpertCache
from archsim.system.homes import Homes, Lane, area_of, staged_bytes

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


@dataclass
class _Class:
    """One class of tensors while it is placed: (name, copies, bytes of one, share touched)."""

    name: str
    order: tuple[str, ...]
    tensors: list[tuple[str, int, int, Fraction]]
    placed: dict[str, dict[str, int]] = field(default_factory=dict)  # tensor -> memory -> bytes
    short: int = 0

    @property
    def need(self) -> int:
        return sum(copies * size for _, copies, size, _ in self.tensors)


def settle(
    graph: OpGraph,
    machine: Machine,
    blocks: Sequence[StagedBlock],
    kept: frozenset[str],
    experts: ExpertCache,
) -> Homes:
    """Find a home for everything that does not stay on chip.

    `kept` are activations that stay on chip or never leave a stage; `experts` which of them are
    cached.

    Raises:
        Infeasible: E401 with a table: by class what is needed, where it may lie, what is short.
    """
    late = _late(graph)
    if experts.rule and experts.rule.prefetch:
        late -= frozenset(experts.tensors)
    classes = _classes(graph, machine, kept, experts)
    homes = _fill(graph, machine, classes, late, {}, experts)
    if not homes.far:
        return homes
    near = machine.dram.name
    worst = {
        name: tuple((memory, size) for memory in c.order if memory != near)
        for c in classes for name, _, size, _ in c.tensors
    }  # fmt: skip
    worst = {name: far for name, far in worst.items() if far}
    areas = _areas(graph, machine, blocks, worst, late, experts)
    homes = _fill(graph, machine, classes, late, areas, experts)
    for _ in range(3):  # smaller areas leave more room, and then less is staged
        areas = _areas(graph, machine, blocks, homes.far, late, experts)
        smaller = _fill(graph, machine, classes, late, areas, experts)
        if not set(_areas(graph, machine, blocks, smaller.far, late, experts)) <= set(areas):
            break
        homes = smaller
    return homes


def _classes(
    graph: OpGraph, machine: Machine, kept: frozenset[str], experts: ExpertCache
) -> list[_Class]:
    tiers = tuple(m.name for m in machine.tiers)
    found = []
    for name, role in CLASSES.items():
        listed = tuple(m for m in getattr(machine.spec.placement, name) if m in tiers)
        tensors: dict[str, tuple[str, int, int, Fraction]] = {}
        for block, op in graph.ops():
            for access in (*op.reads, *op.writes):
                tensor = graph.tensors[access.tensor]
                if tensor.role is not role or access.tensor in kept or not tensor.bytes:
                    continue
                copies = 1 if role is Role.ACTIVATION else block.count
                heat = Fraction(graph.touched_bytes(access), tensor.bytes)
                old = tensors.get(access.tensor, (access.tensor, copies, tensor.bytes, heat))
                tensors[access.tensor] = (*old[:3], max(old[3], heat))
        stacks = [one for one in tensors.values() if one[0] in experts.tensors]
        if stacks:
            found += _cached(graph, machine, stacks, listed or tiers, experts)
        rest = [one for one in tensors.values() if one[0] not in experts.tensors]
        found.append(_Class(name, listed or tiers, rest))
    return found


def _cached(
    graph: OpGraph,
    machine: Machine,
    stacks: Sequence[tuple[str, int, int, Fraction]],
    order: Sequence[str],
    experts: ExpertCache,
) -> list[_Class]:
    """Experts twice: those that the nearest memory has room for, and all of them behind it.

    Where it has room for all, there is nothing behind it.

    Raises:
        InputError: E201 when there is no memory behind, or it is joined to the chip itself.
    """
    near = machine.dram.name
    held = experts.tensors
    copies = [(n, times, held[n], heat) for n, times, _, heat in stacks]
    behind = [one for one in stacks if held[one[0]] < one[2]]
    away = tuple(m for m in order if m != near)
    if not away and behind:
        message = f"placement.experts keeps experts in {near}, and no memory behind it holds them"
        raise InputError(message, code="E201", help="list one more memory in placement.weights")
    direct = next((m for m in away if len(machine.route(m)) == 1), None)
    if direct and behind:
        message = f"placement.experts keeps experts in {near}, and {direct} is joined to the chip"
        raise InputError(message, code="E201", help=f"a dma from {direct} to {near}")
    found = [_Class("expert_cache", (near,), copies)]
    return [*found, _Class("experts", away, behind)] if behind else found


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
    classes: Iterable[_Class],
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
    done = []
    for one in classes:
        _place(one, free, _splits(one, machine))
        done.append(one)
        copies = {name: n for name, n, _, _ in one.tensors}
        for tensor, parts in one.placed.items():
            for memory, size in parts.items():
                held[memory][one.name] = held[memory].get(one.name, 0) + copies[tensor] * size
            away = tuple((m, size) for m, size in parts.items() if m != machine.dram.name)
            if away:
                far[tensor] = away
    if any(one.short for one in done) or any(left < 0 for left in free.values()):
        raise _refusal(graph, machine, done, taken)
    return Homes(far, held, late, areas, experts)


def _splits(one: _Class, machine: Machine) -> bool:
    """True for a class whose tensors may lie in several memories at once."""
    routes = [machine.route(m) for m in one.order]
    direct = any(len(r) == 1 and r[0] != machine.dram.name for r in routes)
    return one.name != "activations" and not direct


def _place(one: _Class, free: dict[str, int], splits: bool) -> None:
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
    far: Mapping[str, tuple[tuple[str, int], ...]],
    late: frozenset[str],
    experts: ExpertCache,
) -> dict[Lane, int]:
    """Room for what the hungriest stage sends along each lane, twice; within half of a memory."""
    most: dict[Lane, int] = {}
    for block in blocks:
        for stage in block.stages:
            for lane, size in staged_bytes(graph, machine, stage, far, late, experts).items():
                most[lane] = max(most.get(lane, 0), size)
    wanted = {lane: BUFFERS * size for lane, size in sorted(most.items())}
    for memory in machine.tiers:
        left = memory.capacity_bytes // AREA_SHARE
        here = sorted((size, lane) for lane, size in wanted.items() if area_of(lane) == memory.name)
        for i, (size, lane) in enumerate(here):  # the small ones get all they want
            wanted[lane] = max(1, min(size, left // (len(here) - i)))
            left -= wanted[lane]
    return wanted


def _refusal(
    graph: OpGraph, machine: Machine, classes: Sequence[_Class], taken: Homes
) -> Infeasible:
    """E401: by class what is needed, where it may lie, what found room and what is short."""
    need = sum(c.need for c in classes)
    holds = sum(m.capacity_bytes for m in machine.tiers)
    rows = [("class", "need", "may lie in", "placed", "short")]
    data = []
    for c in classes:
        where = ", ".join(c.order)
        sizes = c.need, c.need - c.short, c.short
        text = [format_bytes(n) for n in sizes]
        rows.append((c.name, text[0], where, text[1], text[2]))
        data.append({"class": c.name, "need_bytes": c.need, "where": list(c.order),
                     "placed_bytes": sizes[1], "short_bytes": c.short})  # fmt: skip
    for m in machine.tiers:
        if size := taken.reserved(m.name):
            text = [format_bytes(size)]
            rows.append(("staging", text[0], m.name, text[0], "0 B"))
            data.append({"class": "staging", "need_bytes": size, "where": [m.name],
                         "placed_bytes": size, "short_bytes": 0})  # fmt: skip
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    table = "\n".join(
        "        " + "  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    memories = ", ".join(f"{m.name} {format_bytes(m.capacity_bytes)}" for m in machine.tiers)
    short = sum(c.short for c in classes)
    return Infeasible(
        f"{graph.name} needs {format_bytes(need)}, {machine.spec.name} holds {format_bytes(holds)} "
        f"({memories}): short by {format_bytes(short)}",
        code="E401",
        help=f"narrower dtypes, a smaller batch, more memories in placement, or "
        f"--set memory.{machine.tiers[-1].name}.capacity=...\n{table}",
        details={"classes": data, "capacity_bytes": {m.name: m.capacity_bytes
                                                     for m in machine.tiers}},
    )  # fmt: skip
