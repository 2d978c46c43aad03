"""A question that a cache tells apart by its content, and of which it keeps nothing else.

`functools.lru_cache` keeps the arguments of a call as its key. What an answer is made from, a whole
machine or workload, would live as long as the answer, though that depends on little of it; here it
is let go once the answer is made.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Asked(Generic[T]):
    """A question, the one argument of a function with a cache.

    Attributes:
        content: what the answer depends on; questions of equal content have equal answers.
        how: the one function that makes the answer, until it has been called.
    """

    content: Hashable
    how: list[Callable[[], T]] = field(compare=False, repr=False)

    @classmethod
    def of(cls, content: Hashable, how: Callable[[], T]) -> Asked[T]:
        """What depends on a content, and how it is made."""
        return cls(content, [how])

    def answer(self) -> T:
        """The answer, made now; it is asked for once."""
        return self.how.pop()()
