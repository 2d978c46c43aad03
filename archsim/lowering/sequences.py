"""Sequences of a step: how many new tokens each has, and how many tokens these attend to.

A phase is one step or several; the sequences of a step that have equally many new tokens are one
part of it. Which tokens are cached, seen and read follows from windows and from options of the KV
cache; ops and bytes are made of these counts elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil

from archsim.lowering.block_sparse import BlockSparse
from archsim.lowering.kv import KvOptions
from archsim.lowering.phase import AnyPhase, Chunk, Contexts, Decode, Encode, Infer, Mixed, Train

Lengths = tuple[tuple[int, int], ...]  # (tokens, sequences), ascending


@dataclass(frozen=True)
class Sequences:
    """Sequences with equally many new tokens.

    Attributes:
        new: tokens of each.
        contexts: tokens up to and with the newest, and how many sequences have so many.
        name: before the names of their ops and tensors, where a step has several parts.
        window: a token attends to itself and those before it, so many at most.
        later: tokens that each gets in later steps: its cache has room for them.
        kept: share of the cached tokens that one attends to; a prompt attends to all.
        prefix: first tokens that `sharers` sequences have in common.
        sharers: sequences of a group.
        blocks: which blocks of keys are scored; None where all are.
        phase: that their ops are of, where a step has several.
    """

    new: int
    contexts: Lengths
    name: str = ""
    window: int | None = None
    later: int = 0
    kept: Fraction = Fraction(1)
    prefix: int = 0
    sharers: int = 1
    blocks: BlockSparse | None = None
    phase: str = ""

    def within(self, window: int | None) -> Sequences:
        """The same where no token attends further back than a window.

        Tokens outside it are no longer cached. Where a window cuts any context, sequences share
        nothing: how much of a prefix each still sees would differ.
        """
        if window is None:
            return self
        cut = self.context + self.later > window
        return replace(self, window=window, prefix=0 if cut else self.prefix)

    @property
    def batch(self) -> int:
        """Sequences."""
        return sum(n for _, n in self.contexts)

    @property
    def tokens(self) -> int:
        """New tokens of all sequences."""
        return self.new * self.batch

    @property
    def context(self) -> int:
        """Tokens of the longest sequence."""
        return self.contexts[-1][0]

    @property
    def cached(self) -> Lengths:
        """Tokens of each sequence that any of its new ones may attend to: with them, its cache."""
        return self._each(self._inside)

    @property
    def held(self) -> Lengths:
        """Tokens of each sequence that its cache has room for."""
        return self._each(lambda length: self._inside(length + self.later))

    @property
    def lengths(self) -> Lengths:
        """Tokens attended, after a choice; in a prompt with blocks, those that any token may."""
        if self.blocks and self.new == 1:
            return self._each(self.blocks.attended)
        return self._each(lambda length: ceil(self.kept * self._inside(length)))

    @property
    def longest(self) -> int:
        """Most tokens attended by one sequence."""
        return self.lengths[-1][0]

    @property
    def attended(self) -> int:
        """Tokens attended, over all sequences."""
        return _total(self.lengths)

    @property
    def read(self) -> int:
        """Cached tokens that are attended to, those of a shared prefix once."""
        if self.blocks and self.new > 1:
            reached = self.blocks.reached
            return sum(n * reached(self.new, length) for length, n in self.contexts)
        return self.attended - self.spared

    @property
    def visible(self) -> int:
        """Cached tokens that may be attended to, those of a shared prefix once."""
        return _total(self.cached) - self.spared

    @property
    def room(self) -> int:
        """Tokens that the cache has room for, those of a shared prefix once."""
        return _total(self.held) - self.spared

    @property
    def spared(self) -> int:
        """Tokens that sharing spares the cache."""
        return (self.batch - self.groups) * self.prefix

    @property
    def groups(self) -> int:
        """Groups of sequences that share a prefix."""
        return self.batch // self.sharers

    @property
    def ragged(self) -> bool:
        """True when the sequences differ in length."""
        return len(self.lengths) > 1

    @property
    def masked_blocks(self) -> BlockSparse | None:
        """The blocks of a prompt or an encoder; None where there are none, and in decode."""
        return self.blocks if self.new > 1 else None

    @property
    def even(self) -> bool:
        """True when the cache is as long for each sequence, and of it alone."""
        return len(self.held) == 1 and not self.prefix

    def _inside(self, length: int) -> int:
        return length if self.window is None else min(length, self.window + self.new - 1)

    def _each(self, of: Callable[[int], int]) -> Lengths:
        found: Counter[int] = Counter()
        for length, sequences in self.contexts:
            found[of(length)] += sequences
        return tuple(sorted(found.items()))


@dataclass(frozen=True)
class Step:
    """One pass through the model: its parts, and which of the phase's steps it is, from 1.

    With `all_logits` every new token has logits, not the last of each sequence alone. A step that
    `trains` keeps no cache.
    """

    parts: tuple[Sequences, ...]
    number: int = 1
    all_logits: bool = False
    trains: bool = False

    @property
    def tokens(self) -> int:
        """New tokens of all sequences."""
        return sum(part.tokens for part in self.parts)

    @property
    def batch(self) -> int:
        """Sequences."""
        return sum(part.batch for part in self.parts)

    @property
    def context(self) -> int:
        """Tokens of the longest sequence."""
        return max(part.context for part in self.parts)

    @property
    def before(self) -> str:
        """Stands before the names of what a later step makes."""
        return f"step{self.number}/" if self.number > 1 else ""

    @property
    def behind(self) -> str:
        """Stands behind the names of a later step's blocks."""
        return f"@{self.number}" if self.number > 1 else ""


def steps_of(phase: AnyPhase, kv: KvOptions | None = None) -> tuple[Step, ...]:
    """The steps of a phase of a model with sequences."""
    kv = kv or KvOptions()
    if isinstance(phase, Decode):
        steps = phase.steps or 1
        return tuple(Step((_decode(phase, kv, i, steps),), i + 1) for i in range(steps))
    if isinstance(phase, Mixed):
        chunks = (_chunk(part, f"prefill{i}.") for i, part in enumerate(phase.prefill, 1))
        decoded = replace(_decode(phase.decode, kv, 0, 1), phase="decode")
        return (Step((decoded, *(replace(chunk, phase="prefill") for chunk in chunks))),)
    if isinstance(phase, Encode | Train):
        trains = isinstance(phase, Train)
        whole = Sequences(phase.tokens, ((phase.tokens, phase.batch),))
        return (Step((whole,), all_logits=trains, trains=trains),)
    assert not isinstance(phase, Infer), "phases of the model are checked before it is built"
    return (Step((_chunk(phase, ""),), all_logits=phase.logits == "all"),)


def _decode(phase: Contexts, kv: KvOptions, done: int, steps: int) -> Sequences:
    contexts = tuple(sorted((length + done, n) for length, n in phase.counts().items()))
    return Sequences(
        1,
        contexts,
        later=steps - 1 - done,
        kept=Fraction(str(kv.kept or 1)),
        prefix=kv.shared_prefix or 0,
        sharers=kv.sharers or sum(phase.counts().values()) if kv.shared_prefix else 1,
    )


def _chunk(part: Chunk, name: str) -> Sequences:
    context = (part.context_before or 0) + part.tokens
    return Sequences(part.tokens, ((context, part.batch),), name)


def _total(lengths: Lengths) -> int:
    return sum(length * n for length, n in lengths)
