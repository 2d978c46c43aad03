"""Expert cache: which experts of which layer lie in the nearest memory when the run comes to them.

The memory behind it holds all experts; the nearest one holds copies of some of each layer, and what
a step needs beyond them is fetched. Here the routing of the whole graph is replayed against a
policy, and each ragged op is told which of its problems find their expert. Who gives way to whom is
in `memory.replacement`; how bytes travel is in `system.staging`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from archsim.core.errors import InputError
from archsim.core.spec import PositiveInt, Spec
from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Group, Op, Picks
from archsim.ir.record import ExpertRecord
from archsim.memory.replacement import Replay, replay

if TYPE_CHECKING:
    from archsim.system.build import Machine
    from archsim.system.homes import Homes
    from archsim.system.place import Stage


class ExpertRule(Spec):
    """A cache of experts in the nearest memory; the next ones hold all of them."""

    held: PositiveInt
    """Experts of each layer that have room there."""

    policy: Literal["lru", "lfu", "pinned", "belady"] = "lru"
    """Who gives way: the one used longest ago (default), the one used least often, nobody, or the
    one that is needed again last. All begin with those that the run uses most."""

    prefetch: bool = False
    """Experts are known before their router has run, as if a predictor never failed. Default: each
    is fetched once its router has chosen it."""


@dataclass(frozen=True)
class LayerVisits:
    """What the cache of one layer's experts saw.

    Attributes:
        name: of the stack of experts.
        repeats: layers that are alike.
        tensors: its matrices.
        expert_bytes: of all matrices of one expert.
        replay: experts hit, missed and driven out, visit by visit.
    """

    name: str
    repeats: int
    tensors: tuple[str, ...]
    expert_bytes: int
    replay: Replay[int]


@dataclass(frozen=True)
class ExpertCache:
    """What a policy decided for a graph.

    Attributes:
        rule: the options; None where nothing is cached.
        layers: by stack of experts.
        tensors: the stacks' matrices, each with the bytes that are held of it.
        absent: by path of an op, the ragged cases whose experts are fetched.
    """

    rule: ExpertRule | None = None
    layers: tuple[LayerVisits, ...] = ()
    tensors: Mapping[str, int] = field(default_factory=dict)
    absent: Mapping[str, frozenset[int]] = field(default_factory=dict)

    def fetched_bytes(self, stage: Stage, tensor: str, case: int | None, size_bytes: int) -> int:
        """Bytes of a tile that its stage fetches, of what may be cached; of the rest, all.

        `case` is the ragged case of the tile; None where tiles are of all cases alike.
        """
        absent = self.absent.get(stage.path)
        if absent is None or tensor not in self.tensors:
            return size_bytes
        if case is not None:
            return size_bytes if case in absent else 0
        missed, whole = missed_share(stage.ops[0], absent)
        return -(-size_bytes * missed // whole)


def cache_experts(graph: OpGraph, rule: ExpertRule | None) -> tuple[OpGraph, ExpertCache]:
    """Replay the routing of a graph; returns it with each op's problems parted, hits first.

    Raises:
        InputError: E201 when the graph has no experts.
    """
    if rule is None:
        return graph, ExpertCache()
    visits: dict[str, list[tuple[Block, tuple[Op, ...]]]] = {}
    for block, picks, ops in _visits(graph):
        visits.setdefault(picks.of, []).append((block, ops))
    if not visits:
        message = f"placement.experts is of models with experts, and {graph.name} has none"
        raise InputError(message, code="E201")
    parted: dict[str, Op] = {}
    absent: dict[str, frozenset[int]] = {}
    layers: list[LayerVisits] = []
    tensors: dict[str, int] = {}
    for name, there in visits.items():
        steps = [ops[0].picks.items for _, ops in there if ops[0].picks]
        found = replay(steps, rule.held, rule.policy)
        for (block, ops), hits in zip(there, found.hits, strict=True):
            for op in ops:
                path = f"{block.name}/{op.name}"
                parted[path], absent[path] = _part(op, frozenset(hits))
        block, ops = there[0]
        sizes = {op.reads[1].tensor: _one(graph, op) for op in ops}
        tensors |= {t: min(rule.held, graph.tensors[t].shape[0]) * n for t, n in sizes.items()}
        layers.append(LayerVisits(name, block.count, tuple(sizes), sum(sizes.values()), found))
    blocks = tuple(
        replace(b, ops=tuple(parted.get(f"{b.name}/{op.name}", op) for op in b.ops))
        for b in graph.blocks
    )
    return replace(graph, blocks=blocks), ExpertCache(rule, tuple(layers), tensors, absent)


def expert_records(homes: Homes, machine: Machine) -> tuple[ExpertRecord, ...]:
    """What the report reads of a cache; nothing without one."""
    rule = homes.experts.rule
    if rule is None:
        return ()
    return tuple(
        ExpertRecord(
            name=one.name,
            repeats=one.repeats,
            policy=rule.policy,
            held=rule.held,
            prefetch=rule.prefetch,
            hits=_count(one.replay.hits),
            misses=_count(one.replay.misses),
            evictions=_count(one.replay.evictions),
            expert_bytes=one.expert_bytes,
            miss_ps=_fetch_ps(homes, machine, one),
        )
        for one in homes.experts.layers
    )


def _count(steps: tuple[tuple[int, ...], ...]) -> int:
    return sum(map(len, steps))


def _fetch_ps(homes: Homes, machine: Machine, layer: LayerVisits) -> int:
    """Time of the slowest hop of one expert on its way to the nearest memory, alone."""
    slowest = [0]
    for memory, _ in homes.far.get(layer.tensors[0], ()):
        for source, target in pairwise(machine.route(memory)):
            mover, port = machine.mover(source, target), machine.memories[source]
            slowest.append(mover.transfer_ps(port, layer.expert_bytes))
    return max(slowest)


def missed_share(op: Op, absent: frozenset[int]) -> tuple[int, int]:
    """Problems of an op whose experts are fetched, and all of them."""
    counts = [group.count for group in op.groups]
    return sum(n for i, n in enumerate(counts) if i in absent), sum(counts)


def _visits(graph: OpGraph) -> Iterator[tuple[Block, Picks, tuple[Op, ...]]]:
    """Each time that a layer's experts are used: the ops that share a choice."""
    for block in graph.blocks:
        chosen: dict[Picks, list[Op]] = {}
        for op in block.ops:
            if op.picks is not None:
                chosen.setdefault(op.picks, []).append(op)
        for picks, ops in chosen.items():
            yield block, picks, tuple(ops)


def _one(graph: OpGraph, op: Op) -> int:
    """Bytes of one item of a stacked operand."""
    stack = graph.tensors[op.reads[1].tensor]
    return stack.dtype.bytes(stack.elements // stack.shape[0])


def _part(op: Op, hits: frozenset[int]) -> tuple[Op, frozenset[int]]:
    """An op whose problems are parted into those that find their expert and, behind, the others.

    Returns the op, and which of its groups are the others.
    """
    assert op.picks is not None
    groups: list[Group] = []
    items: list[int] = []
    absent: set[int] = set()
    for wanted in (True, False):
        at = 0
        for group in op.groups:
            here = op.picks.items[at : at + group.count]
            at += group.count
            some = [item for item in here if (item in hits) is wanted]
            if some:
                if not wanted:
                    absent.add(len(groups))
                groups.append(replace(group, count=len(some)))
                items += some
    picks = replace(op.picks, items=tuple(items))
    return replace(op, groups=tuple(groups), picks=picks), frozenset(absent)
