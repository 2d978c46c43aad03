"""A part too large to solve at once: a first plan, made better window by window.

The window slides over the present order; what lies on chip at its two ends is kept, everything
between is solved again, order and all. The plan only ever gets better and nothing is proved.
"""

from __future__ import annotations

from typing import NamedTuple

from archsim.memory.allocation.lifetimes import stays_of, trimmed
from archsim.memory.allocation.solver import least_traffic
from archsim.memory.allocation.window import Answer, Window, narrowed

WIDTH = 20  # ops of a window: CP-SAT proves most of them within a second
STRIDE = 7
ROUNDS = 2  # over the whole order


class _Span(NamedTuple):
    """Positions of the order that a window covers."""

    begin: int
    end: int


def conquered(window: Window, budget_bytes: int, start: Answer, *, effort: float) -> Answer:
    """A plan that moves no more than the one it starts from.

    Args:
        window: the part.
        budget_bytes: the scratchpad's.
        start: a plan for it.
        effort: limit of each window, in CP-SAT's seconds of deterministic time.

    Raises:
        MissingExtra: when OR-Tools is not installed.
    """
    flow, count = window.flow(), len(window.steps)
    best = start
    for _ in range(ROUNDS):
        before = best.cost_bytes
        for begin in range(0, max(1, count - WIDTH + STRIDE), STRIDE):
            if best.cost_bytes == 0:
                return best._replace(optimal=True)
            held = tuple(trimmed(flow, best.order, best.held, window.entry))
            span = _Span(begin, min(count, begin + WIDTH))
            again = _again(window, span, best._replace(held=held), budget_bytes, effort)
            if again.cost_bytes < best.cost_bytes:
                best = again
        if best.cost_bytes == before:
            break
    return best


def _again(window: Window, span: _Span, best: Answer, budget_bytes: int, effort: float) -> Answer:
    """The plan with one span of it solved anew."""
    begin, end = span
    ops, held = best.order[begin:end], best.held
    entry = held[begin - 1] & held[begin] if begin else window.entry
    leave = held[end - 1] & held[end] if end < len(held) else window.leave
    producer = {x: i for i, step in enumerate(window.steps) for x in step.writes}
    at = {op: t for t, op in enumerate(best.order)}
    elsewhere = {
        x
        for x, t, _ in stays_of(held)
        if not (begin <= t < end)
        and (at[producer[x]] != t if x in producer else t > 0 or x not in window.entry)
    }
    inner, names = narrowed(
        [window.steps[op] for op in ops], window.sizes, entry, window.copies | elsewhere,
        window.fresh - elsewhere, leave,
    )  # fmt: skip
    local = {x: i for i, x in enumerate(names)}
    slices = tuple(frozenset(local[x] for x in held[t] if x in local) for t in range(begin, end))
    now = Answer(tuple(range(len(ops))), slices, inner.moved_bytes(slices))
    found = least_traffic(inner, budget_bytes, now, free_order=True, effort=effort)
    order = (*best.order[:begin], *(ops[i] for i in found.order), *best.order[end:])
    middle = tuple(frozenset(names[i] for i in now_held) for now_held in found.held)
    whole = (*held[:begin], *middle, *held[end:])
    return Answer(
        order, whole, window.moved_bytes(trimmed(window.flow(), order, whole, window.entry))
    )
