"""Parts of the experts of a layer: whole experts for each engine, with the tokens of each.

Experts with most tokens come first. Where the memory is cut into spaces, experts lie in them in
turn, by number, and all of a space go to one engine; with no more experts than spaces each has one
of its own (Duplex, MICRO 2024).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Access, Op
from archsim.parallel.experts import loads, with_loads
from archsim.system.split_parts import Part, Span, inner_tensors, own_name, portion

Item = tuple[tuple[int, int], ...]  # (expert, tokens) that are dealt together


def expert_chains(block: Block) -> list[tuple[Op, ...]]:
    """The products with a stack of experts and the vector ops between them, one chain a choice."""
    readers: dict[str, set[str]] = defaultdict(set)
    for op in block.ops:
        for access in op.reads:
            readers[access.tensor].add(op.name)
    chains: dict[object, list[Op]] = {}
    made: dict[str, object] = {}  # tensors that a chain has written so far
    for op in block.ops:
        key: object = op.picks
        if key is None:
            sources = {made.get(a.tensor) for a in op.reads}
            key = next(iter(sources)) if len(sources) == 1 and not op.is_mac else None
        if key is not None:
            chains.setdefault(key, []).append(op)
            made |= {a.tensor: key for a in op.writes}
    return [tuple(ops) for ops in (_closed(c, readers) for c in chains.values()) if ops]


def _closed(ops: list[Op], readers: dict[str, set[str]]) -> list[Op]:
    """A chain up to its last product; nothing where others read what passes inside of it."""
    while not ops[-1].is_mac:
        ops = ops[:-1]
    names = {op.name for op in ops}
    rows = sum(tokens for _, tokens in loads(ops[0]))
    closed = all(readers[name] <= names for name in inner_tensors(ops))
    closed = closed and all(op.is_mac or op.ranks["M"] == rows for op in ops)
    return ops if closed else []


def items_of(graph: OpGraph, chain: Sequence[Op], spaces: int | None) -> tuple[Item, ...]:
    """What is dealt: experts, or spaces with the experts that lie in them, most tokens first."""
    first = chain[0]
    here = loads(first)
    held = graph.tensors[first.reads[1].tensor].shape[0]
    if spaces is None or held <= spaces:
        found: list[Item] = [(one,) for one in here]
    else:
        by_space: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for expert, tokens in here:
            by_space[expert % spaces].append((expert, tokens))
        found = [tuple(experts) for experts in by_space.values()]
    return tuple(sorted(found, key=lambda item: (-sum(n for _, n in item), item)))


def expert_part(
    graph: OpGraph, chain: Sequence[Op], items: Sequence[Item], start: int, stop: int, engine: str
) -> Part:
    """The part of a chain for the items from one on up to another."""
    inner = inner_tensors(chain)
    mine = {expert: n for item in items[start:stop] for expert, n in item}
    sums = [sum(n for item in items[:at] for _, n in item) for at in (start, stop, len(items))]
    span = Span(*sums)
    rows = sums[1] - sums[0]

    def some(access: Access) -> Access:
        if access.tensor in inner:
            return replace(access, tensor=own_name(access.tensor, engine))
        return portion(graph, access, span)

    def part(op: Op) -> Op:
        writes = tuple(some(a) for a in op.writes)
        name = own_name(op.name, engine)
        if op.picks is None:
            reads = tuple(some(a) for a in op.reads)
            ranks = {**op.ranks, "M": rows}
            return replace(op, name=name, ranks=ranks, reads=reads, writes=writes)
        found = with_loads(op, graph.tensors, mine.items())
        reads = (some(op.reads[0]), *found.reads[1:])  # experts' matrices and biases are its own
        return replace(found, name=name, reads=reads, writes=writes, split_for=engine)

    tensors = {
        own_name(name, engine): replace(
            graph.tensors[name],
            name=own_name(name, engine),
            shape=(rows, *graph.tensors[name].shape[1:]),
        )
        for name in inner
    }
    return Part(engine, tuple(part(op) for op in chain), tensors)
