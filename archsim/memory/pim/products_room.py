"""How much is kept of what was worked out: so many entries, and so many cases in all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


def make_room(found: dict[K, V], most: int, cases: int, size: Callable[[K], int]) -> None:
    """Forget what was kept until one more may come: all, or of the largest the oldest.

    Args:
        found: what is kept, in the order in which it came.
        most: entries.
        cases: of all entries together; a larger one is kept alone.
        size: cases of an entry.
    """
    if len(found) >= most:
        found.clear()
    held = sum(map(size, found))
    while held > cases:
        largest = max(found, key=size)
        held -= size(largest)
        del found[largest]
