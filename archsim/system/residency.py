"""Residency: which activations stay on chip, by how long each lives and how much room is left."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

from archsim.core.errors import Infeasible
from archsim.core.units import format_bytes
from archsim.ir.graph import OpGraph
from archsim.ir.tensor import Role
from archsim.system.build import Machine
from archsim.system.place import ACTIVATION_SHARE, WINDOW, StagedBlock


def choose_resident(
    graph: OpGraph, machine: Machine, blocks: Sequence[StagedBlock]
) -> tuple[frozenset[str], int]:
    """Activations that stay on chip, and the most bytes they occupy at once.

    Smallest first, each one admitted when every point of the program still has room. A tensor
    lives from the stage that writes it until the sequencer's window has passed its last reader.
    Tensors that enter or leave the graph do so through DRAM. Networks that run at once have an
    equal share of the room each.
    """
    allowed = machine.spec.placement.activations
    if allowed and machine.sram.name not in allowed:
        return frozenset(), 0
    budget = int(machine.sram.capacity_bytes * ACTIVATION_SHARE) // len(graph.networks)
    lives = _lives(graph, blocks)
    levels = [[0] * len(b.stages) for b in blocks]
    resident: set[str] = set()
    for names in sorted(_joined(graph, blocks, lives), key=lambda g: (_bytes(graph, g), g)):
        spans = [(i, j, graph.tensors[n].bytes) for n in names for i, j in lives[n]]
        for i, j, size in spans:
            levels[i][j] += size
        if any(levels[i][j] > budget for i, j, _ in spans):
            for i, j, size in spans:
                levels[i][j] -= size
        else:
            resident.update(names)
    _refuse_spills(graph, machine, set(lives) - resident)
    most = dict.fromkeys(graph.networks, 0)
    for block, level in zip(blocks, levels, strict=True):
        name = block.block.network
        most[name] = max(most[name], *level)
    return frozenset(resident), sum(most.values())


def most_live_bytes(graph: OpGraph, blocks: Sequence[StagedBlock], names: Collection[str]) -> int:
    """Most bytes that some activations occupy at once, where room is used again after them.

    Those that enter or leave the graph are there all the time.
    """
    lives = _lives(graph, blocks)
    levels = [[0] * len(b.stages) for b in blocks]
    always = 0
    for name in names:
        size = graph.tensors[name].bytes
        if name not in lives:
            always += size
        for i, j in lives.get(name, ()):
            levels[i][j] += size
    most = dict.fromkeys(graph.networks, 0)
    for block, level in zip(blocks, levels, strict=True):
        network = block.block.network
        most[network] = max(most[network], *level)
    return always + sum(most.values())


def _refuse_spills(graph: OpGraph, machine: Machine, spilled: set[str]) -> None:
    """Activations may not pass through a memory that the placement does not list.

    Raises:
        Infeasible: E401 with the largest one.
    """
    allowed = machine.spec.placement.activations
    if not spilled or not allowed or any(m.name in allowed for m in machine.tiers):
        return
    largest = max(sorted(spilled), key=lambda name: graph.tensors[name].bytes)
    raise Infeasible(
        f"{len(spilled)} activations do not fit {machine.sram.name}, the largest is {largest} "
        f"with {format_bytes(graph.tensors[largest].bytes)}",
        code="E401",
        help=f"add {machine.dram.name} to placement.activations, or enlarge {machine.sram.name}",
    )


def _bytes(graph: OpGraph, names: Sequence[str]) -> int:
    return sum(graph.tensors[n].bytes for n in names)


def _lives(graph: OpGraph, blocks: Sequence[StagedBlock]) -> dict[str, list[tuple[int, int]]]:
    """(block, stage) pairs at which each activation that is written and read here occupies room."""
    writes: dict[str, tuple[int, int]] = {}
    reads: dict[str, list[tuple[int, int]]] = {}
    for i, block in enumerate(blocks):
        for j, stage in enumerate(block.stages):
            for name in stage.writes:
                writes.setdefault(name, (i, j))  # parts of an op write portions of one
            for name in stage.reads:
                reads.setdefault(name, []).append((i, j))
    carried = {after: before for b in blocks for before, after in b.block.carry}
    lives: dict[str, list[tuple[int, int]]] = {}
    for name, (i, j) in writes.items():
        used = reads.get(name, [])
        if graph.tensors[name].role is not Role.ACTIVATION:
            continue
        if not used and name not in carried:
            continue  # it leaves the graph
        points = _span(blocks[i], j, [s for b, s in used if b == i], name in carried)
        lives[name] = [(i, s) for s in sorted(points)]
        for b in sorted({b for b, _ in used if b != i}):
            span = _span(blocks[b], 0, [s for o, s in used if o == b], False)
            lives[name] += [(b, s) for s in sorted(span)]
    for i, block in enumerate(blocks):
        for before, _after in block.block.carry:
            span = _span(block, 0, [s for b, s in reads.get(before, []) if b == i], False)
            if before in lives:
                lives[before] = sorted({*lives[before], *((i, s) for s in span)})
    return lives


def _span(block: StagedBlock, start: int, readers: list[int], to_end: bool) -> set[int]:
    """Stages of a block at which a tensor occupies room; a repeated block wraps around."""
    count = len(block.stages)
    last = max(readers, default=start)
    if to_end:
        last = count - 1
    span = set(range(start, min(last + WINDOW, count)))
    if block.block.count > 1:
        span |= {s % count for s in range(start, last + WINDOW)}
    return span


def _joined(
    graph: OpGraph, blocks: Sequence[StagedBlock], lives: dict[str, list[tuple[int, int]]]
) -> list[tuple[str, ...]]:
    """Tensors that share a decision: written by one stage, or carried into each other."""
    parent = {name: name for name in lives}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    tied: set[str] = set()
    for block in blocks:
        for stage in block.stages:
            here = [n for n in stage.writes if n in lives]
            acts = [n for n in stage.writes if graph.tensors[n].role is Role.ACTIVATION]
            for a, b in pairwise(here):
                parent[root(a)] = root(b)
            if here and len(here) < len(acts):
                tied.update(here)  # a sibling leaves the graph: all of them do
        for before, after in block.block.carry:
            if before in lives and after in lives:
                parent[root(before)] = root(after)
            else:
                tied.update(n for n in (before, after) if n in lives)
    groups: dict[str, list[str]] = {}
    for name in lives:
        groups.setdefault(root(name), []).append(name)
    return [tuple(sorted(g)) for g in groups.values() if not any(n in tied for n in g)]
