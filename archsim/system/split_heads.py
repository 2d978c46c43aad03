"""Groups of heads: an attention in parts, each with its part of the products around it.

A graph pass before anything is placed. The projection of the next group runs while the attention of
this one does, inside a memory or wherever else: only the first projection and the last output
product wait. Every group has its own part of the weights and of the cache; output products add to
what the group before has summed (head-level pipelining: AttAcc, ASPLOS 2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod

from archsim.components._pim import PimEngine
from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Access, Op
from archsim.ir.tensor import Role, Tensor
from archsim.system.build import Machine
from archsim.system.dispatch import dispatched
from archsim.system.rules import rule_of
from archsim.system.split_attention import attention_chains, heads_of
from archsim.system.split_parts import own_name

BEFORE = ("qkv_proj", "rotary", "kv_append")  # classes of ops between a layer's input and scores
BEHIND = "out_proj"
GROUP = "heads"  # parts are called after it: `attn.score@heads1`


@dataclass(frozen=True)
class Slice:
    """Ops of a block that work on each head for itself, from one place on up to another."""

    start: int
    stop: int
    heads: int
    groups: int


def head_groups(graph: OpGraph, machine: Machine, used: set[str]) -> OpGraph:
    """The graph with attentions in groups of heads where a mapping rule says so, and it can be.

    Rules that match an attention are noted in `used`.
    """
    if all(rule.head_groups is None for rule in machine.spec.mapping):
        return graph
    asked = dispatched(machine, graph)
    tensors, blocks = dict(graph.tensors), []
    for block in graph.blocks:
        found = _slice(graph, block, asked, used)
        if found is None:
            blocks.append(block)
            continue
        parts, own, gone = _parts(graph, block, found)
        blocks.append(replace(block, ops=parts))
        tensors |= own
        for name in gone:
            del tensors[name]
    return replace(graph, blocks=tuple(blocks), tensors=tensors)


def in_group(op: Op) -> bool:
    """Whether an op is of one group of several."""
    return f"@{GROUP}" in op.name


def _slice(graph: OpGraph, block: Block, machine: Machine, used: set[str]) -> Slice | None:
    """What of a block is run in groups; None where nothing is."""
    chains = attention_chains(graph, block)
    if len(chains) != 1:
        return None
    chain = chains[0]
    score, path = chain[0], f"{block.name}/{chain[0].name}"
    number = rule_of(machine, path, score, "head_groups", used)
    heads = heads_of(graph, chain, "heads")
    if number is None or heads is None:
        return None
    assert machine.dispatcher is not None
    inside = isinstance(machine.engines[machine.dispatcher.of(path, score).engine], PimEngine)
    most = machine.spec.mapping[number].head_groups or 1
    groups = next(g for g in range(min(most, heads.heads), 0, -1) if heads.heads % g == 0)
    first, last = block.ops.index(score), block.ops.index(chain[-1])
    start = first
    while start and block.ops[start - 1].op_class in BEFORE:
        start -= 1
    stop = last + 2
    if last - first + 1 != len(chain) or groups == 1 or not inside:
        return None
    ends = (block.ops[start], *block.ops[stop - 1 : stop])
    if [op.op_class for op in ends] != [BEFORE[0], BEHIND]:
        return None  # such as latents, which heads share
    found = Slice(start, stop, heads.heads, groups)
    return found if _closed(graph, block, found) else None


def _closed(graph: OpGraph, block: Block, part: Slice) -> bool:
    """Whether ops outside reach nothing that is cut, and all that is cut divides."""
    some = block.ops[part.start : part.stop]
    cut = _cut(graph, some)
    others = [op for b in graph.blocks for op in b.ops if op not in some]
    if any(a.tensor in cut for op in others for a in (*op.reads, *op.writes)):
        return False
    cases = [op.ranks[_rank(op)] for op in some]
    cases += [group.count for op in some for group in op.groups]
    return not any(n % part.groups for n in (*cases, *(graph.tensors[t].elements for t in cut)))


def _cut(graph: OpGraph, ops: Sequence[Op]) -> set[str]:
    """Tensors of which each group has a part of its own: all but what the slice takes and gives."""
    made = {a.tensor for op in ops[:-1] for a in op.writes}
    weights = [a.tensor for a in ops[0].reads[1:]] + [ops[-1].reads[1].tensor]
    return made | {name for name in weights if graph.tensors[name].role is Role.WEIGHT}


def _rank(op: Op) -> str:
    """The rank that counts heads, or elements of them."""
    if op.op_class == BEHIND:
        return "K"
    if op.op_class in BEFORE:
        return "N"
    return "B" if op.is_mac else "M"


def _parts(
    graph: OpGraph, block: Block, part: Slice
) -> tuple[tuple[Op, ...], dict[str, Tensor], set[str]]:
    """A block's ops with those of a slice group by group, their tensors, and what these replace."""
    some = block.ops[part.start : part.stop]
    cut, out = _cut(graph, some), some[-1].writes[0].tensor
    tensors: dict[str, Tensor] = {}
    groups: list[list[Op]] = []
    for i in range(part.groups):
        name = f"{GROUP}{i + 1}"
        for tensor in cut:
            whole = graph.tensors[tensor]
            first = tensor == some[-1].reads[1].tensor  # the output product sums over heads
            tensors[own_name(tensor, name)] = _share(whole, own_name(tensor, name), part, first)
        ops = [_part(op, name, cut, part.groups) for op in some]
        ops[-1] = _summed(ops[-1], out, i, part.groups)
        if i + 1 < part.groups:
            sums = own_name(out, name)
            tensors[sums] = replace(graph.tensors[out], name=sums)
        groups.append(ops)
    order = list(groups[0][:-1])
    for before, ops in pairwise(groups):
        order += [*ops[:-1], before[-1]]  # the attention of a group is on its way by then
    order.append(groups[-1][-1])
    return (*block.ops[: part.start], *order, *block.ops[part.stop :]), tensors, cut


