"""Cached tensors: what share of weights or caches a run finds in the nearest memory under a policy.

A rule of `placement.residency` takes tensors out of the fixed split: they lie further away, and the
room that is left in the nearest memory is a cache of whole tensors. Its policy is replayed over the
graph, run again and again, as in serving; each repeat of a block then fetches the same share of a
tensor, that of all its repeats in a pass. Who gives way is in `memory.replacement`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Literal

from archsim.core.spec import Spec
from archsim.ir.graph import OpGraph
from archsim.ir.tensor import Role
from archsim.memory.replacement import replay

Policy = Literal["pinned", "lru", "belady"]
PASSES = 3  # of the graph: one fills the cache, the next is counted, one more is its future


class ResidencyRule(Spec):
    """How tensors share the nearest memory; for each tensor the first matching rule counts."""

    of: str
    """`weights`, `kv_cache`, or a glob on names of tensors such as `*.ffn.*`."""

    policy: Policy = "pinned"
    """What lies there stays, and the same share of each tensor does (as without a rule); or whole
    tensors come and go: the one used longest ago gives way, or the one needed again last."""

    memories: tuple[str, ...] = ()
    """Memories that may hold them, the first one preferred. Default: those of their role."""


@dataclass(frozen=True)
class Found:
    """What a cache of whole tensors does in one pass over a graph.

    Attributes:
        missed: by tensor, the share of its uses that fetch it.
        held_bytes: most that the cache holds.
    """

    missed: dict[str, Fraction]
    held_bytes: int


def rule_of(rules: Sequence[ResidencyRule], class_name: str, tensor: str) -> ResidencyRule:
    """The rule of a tensor of a class: the first that matches, or one that says nothing."""
    for rule in rules:
        if rule.of == class_name or fnmatchcase(tensor, rule.of):
            return rule
    return ResidencyRule(of=tensor)


def idle_rules(rules: Sequence[ResidencyRule], graph: OpGraph) -> list[int]:
    """Places of rules that match no tensor of weights or of the KV cache."""
    roles = {Role.WEIGHT: "weights", Role.KV_CACHE: "kv_cache"}
    names = [(t.name, roles[t.role]) for t in graph.tensors.values() if t.role in roles]
    return [
        i
        for i, rule in enumerate(rules)
        if not any(rule.of == c or fnmatchcase(name, rule.of) for name, c in names)
    ]


def cached_share(graph: OpGraph, names: Collection[str], room_bytes: int, policy: Policy) -> Found:
    """Replay the uses of tensors against so much room.

    Args:
        graph: each repeat of a block has tensors of its own.
        names: of the tensors that are cached.
        room_bytes: of the nearest memory, for all of them.
        policy: who gives way.
    """
    uses = [
        (name, repeat)
        for block in graph.blocks
        for repeat in range(block.count)
        for op in block.ops
        for name in dict.fromkeys(a.tensor for a in (*op.reads, *op.writes))
        if name in names
    ]
    sizes = {item: graph.tensors[item[0]].bytes for item in uses}
    found = replay([[item] for item in uses * PASSES], room_bytes, policy, sizes=sizes, start=())
    counted = found.misses[len(uses) : 2 * len(uses)]
    total = Counter(name for name, _ in uses)
    missed = Counter(name for step in counted for name, _ in step)
    return Found({n: Fraction(missed[n], total[n]) for n in total}, found.peak_bytes)
