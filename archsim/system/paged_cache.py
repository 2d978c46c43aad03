"""Paged KV cache on a machine: whole pages in each memory, and what spills by which rule.

Here the bytes that a class of tensors got in each memory become frames, and the page table says how
many tokens of each tensor lie further away and whether new ones do. Pages and rules are those of
`memory.paging`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from archsim.core.errors import Unsupported
from archsim.core.spec import PositiveInt, Spec
from archsim.ir.graph import OpGraph
from archsim.memory.paging import PageTable, page_count, paged

PAGE_TOKENS = 16  # Kwon et al., vLLM (SOSP 2023): the default size of a block


class PageRule(Spec):
    """The KV cache in pages: none of them lies in two memories."""

    tokens: PositiveInt | None = None
    """Tokens of a page. Default: that of `layout.kv_cache`, or else 16."""

    spill: Literal["oldest", "longest", "last"] = "oldest"
    """What leaves a memory that is full: the first pages of all sequences (default), or whole
    sequences, the longest or the last of the batch first."""


@dataclass(frozen=True)
class Paged:
    """Pages of one tensor of the cache.

    Attributes:
        table: of one repeat.
        memories: that frames are counted by.
        page_bytes: of one page of the tensor.
        token_bytes: of one token of it.
    """

    table: PageTable
    memories: tuple[str, ...]
    page_bytes: int
    token_bytes: int

    def held(self) -> dict[str, int]:
        """Bytes of whole pages by memory."""
        counts = {m: self.table.pages_in(i) for i, m in enumerate(self.memories)}
        return {m: n * self.page_bytes for m, n in counts.items() if n}

    def newest_in(self) -> set[str]:
        """Memories in which newest tokens lie."""
        return {self.memories[i] for i in self.table.appends_to()}

    def live(self) -> dict[str, int]:
        """Bytes of tokens by memory."""
        counts = {m: self.table.tokens_in(i) for i, m in enumerate(self.memories)}
        return {m: n * self.token_bytes for m, n in counts.items() if n}


def page_tokens(rule: PageRule, spec: Any) -> int:
    """Tokens of a page on a machine."""
    return int(rule.tokens or spec.layout.kv_cache.page or PAGE_TOKENS)


def padded_bytes(graph: OpGraph, tensor: str, tokens: int) -> int:
    """Bytes of a tensor of the cache in whole pages of so many tokens."""
    lengths = sequence_lengths(graph, tensor)
    each = graph.tensors[tensor].bytes // sum(lengths)
    return page_count(lengths, tokens) * tokens * each


def pages_of(
    graph: OpGraph, tensor: str, rule: PageRule, tokens: int, parts: Mapping[str, int]
) -> Paged:
    """Pages of a tensor whose bytes are split over memories, the nearest first.

    Each memory has as many frames as fit its part; the last one takes the rest.
    """
    lengths = sequence_lengths(graph, tensor)
    each = graph.tensors[tensor].bytes // sum(lengths)
    frames, left = [], page_count(lengths, tokens)
    for size in parts.values():
        frames.append(min(left, size // (tokens * each)))
        left -= frames[-1]
    frames[-1] += left
    table = paged(lengths, tokens, frames, rule.spill)
    return Paged(table, tuple(parts), tokens * each, each)


def sequence_lengths(graph: OpGraph, tensor: str) -> tuple[int, ...]:
    """Tokens that a tensor of the cache holds of each sequence.

    Raises:
        Unsupported: E302 for caches that sequences share, or of several phases at once.
    """
    phase, shape = graph.facts.get("phase", {}), graph.tensors[tensor].shape
    context = phase.get("context")
    if isinstance(context, list | tuple):
        lengths = tuple(int(n) + (phase.get("steps") or 1) - 1 for n in context)
    else:
        batch = int(phase.get("batch") or 1)
        tokens = shape[-2] if len(shape) > 2 else shape[0] // batch
        lengths = (tokens,) * batch
    if phase.get("kind") not in ("decode", "prefill") or graph.tensors[tensor].bytes % sum(lengths):
        message = f"{tensor} does not fall into pages of one sequence each"
        raise Unsupported(message, code="E302", help="placement without kv_pages")
    return lengths