def _part(op: Op, name: str, cut: set[str], groups: int) -> Op:
    """An op of one group."""

    def own(access: Access) -> Access:
        if access.tensor not in cut:
            return access
        touched = None if access.touched is None else access.touched // groups
        return replace(access, tensor=own_name(access.tensor, name), touched=touched)

    rank = _rank(op)
    some = tuple(replace(g, count=g.count // groups) for g in op.groups)
    return replace(
        op,
        name=own_name(op.name, name),
        ranks={**op.ranks, rank: op.ranks[rank] // groups},
        groups=some if rank in "BM" else op.groups,
        reads=tuple(own(a) for a in op.reads),
        writes=tuple(own(a) for a in op.writes),
    )


def _summed(op: Op, out: str, i: int, groups: int) -> Op:
    """The output product of a group: on top of the sums so far; a bias is added by the last."""
    last = i + 1 == groups
    reads = op.reads if last else op.reads[:2]
    if i:
        sums = Access(own_name(out, f"{GROUP}{i}"), op.writes[0].dims)
        reads = (*reads, sums)
    written = (
        op.writes[0] if last else replace(op.writes[0], tensor=own_name(out, f"{GROUP}{i + 1}"))
    )
    return replace(op, reads=reads, writes=(written, *op.writes[1:]))


def _share(tensor: Tensor, name: str, part: Slice, first: bool) -> Tensor:
    """A group's part of a tensor: of its heads, which are the outermost extent or the innermost."""
    shape, groups = tensor.shape, part.groups
    outer = first or len(shape) > 2
    at = 0 if outer else len(shape) - 1
    if shape[at] % groups:
        return replace(tensor, name=name, shape=(prod(shape) // groups,))
    some = tuple(n // groups if i == at else n for i, n in enumerate(shape))
    return replace(tensor, name=name, shape=some)
