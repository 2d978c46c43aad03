"""A stretch of ops between a fixed past and a fixed future: what a solver is asked, and answers.

Tensors are numbered by their first appearance, so that two layers that look alike ask the same
question and are answered once. Not here: the solver.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from archsim.memory.allocation.belady import hold, lean_order
from archsim.memory.allocation.lifetimes import Flow, Sized, Step, stays_of

Held = tuple[frozenset[int], ...]


class Answer(NamedTuple):
    """An order of a window's ops and what is on chip meanwhile.

    Attributes:
        order: ops of the window, as they run.
        held: tensors on chip at each position.
        cost_bytes: non-compulsory bytes, or the peak where that was asked for.
        bound_bytes: no answer costs less.
        optimal: proved so.
    """

    order: tuple[int, ...]
    held: Held
    cost_bytes: int
    bound_bytes: int = 0
    optimal: bool = False


@dataclass(frozen=True)
class Window:
    """What is asked.

    Attributes:
        steps: the ops, in an order that runs, nameless.
        sizes: bytes of each tensor.
        entry: tensors on chip when it begins.
        copies: tensors whose copy off chip costs nothing extra.
        fresh: of those, the ones whose first fetch is compulsory.
        leave: tensors that must be on chip when it ends.
    """

    steps: tuple[Step, ...]
    sizes: tuple[int, ...]
    entry: frozenset[int]
    copies: frozenset[int]
    fresh: frozenset[int]
    leave: frozenset[int]

    def flow(self) -> Flow:
        """The window as a graph by itself."""
        tensors = tuple(Sized(str(x), size) for x, size in enumerate(self.sizes))
        return Flow("window", tensors, self.steps, self.copies)

    def moved_bytes(self, held: Sequence[frozenset[int]]) -> int:
        """Non-compulsory bytes of a holding: fetches beyond a tensor's first, and write-backs."""
        producer = {x for step in self.steps for x in step.writes}
        fetches: dict[int, int] = {}
        for x, begin, _ in stays_of(held):
            here = begin == 0 and x in self.entry
            fetches[x] = fetches.get(x, 0) + (not here)
        total = 0
        for x, count in fetches.items():
            extra = count - (x in producer or x in self.fresh)
            total += self.sizes[x] * (extra + (extra > 0 and x not in self.copies))
        return total

    def first(self, budget_bytes: int, *, free_order: bool) -> Answer:
        """The better of the given order and a lean one, the furthest next use evicted."""
        flow = self.flow()
        given = tuple(range(len(self.steps)))
        answers = []
        for order in (given, lean_order(flow)) if free_order else (given,):
            held = tuple(hold(flow, order, budget_bytes, self.entry))
            answers.append(Answer(order, held, self.moved_bytes(held)))
        return min(answers, key=lambda a: a.cost_bytes)


def narrowed(
    steps: Sequence[Step],
    sizes: Sequence[int],
    entry: Iterable[int],
    copies: Iterable[int],
    fresh: Iterable[int],
    leave: Iterable[int],
) -> tuple[Window, tuple[int, ...]]:
    """A window, and the tensors that its numbers stand for.

    Args:
        steps: the ops, in an order that runs, with tensors as the caller numbers them.
        sizes: bytes of each of the caller's tensors.
        entry: tensors on chip before, all of which the window keeps.
        copies: as in `Window`; here and below, what neither an op nor `entry` names is left out.
        fresh: as in `Window`.
        leave: as in `Window`.
    """
    names: dict[int, int] = {}

    def local(tensors: Iterable[int]) -> tuple[int, ...]:
        return tuple(names.setdefault(x, len(names)) for x in tensors)

    ops = tuple(Step("", local(s.reads), local(s.writes)) for s in steps)
    begin = frozenset(local(sorted(entry)))
    known = [frozenset(names[x] for x in s if x in names) for s in (copies, fresh, leave)]
    return Window(ops, tuple(sizes[x] for x in names), begin, *known), tuple(names)
