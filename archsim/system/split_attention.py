"""Parts of an attention: whole sequences or whole key heads for each engine.

Scores, softmax and values of what an engine gets are a chain of its own. Sequences are dealt the
longest first; a head is dealt for all sequences at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Literal

from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Access, Op
from archsim.ir.tensor import Role, Tensor
from archsim.system.chains import attention_chain
from archsim.system.split_parts import Part, Span, for_engine, inner_tensors, own_name, portion


@dataclass(frozen=True)
class Heads:
    """An attention as problems that may be dealt.

    Attributes:
        counts: problems of each ragged case: one for each sequence and key head.
        keys: of each case.
        heads: key heads of a sequence; 1 where all heads share one key.
        by: what is dealt whole.
    """

    counts: tuple[int, ...]
    keys: tuple[int, ...]
    heads: int
    by: Literal["heads", "sequences"]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Work of each head or sequence that is dealt, in the order in which they are."""
        if self.by == "heads":
            return (1,) * self.heads
        return tuple(self.keys[i] for i in self.order for _ in range(self.counts[i] // self.heads))

    @property
    def items(self) -> int:
        """How many there are to deal."""
        return self.heads if self.by == "heads" else sum(self.counts) // self.heads

    @property
    def order(self) -> list[int]:
        """Cases in which sequences are dealt, the longest first."""
        return sorted(range(len(self.keys)), key=lambda i: (-self.keys[i], i))

    def dealt(self, stop: int) -> list[int]:
        """Problems of each case among the first so many items."""
        if self.by == "heads":
            return [count * stop // self.heads for count in self.counts]
        left, found = stop, [0] * len(self.counts)
        for i in self.order:
            some = min(left, self.counts[i] // self.heads)
            found[i], left = some * self.heads, left - some
        return found


def attention_chains(graph: OpGraph, block: Block) -> list[tuple[Op, ...]]:
    """Scores, softmax and values of each attention of a block."""
    readers: dict[str, list[int]] = {}
    for i, op in enumerate(block.ops):
        for access in op.reads:
            readers.setdefault(access.tensor, []).append(i)
    outside = {after for _, after in block.carry}
    outside |= {
        a.tensor for other in graph.blocks if other is not block for op in other.ops
        for a in op.reads
    }  # fmt: skip
    found = [attention_chain(block, i, readers, outside) for i in range(len(block.ops))]
    return [tuple(block.ops[i] for i in chain) for chain in found if chain]


def heads_of(
    graph: OpGraph, chain: Sequence[Op], by: Literal["heads", "sequences"]
) -> Heads | None:
    """An attention as problems; None where they are no sequences: blocks, or a shared prefix."""
    score, value = chain[0], chain[-1]
    cases = [ranks for _, ranks in score.cases()]
    plain = all(
        len(op.groups) == len(score.groups) and all(len(g.extents) == 1 for g in op.groups)
        for op in chain
    )
    if not plain or score.repeated != 1:
        return None
    counts = tuple(ranks["B"] for ranks in cases)
    out = value.writes[0]
    size = graph.tensors[out.tensor]
    rows = (size.elements if out.touched is None else out.touched) // size.shape[-1]
    sequences, rest = divmod(rows, score.queries or 1)
    heads = sum(counts) // sequences if sequences and not rest else 1
    if not heads or heads * sequences != sum(counts) or any(n % heads for n in counts):
        heads = 1
    return Heads(counts, tuple(ranks["N"] for ranks in cases), heads, by)


def attention_part(
    graph: OpGraph, chain: Sequence[Op], heads: Heads, start: int, stop: int, engine: str
) -> Part:
    """The part of a chain for the items from one on up to another."""
    inner = inner_tensors(chain)
    ends = [heads.dealt(at) for at in (start, stop, heads.items)]
    mine = [b - a for a, b in zip(*ends[:2], strict=True)]
    units = Span(*(sum(counts) for counts in ends))
    keys = Span(*(sum(n * k for n, k in zip(c, heads.keys, strict=True)) for c in ends))

    def some(op: Op, access: Access, i: int, *, written: bool = False) -> Access:
        if access.tensor in inner:
            return replace(access, tensor=own_name(access.tensor, engine))
        if graph.tensors[access.tensor].role is Role.WEIGHT:
            return access  # such as a number for each head, or a table of positions
        by_row = written or (op.is_mac and i == 0)  # queries and results; else as long as contexts
        return portion(graph, access, units if by_row else keys)

    def part(op: Op) -> Op:
        reads = tuple(some(op, a, i) for i, a in enumerate(op.reads))
        writes = tuple(some(op, a, i, written=True) for i, a in enumerate(op.writes))
        name = own_name(op.name, engine)
        found = _fewer(op, mine, heads.counts)
        return for_engine(replace(found, name=name, reads=reads, writes=writes), engine)

    ragged = bool(chain[0].groups)
    tensors = {
        own_name(name, engine): _own(graph.tensors[name], engine, heads, (units, keys), ragged)
        for name in inner
    }
    return Part(engine, tuple(part(op) for op in chain), tensors)


def _fewer(op: Op, mine: Sequence[int], counts: Sequence[int]) -> Op:
    """An op for some of the problems of each case."""
    rank = "B" if op.is_mac else "M"
    if not op.groups:
        return replace(op, ranks={**op.ranks, rank: op.ranks[rank] * mine[0] // counts[0]})
    groups = tuple(
        replace(group, count=group.count * some // whole)
        for group, some, whole in zip(op.groups, mine, counts, strict=True)
        if some
    )
    most = {r: max(dict(g.extents)[r] for g in groups) for r, _ in groups[0].extents}
    ranks = {**op.ranks, **most, rank: sum(g.count for g in groups)}
    return replace(op, groups=groups, ranks=ranks)


def _own(
    tensor: Tensor, engine: str, heads: Heads, spans: tuple[Span, Span], ragged: bool
) -> Tensor:
    """A part's own scores, or what else passes inside the chain."""
    units, keys = spans
    if not ragged and tensor.shape[0] == sum(heads.counts):
        shape: tuple[int, ...] = (units.of(tensor.shape[0]), *tensor.shape[1:])
    else:
        shape = (keys.of(prod(tensor.shape)),)
    return replace(tensor, name=own_name(tensor.name, engine), shape=shape)
