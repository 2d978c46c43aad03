"""An op: named ranks, what it reads and writes through affine accesses, and the work per point."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from math import prod

from archsim.ir.collective import Collective
from archsim.ir.stream import StreamGraph


class Kind(StrEnum):
    """How an op's points are combined; a mapping template accepts one kind or more."""

    GEMM = "gemm"  # ranks B M N K: out[b,m,n] += in[b,m,k] * weight[b,k,n]
    CONV = "conv"  # ranks B G OH OW OC IC FH FW (OC and IC per group)
    VECTOR = "vector"  # ranks M N: primitives per point, reduction over N allowed
    GATHER = "gather"  # ranks M N: row lookup, M rows of N elements
    MOVE = "move"  # ranks M N: bytes that change place, no arithmetic
    STREAM = "stream"  # ranks M N: iterations of a stream graph, and firings in each
    COLLECTIVE = "collective"  # ranks M N: rows x width of what devices exchange, no arithmetic


@dataclass(frozen=True, slots=True)
class Dim:
    """One tensor dimension as an affine expression: sum of coefficient x rank, plus an offset."""

    terms: tuple[tuple[str, int], ...]
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Access:
    """How an op reaches a tensor: one affine `Dim` per dimension, and how much it touches.

    `touched` is the number of distinct elements that the whole op reaches: less than the
    tensor's where a stride skips some or a lookup takes a few rows; None means all of them.
    """

    tensor: str
    dims: tuple[Dim, ...] = ()
    touched: int | None = None

    @property
    def ranks(self) -> frozenset[str]:
        """The ranks that appear in any dimension: the tensor changes when they step."""
        return frozenset(rank for dim in self.dims for rank, _ in dim.terms)


def dims(*names: str) -> tuple[Dim, ...]:
    """Plain accesses: one rank a dimension, e.g. `dims("M", "K")`."""
    return tuple(Dim(((name, 1),)) for name in names)


@dataclass(frozen=True, slots=True)
class Group:
    """`count` problems of the batch rank B whose extents differ from the op's own.

    A ragged op (sequences of several lengths, experts with several token counts) lists one group
    per distinct extent, so that a thousand sequences stay one op.
    """

    count: int
    extents: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Picks:
    """Which of a stack of alike operands a ragged op uses, as experts of a layer.

    Attributes:
        of: the stack; ops of one stack, of whichever step, have the same name here.
        items: place in the stack of each problem of B, in the order of the op's groups.
        by: tensor that holds the choice: it is known once that is written.
    """

    of: str
    items: tuple[int, ...]
    by: str


@dataclass(frozen=True, slots=True)
class Window:
    """Convolution geometry, per spatial axis (height, width), in elements."""

    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pad: tuple[int, int] = (0, 0)  # before the first row and column
    in_size: tuple[int, int] = (1, 1)  # unpadded input height and width


@dataclass(frozen=True, slots=True)
class Op:
    """One operator of the graph.

    Attributes:
        name: path inside its block, such as `attn.score`.
        kind: how points combine.
        op_class: the class that reports and selectors use, such as `attention_score`.
        ranks: extents by rank; for ragged ops the extents of the longest group.
        reads: GEMM and CONV: (input, weight, *extras); others: every input.
        writes: the results, the first is the main one.
        primitives: VECTOR: arithmetic primitives per point (M x N), e.g. {"exp": 1, "add": 2}.
        row_primitives: VECTOR: primitives once per row (per M), e.g. {"rsqrt": 1}.
        reduces: VECTOR: True when a whole row of N must be held before its result is known.
        groups: ragged extents over rank B (GEMM) or M (VECTOR); empty means regular.
        window: CONV geometry, or the pooling window's.
        causal: only points at or before the diagonal matter; a mapping may skip the others.
        queries: attention: query positions in M, whose rows are query-major; 0 for other ops. Query
            i of them attends to keys up to `keys - queries + i` where it is causal.
        reach: attention: a query attends only to the last so many of those keys; None means all.
        key_rank: attention: the rank that counts keys, where it is not as in the forward pass.
        repeated: times that an element of the second operand stands in it, along K: once in memory.
        picks: which items of its stacked second operand the op uses; None where it has none.
        stream: STREAM: the graph.
        collective: COLLECTIVE: what the devices of an axis exchange.
        phase: whose tokens it works on, as phases of a workload are called: `mixed` for those of
            prefill and decode both; empty where the graph does not say.
        split_for: engine that has this part of an op which was split; empty for whole ops.
    """

    name: str
    kind: Kind
    op_class: str
    ranks: dict[str, int]
    reads: tuple[Access, ...]
    writes: tuple[Access, ...]
    primitives: dict[str, int] = field(default_factory=dict)
    row_primitives: dict[str, int] = field(default_factory=dict)
    reduces: bool = False
    groups: tuple[Group, ...] = ()
    window: Window | None = None
    causal: bool = False
    queries: int = 0
    reach: int | None = None
    key_rank: str = ""
    picks: Picks | None = None
    repeated: int = 1
    stream: StreamGraph | None = None
    collective: Collective | None = None
    phase: str = ""
    split_for: str = ""

    @property
    def is_mac(self) -> bool:
        """True for ops that multiply and accumulate."""
        return self.kind in (Kind.GEMM, Kind.CONV)

    def cases(self) -> tuple[tuple[int, dict[str, int]], ...]:
        """(count, ranks) of each ragged group with the batch extent set; one case if regular."""
        if not self.groups:
            return ((1, dict(self.ranks)),)
        batch = "B" if self.is_mac else "M"
        return tuple(
            (1, {**self.ranks, **dict(group.extents), batch: group.count}) for group in self.groups
        )

    def points(self) -> int:
        """Points of the iteration space, ragged extents counted as they are."""
        return sum(count * prod(ranks.values()) for count, ranks in self.cases())

    def live_points(self) -> int:
        """Points that a mask or a reach leaves: what any mapping must compute."""
        if not self.queries or not (self.causal or self.reach):
            return self.points()
        keys = self.key_rank or ("K" if self.op_class == "attention_value" else "N")
        return sum(
            count * prod(ranks.values()) * self._seen(ranks[keys]) // (self.queries * ranks[keys])
            for count, ranks in self.cases()
        )

    def _seen(self, keys: int) -> int:
        """(query, key) pairs that matter: the sum over queries of min(reach, keys they may see)."""
        least = keys - self.queries + 1 if self.causal else keys  # of the first query
        reach = min(self.reach or keys, keys)
        if least >= reach:
            return self.queries * reach
        growing = min(self.queries, reach - least)  # queries that see one key more each
        total = growing * least + growing * (growing - 1) // 2
        return total + (self.queries - growing) * min(reach, keys)

    def macs(self) -> int:
        """Multiply-accumulates; 0 for ops that have none."""
        if self.stream is not None:
            return self.stream.macs()
        return self.points() if self.is_mac else 0

    def rows(self) -> int:
        """Rows of a VECTOR, GATHER, MOVE or COLLECTIVE op (extent of M over all groups)."""
        return sum(count * ranks["M"] for count, ranks in self.cases())

    def primitive_counts(self) -> dict[str, int]:
        """Total arithmetic primitives of a VECTOR op, by name."""
        totals = {name: n * self.points() for name, n in self.primitives.items()}
        for name, n in self.row_primitives.items():
            totals[name] = totals.get(name, 0) + n * self.rows()
        return totals
