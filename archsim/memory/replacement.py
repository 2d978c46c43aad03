"""Replacement: what a small fast memory holds of a larger one, access by access, under a policy.

Pure functions over a sequence of steps, each of which needs some items: which are there (hits),
which are fetched (misses) and which give way (evictions). What items are, and how long a fetch
takes, is said by who asks: experts of a layer, tensors of a graph, pages.

The rule of a step. Items that are there are used first, so that a fetch of the same step never
drives out what the step still needs. Each missed item is then fetched and used; the policy decides
whether it stays and who gives way. Items are only read: giving way moves no bytes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from archsim.core.errors import InputError

Policy = Literal["pinned", "lru", "lfu", "belady"]
Item = TypeVar("Item", bound=Hashable)


@dataclass(frozen=True)
class Replay(Generic[Item]):
    """What a sequence of steps found.

    Attributes:
        hits: by step, the items that were there, in the order in which the step named them.
        misses: by step, those that were fetched.
        evictions: by step, those that gave way.
        held: by step, what is there after it.
        hit_bytes: of all hits.
        miss_bytes: of all misses: what is fetched from the slower memory.
        peak_bytes: most that was held between two accesses.
    """

    hits: tuple[tuple[Item, ...], ...]
    misses: tuple[tuple[Item, ...], ...]
    evictions: tuple[tuple[Item, ...], ...]
    held: tuple[frozenset[Item], ...]
    hit_bytes: int
    miss_bytes: int
    peak_bytes: int

    @property
    def hit_rate(self) -> float | None:
        """Share of the accesses that found their item; None where there were none."""
        hits, misses = (sum(map(len, side)) for side in (self.hits, self.misses))
        return hits / (hits + misses) if hits + misses else None


def replay(
    steps: Sequence[Sequence[Item]],
    capacity_bytes: int,
    policy: Policy,
    *,
    sizes: Mapping[Item, int] | int = 1,
    start: Iterable[Item] | None = None,
) -> Replay[Item]:
    """Run a sequence of steps against a memory.

    `lru` lets the item go that was used longest ago, `lfu` the one used least often so far (the
    longest ago among equals), `belady` the one needed again last, where a fetched item that is
    needed later than all others does not stay (Belady, IBM Systems Journal 5(2), 1966, with bypass:
    no policy fetches less where all items are of one size). `pinned` never changes what it holds.

    Args:
        steps: items that each step needs; an item stands once in a step.
        capacity_bytes: what the memory holds.
        policy: who stays.
        sizes: bytes of each item, or of every item.
        start: what is held before the first step; default: `most_used`, as after a long run of
            alike steps.

    Raises:
        InputError: E107 when a step names an item twice, or `start` is more than fits.
    """
    first = most_used(steps, capacity_bytes, sizes) if start is None else tuple(start)
    named = dict.fromkeys((*first, *(item for step in steps for item in step)))
    size = {item: sizes if isinstance(sizes, int) else sizes[item] for item in named}
    cache = _Cache(steps, capacity_bytes, policy, size, first)
    hits: list[tuple[Item, ...]] = []
    misses: list[tuple[Item, ...]] = []
    gone: list[tuple[Item, ...]] = []
    held: list[frozenset[Item]] = []
    for t, step in enumerate(steps):
        if len(set(step)) < len(step):
            raise InputError(f"step {t} names an item twice", code="E107")
        there = tuple(item for item in step if item in cache.held)
        absent = tuple(item for item in step if item not in cache.held)
        for item in there:
            cache.use(item, t)
        hits.append(there)
        misses.append(absent)
        gone.append(tuple(out for item in absent for out in cache.fetch(item, t)))
        held.append(frozenset(cache.held))
    hit_bytes, miss_bytes = (sum(cache.size[i] for s in side for i in s) for side in (hits, misses))
    sides = tuple(hits), tuple(misses), tuple(gone), tuple(held)
    return Replay(*sides, hit_bytes, miss_bytes, cache.peak_bytes)


def most_used(
    steps: Sequence[Sequence[Item]], capacity_bytes: int, sizes: Mapping[Item, int] | int = 1
) -> tuple[Item, ...]:
    """The items that most steps need, as many as fit; the first named among equals."""
    uses = Counter(item for step in steps for item in step)
    order = {item: i for i, item in enumerate(uses)}
    found, left = [], capacity_bytes
    for item in sorted(uses, key=lambda i: (-uses[i], order[i])):
        size = sizes if isinstance(sizes, int) else sizes[item]
        if size <= left:
            found.append(item)
            left -= size
    return tuple(found)


class _Cache(Generic[Item]):
    """What is held, when and how often it was used, and when each item is needed next."""

    def __init__(
        self,
        steps: Sequence[Sequence[Item]],
        capacity_bytes: int,
        policy: Policy,
        size: Mapping[Item, int],
        start: tuple[Item, ...],
    ) -> None:
        self.policy, self.capacity_bytes, self.size = policy, capacity_bytes, size
        self.held = dict.fromkeys(start)  # in order of last use, the longest ago first
        self.bytes = self.peak_bytes = sum(size[i] for i in self.held)
        if self.bytes > capacity_bytes:
            message = f"the start takes {self.bytes} bytes of {capacity_bytes}"
            raise InputError(message, code="E107")
        self.uses: Counter[Item] = Counter()
        self.needed: dict[Item, list[int]] = {}
        for t, step in enumerate(steps):
            for item in step:
                self.needed.setdefault(item, []).append(t)

    def use(self, item: Item, t: int) -> None:
        """An item that is held is used in step t."""
        self.uses[item] += 1
        self.held[item] = self.held.pop(item)

    def fetch(self, item: Item, t: int) -> list[Item]:
        """An item is fetched and used in step t; returns those that give way to it."""
        self.uses[item] += 1
        need = self.size[item]
        if self.policy == "pinned" or need > self.capacity_bytes:
            return []
        out: list[Item] = []
        room = self.capacity_bytes - self.bytes
        for victim in self._order(t):
            if room >= need:
                break
            if self.policy == "belady" and self._next(victim, t) <= self._next(item, t):
                return []  # it is needed later than whoever would give way
            out.append(victim)
            room += self.size[victim]
        for victim in out:
            del self.held[victim]
            self.bytes -= self.size[victim]
        self.held[item] = None
        self.bytes += need
        self.peak_bytes = max(self.peak_bytes, self.bytes)
        return out

    def _order(self, t: int) -> list[Item]:
        """Who gives way, first to last; among equals the one used longest ago."""
        held = list(self.held)
        if self.policy == "lfu":
            return sorted(held, key=self.uses.__getitem__)
        if self.policy == "belady":
            return sorted(held, key=lambda i: -self._next(i, t))
        return held

    def _next(self, item: Item, t: int) -> int:
        """The next step after t that needs an item; far beyond the end where none does."""
        steps = self.needed.get(item, [])
        at = bisect_right(steps, t)
        return steps[at] if at < len(steps) else 1 << 62
