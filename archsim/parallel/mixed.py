"""A share of a mixed step: chunks of prompts dealt in turn, then sequences that decode.

Every share has as many sequences, and not as many tokens: a chunk is whole on one device. Decoding
sequences fill the shares up in order of their context, each turn the other way round.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

from archsim.ir.graph import OpGraph
from archsim.ir.op import Access, Group, Op
from archsim.ir.tensor import Role
from archsim.parallel.refusal import refused
from archsim.parallel.rows import FEW, STORED, is_long, row_rank
from archsim.parallel.shape import CHUNK


@dataclass(frozen=True)
class MixedStep:
    """A step of decoding sequences and chunks of prompts, and how it is dealt out.

    Attributes:
        chunks: (sequences, tokens) of each chunk, all its sequences together.
        contexts: of each decoding sequence, the longest first.
        ways: shares.
    """

    chunks: tuple[tuple[int, int], ...]
    contexts: tuple[int, ...]
    ways: int

    @classmethod
    def of(cls, graph: OpGraph, ways: int) -> MixedStep | None:
        """The step of a graph; None for one of a single part.

        Raises:
            InputError: E203 where its chunks cannot be dealt out.
        """
        phase = dict(graph.facts.get("phase") or {})
        if phase.get("kind") != "mixed":
            return None
        chunks = phase["prefill"]
        chunks = chunks if isinstance(chunks, list | tuple) else [chunks]
        sizes = [(int(c.get("batch") or 1), int(c["tokens"])) for c in map(dict, chunks)]
        contexts = phase["decode"]["context"]
        if not isinstance(contexts, list | tuple):
            contexts = [contexts] * int(phase["decode"].get("batch") or 1)
        whole = tuple((n, n * tokens) for n, tokens in sizes)
        return cls(whole, tuple(sorted(map(int, contexts), reverse=True)), ways)

    @property
    def sequences(self) -> int:
        """Of each share."""
        return (len(self.contexts) + sum(n for n, _ in self.chunks)) // self.ways

    @cached_property
    def owners(self) -> tuple[int, ...]:
        """The share that each chunk is of: the one with fewest sequences so far.

        Raises:
            InputError: E203 where a share has more of them than sequences.
        """
        load, found = [0] * self.ways, []
        for n, _ in self.chunks:
            found.append(min(range(self.ways), key=lambda i: (load[i], i)))
            load[found[-1]] += n
        if max(load) > self.sequences:
            raise refused(
                f"chunks of {max(load)} sequences are dealt to one of {self.ways} devices, "
                f"each of which has {self.sequences}",
                "chunks of one sequence each, or fewer ways",
                "expert",
            )
        return tuple(found)

    @cached_property
    def decodes(self) -> tuple[tuple[int, ...], ...]:
        """Contexts of the decoding sequences of each share."""
        room = [
            self.sequences - sum(n for own, (n, _) in zip(self.owners, self.chunks, strict=True)
                                 if own == i)
            for i in range(self.ways)
        ]  # fmt: skip
        found: list[list[int]] = [[] for _ in room]
        order, at = list(range(self.ways)), 0
        for context in self.contexts:
            while len(found[order[at]]) == room[order[at]]:
                order, at = self._next(order, at)
            found[order[at]].append(context)
            order, at = self._next(order, at)
        return tuple(map(tuple, found))

    def _next(self, order: list[int], at: int) -> tuple[list[int], int]:
        return (order, at + 1) if at + 1 < self.ways else (order[::-1], 0)

    def tokens(self, index: int) -> int:
        """New tokens of a share."""
        own = zip(self.owners, self.chunks, strict=True)
        return len(self.decodes[index]) + sum(tokens for i, (_, tokens) in own if i == index)

    @cached_property
    def all_tokens(self) -> tuple[int, ...]:
        """New tokens of every share."""
        return tuple(self.tokens(i) for i in range(self.ways))


class MixedRows:
    """A share of the ops and tensors of a mixed step.

    Args:
        step: how it is dealt out.
        graph: of the whole step.
        index: which share.
    """

    def __init__(self, step: MixedStep, graph: OpGraph, index: int) -> None:
        self.step, self.tensors, self.index = step, graph.tensors, index
        self.of_all = {
            a.tensor
            for _, op in graph.ops() if op.phase not in ("prefill", "decode")
            for a in (*op.reads, *op.writes) if not self._is_cache(a.tensor)
        }  # fmt: skip
        self.before = sum(step.all_tokens)
        self.contexts = step.decodes[index]
        self.lengths = Counter(self.contexts)
        self.few = Fraction(len(self.contexts), len(step.contexts))
        self.long = Fraction(sum(self.contexts), sum(step.contexts))

    def op(self, op: Op) -> Op | None:
        """The op of the share; None where the share has no part of it."""
        if op.phase == "prefill":
            return op if self._mine(op.name) else None
        if op.phase == "decode":
            return self._decoding(op) if self.contexts else None
        rows = self.rows(op.ranks["M"])
        sides = (self._parts(op, side) for side in (op.reads, op.writes))
        reads, writes = sides
        return replace(op, ranks={**op.ranks, "M": rows}, reads=reads, writes=writes)

    def shapes(self, op: Op) -> dict[str, tuple[int, ...]]:
        """Shapes of the share's parts of what one of its ops reads or writes, but for weights."""
        accesses = (*op.reads, *op.writes)
        kept = [a for a in accesses if self.tensors[a.tensor].role not in STORED]
        return {a.tensor: self.shape(a.tensor, op, a) for a in kept}

    def shape(self, name: str, op: Op, access: Access) -> tuple[int, ...]:
        """Shape of the share's part of a tensor that an op reads or writes."""
        first, *rest = self.tensors[name].shape
        if CHUNK.search(name):
            return first, *rest
        if op.phase != "decode" and not self._is_cache(name):
            return self.rows(first), *rest
        if name in self.of_all:  # decoding ops read or write their own rows of it
            return self.step.tokens(self.index), *rest
        ratio = self.long if self._is_long(op, access) else self.few
        return int(first * ratio), *rest

    def _is_cache(self, name: str) -> bool:
        return self.tensors[name].role is Role.KV_CACHE

    def _mine(self, name: str) -> bool:
        chunk = CHUNK.search(name)
        return chunk is None or self.step.owners[int(chunk.group(1)) - 1] == self.index

    def rows(self, rows: int) -> int:
        """Rows of a share: of tokens, of so many rows each, or of sequences."""
        if rows % self.before == 0:
            return rows // self.before * self.step.tokens(self.index)
        return rows // self.step.ways

    def _is_long(self, op: Op, access: Access) -> bool:
        """Whether a tensor is as long as contexts that differ."""
        kept = self._is_cache(access.tensor)
        return len(set(self.step.contexts)) > 1 and (kept or is_long(op, access))

    def _decoding(self, op: Op) -> Op:
        rank = row_rank(op, self.tensors)
        count = len(self.step.contexts)
        groups: tuple[Group, ...] = ()
        if op.groups:
            problems = sum(g.count for g in op.groups) // count
            if not {g.extents[-1][1] for g in op.groups} <= set(self.step.contexts):
                raise refused("steps of several parts with a window are divided by tensor and "
                              "pipeline alone", "expert: 1", "expert")  # fmt: skip
            groups = tuple(
                replace(g, count=problems * self._of_length(g))
                for g in op.groups if self._of_length(g)
            )  # fmt: skip
            most = {r: max(dict(g.extents)[r] for g in groups) for r, _ in groups[0].extents}
            op = replace(op, groups=groups, ranks={**op.ranks, **most})
        ranks = {**op.ranks, rank: int(op.ranks[rank] * self.few)}
        reads, writes = (tuple(self._part(a, op) for a in side) for side in (op.reads, op.writes))
        return replace(op, ranks=ranks, reads=reads, writes=writes)

    def _of_length(self, group: Group) -> int:
        return self.lengths[group.extents[-1][1]]

    def _parts(self, op: Op, side: tuple[Access, ...]) -> tuple[Access, ...]:
        """Accesses of an op of all parts, without those to other shares' chunks and caches."""
        return tuple(
            self._part(a, op) for a in side
            if self._mine(a.tensor) and (self.contexts or not self._is_cache(a.tensor))
        )  # fmt: skip

    def _part(self, access: Access, op: Op) -> Access:
        tensor = self.tensors[access.tensor]
        if access.touched is None or CHUNK.search(access.tensor):
            return access
        shared = tensor.role in STORED
        if shared and (op.op_class != "embedding" or op.is_mac or tensor.name.startswith(FEW)):
            return access
        ratio = self.few
        if op.phase == "decode" and self._is_long(op, access):
            ratio = self.long
        elif op.phase != "decode" and not self._is_cache(access.tensor):
            ratio = Fraction(self.rows(op.ranks["M"]), op.ranks["M"])
        touched = int(-(-access.touched * ratio // 1))
        size = self.shape(access.tensor, op, access) if not shared else tensor.shape
        whole = replace(tensor, shape=size).elements
        return replace(access, touched=None if touched >= whole else touched)
