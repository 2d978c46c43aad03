"""Loops over the steps of an attention on chip, whose array is one step ahead of the vector unit.

What is done in a step depends on the step that follows it, over the borders of tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, Self, TypeVar

from archsim.sim.program import Leaf, Loop


class Step(Protocol):
    """Steps that are alike, one behind the other."""

    @property
    def count(self) -> int:
        """How many."""

    def like(self, other: Self | None) -> bool:
        """True when what is done ahead for both is alike."""


R = TypeVar("R", bound=Step)


@dataclass
class Nest(Generic[R]):
    """A run of alike bodies, or of alike steps."""

    count: int
    body: list[Nest[R]] = field(default_factory=list)
    step: R | None = None


def runs_in(count: int, runs: Iterable[R]) -> Nest[R]:
    """So many bodies of runs of alike steps."""
    return Nest(count, [Nest(run.count, step=run) for run in runs])


def first(nest: Sequence[Nest[R]]) -> R:
    """The step that comes first."""
    node = nest[0]
    return node.step or first(node.body)


def steps(nest: Iterable[Nest[R]]) -> Iterator[R]:
    """Each step once, however often it is run."""
    for node in nest:
        if node.step:
            yield node.step
        yield from steps(node.body)


def loops(
    nest: Sequence[Nest[R]], leaf: Callable[[R, R | None], Leaf], name: str, then: R | None = None
) -> list[Loop | Leaf]:
    """Loops over steps; the last of alike bodies stands alone where what follows it differs.

    Args:
        nest: of all steps.
        leaf: what is done in a step, given the step that follows it; None in the last of all.
        name: of the loops.
        then: the step that follows the nest.
    """
    out: list[Loop | Leaf] = []
    for i, node in enumerate(nest):
        follower = first(nest[i + 1 :]) if i + 1 < len(nest) else then
        own = first([node])
        alike = node.count if own.like(follower) else node.count - 1
        for count, after in ((alike, own), (node.count - alike, follower)):
            if not count:
                continue
            body = [leaf(node.step, after)] if node.step else loops(node.body, leaf, name, after)
            if count > 1:
                out.append(Loop(count, tuple(body), name=name))
            else:
                out += body
    return out
