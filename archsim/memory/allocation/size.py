"""Greedy by size: the largest tensors get their addresses first, for the whole of their lives.

The placement is that of Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net
Inference" (2020). A life that finds no room is cut at its longest idle time, or a neighbour's is;
each cut costs an eviction and a fetch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from archsim.memory.allocation.lifetimes import Flow, Stay

Life = tuple[int, int, int]  # tensor, begin, end (excluded)


class Cut(NamedTuple):
    """A place where a life may be parted: how much that frees, and the two halves."""

    gain: tuple[int, int]  # idle steps, bytes
    life: Life
    halves: tuple[Life, Life]


def lowest(flow: Flow, placed: Iterable[Stay], life: Life) -> int:
    """The lowest address at which a life overlaps none of those placed."""
    x, begin, end = life
    size = flow.tensors[x].bytes
    address = 0
    taken = sorted(
        (s.address_bytes, s.address_bytes + flow.tensors[s.tensor].bytes)
        for s in placed
        if s.begin < end and begin < s.end
    )
    for low, high in taken:
        if low - address >= size:
            break
        address = max(address, high)
    return address


def by_size(flow: Flow, order: Sequence[int], budget_bytes: int) -> list[Stay]:
    """Stays of every tensor, the largest placed first.

    Args:
        flow: every op of which fits the budget by itself.
        order: in which the ops run.
        budget_bytes: the scratchpad's.
    """
    uses = flow.uses(order)
    lives = [(x, times[0], times[-1] + 1) for x, times in uses.items() if times]
    return placed_or_cut(flow, lives, uses, budget_bytes)


def placed_or_cut(
    flow: Flow, lives: Iterable[Life], uses: dict[int, list[int]], budget_bytes: int
) -> list[Stay]:
    """Stays for lives, some of them parted where they would not fit.

    Args:
        flow: whose tensors they are.
        lives: each begins and ends with a use.
        uses: of every tensor, as `Flow.uses` has them.
        budget_bytes: the scratchpad's.
    """
    waiting = list(lives)
    while True:
        placed, cuts = _round(flow, waiting, uses, budget_bytes)
        if not cuts:
            return placed
        for cut in cuts:
            waiting.remove(cut.life)
            waiting += cut.halves


def _round(
    flow: Flow, lives: Sequence[Life], uses: dict[int, list[int]], budget_bytes: int
) -> tuple[list[Stay], list[Cut]]:
    """What could be placed, and where to cut for the rest: no two cuts at the same time."""
    placed: list[Stay] = []
    cuts: list[Cut] = []
    for life in sorted(lives, key=lambda s: (-flow.tensors[s[0]].bytes, s[1], s[0])):
        x, begin, end = life
        if any(cut.life[1] < end and begin < cut.life[2] for cut in cuts):
            continue  # that cut may make room here too
        address = lowest(flow, placed, life)
        if address + flow.tensors[x].bytes <= budget_bytes:
            placed.append(Stay(*life, address))
            continue
        near = ((s.tensor, s.begin, s.end) for s in placed if s.begin < end and begin < s.end)
        cuts.append(max(cut for other in (life, *near) for cut in _cuts(flow, other, uses)))
    return placed, cuts


def _cuts(flow: Flow, life: Life, uses: dict[int, list[int]]) -> Iterable[Cut]:
    """Every way to part a life between two of its uses."""
    x, begin, end = life
    inside = [t for t in uses[x] if begin <= t < end]
    for last, again in pairwise(inside):
        yield Cut(
            (again - last - 1, flow.tensors[x].bytes), life, ((x, begin, last + 1), (x, again, end))
        )
