"""A paged KV cache: fixed-size pages, a table from tokens to frames, and a rule for what spills.

Pure functions: sequences of so many tokens are cut into pages, pages get frames of the memories
that have some left, the nearest first, and a rule says which pages have to leave it. How large a
page is in bytes, and what a page further away costs, is said by who asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from archsim.core.errors import Infeasible, InputError

Spill = Literal["oldest", "longest", "last"]


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a page lies: which memory, counted from the nearest, and which frame of it."""

    memory: int
    number: int


@dataclass(frozen=True)
class PageTable:
    """Where each page of each sequence lies.

    Attributes:
        page_tokens: of a page.
        lengths: tokens by sequence.
        frames: by sequence, the frame of each of its pages in order.
    """

    page_tokens: int
    lengths: tuple[int, ...]
    frames: tuple[tuple[Frame, ...], ...]

    def find(self, sequence: int, token: int) -> tuple[Frame, int]:
        """The frame that holds a token of a sequence, and its place in the page.

        Raises:
            InputError: E107 when the sequence has no such token.
        """
        if not 0 <= token < self.lengths[sequence]:
            message = f"sequence {sequence} has {self.lengths[sequence]} tokens, not token {token}"
            raise InputError(message, code="E107")
        page, place = divmod(token, self.page_tokens)
        return self.frames[sequence][page], place

    def pages_in(self, memory: int) -> int:
        """Pages that lie in a memory."""
        return sum(frame.memory == memory for some in self.frames for frame in some)

    def tokens_in(self, memory: int) -> int:
        """Tokens that lie in a memory: the last page of a sequence may be filled in part."""
        return sum(
            min(self.page_tokens, length - page * self.page_tokens)
            for length, some in zip(self.lengths, self.frames, strict=True)
            for page, frame in enumerate(some)
            if frame.memory == memory
        )

    @property
    def idle_tokens(self) -> int:
        """Places of tokens in pages that no token fills."""
        return sum(map(len, self.frames)) * self.page_tokens - sum(self.lengths)

    def appends_to(self) -> frozenset[int]:
        """Memories in which newest tokens lie: where the next ones are written."""
        return frozenset(some[-1].memory for some in self.frames if some)


def page_count(lengths: Iterable[int], page_tokens: int) -> int:
    """Pages of sequences, each of which begins a page of its own."""
    return sum(-(-length // page_tokens) for length in lengths)


def paged(
    lengths: Sequence[int], page_tokens: int, frames: Sequence[int], spill: Spill
) -> PageTable:
    """Give each page a frame.

    What does not fit a memory leaves it in the order of the rule: `oldest` the first pages of all
    sequences, page by page, so that newest tokens stay; `longest` whole sequences, the longest
    first; `last` whole sequences, the last one first. The last of the sequences to leave does so in
    part, from its first page on.

    Args:
        lengths: tokens by sequence.
        page_tokens: of a page.
        frames: of each memory, the nearest first.
        spill: who leaves.

    Raises:
        Infeasible: E401 when there are more pages than frames.
    """
    need = page_count(lengths, page_tokens)
    if need > sum(frames):
        message = f"{need} pages of {page_tokens} tokens, and {sum(frames)} frames"
        raise Infeasible(message, code="E401", help="a smaller batch, or more room")
    pages = [
        (sequence, page)
        for sequence, length in enumerate(lengths)
        for page in range(-(-length // page_tokens))
    ]
    orders = {
        "oldest": lambda at: (at[1], at[0]),
        "longest": lambda at: (-lengths[at[0]], at),
        "last": lambda at: (-at[0], at[1]),
    }
    leaving = sorted(pages, key=orders[spill])
    where: dict[tuple[int, int], Frame] = {}
    for memory, count in enumerate(frames):  # who leaves last stays nearest
        stays = max(0, len(leaving) - count)
        here = sorted(leaving[stays:])
        where |= {at: Frame(memory, number) for number, at in enumerate(here)}
        leaving = leaving[:stays]
    rows = tuple(
        tuple(where[sequence, page] for page in range(-(-length // page_tokens)))
        for sequence, length in enumerate(lengths)
    )
    return PageTable(page_tokens, tuple(lengths), rows)
