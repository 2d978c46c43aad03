"""What to hold when addresses do not matter: the furthest next use goes first.

A start for the solver and for the search of orders; it counts bytes alone and places nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from archsim.memory.allocation.lifetimes import Flow


def hold(
    flow: Flow, order: Sequence[int], budget_bytes: int, entry: frozenset[int] = frozenset()
) -> list[frozenset[int]]:
    """Tensors on chip at every step, no more bytes than the budget.

    Args:
        flow: every op of which fits the budget by itself.
        order: in which the ops run.
        budget_bytes: the scratchpad's.
        entry: tensors on chip before the first op.
    """
    uses = flow.uses(order)
    here = {x for x in entry if uses[x]}
    held = []
    for t, op in enumerate(order):
        needs = set(flow.needs(op))
        here |= needs
        over = flow.total_bytes(here) - budget_bytes
        idle = {x: uses[x][bisect_right(uses[x], t)] for x in here - needs}
        for x in sorted(idle, key=lambda x: (-idle[x], -flow.tensors[x].bytes, x)):
            if over <= 0:
                break
            here.remove(x)
            over -= flow.tensors[x].bytes
        held.append(frozenset(here))
        here = {x for x in here if uses[x][-1] > t}
    return held


def lean_order(flow: Flow) -> tuple[int, ...]:
    """A topological order that, at every step, runs the ready op that leaves least alive."""
    left = {x: len(readers) for x, readers in flow.consumers.items()}
    missing = {
        op: sum(x in flow.producer for x in dict.fromkeys(step.reads))
        for op, step in enumerate(flow.steps)
    }
    ready = [op for op, n in missing.items() if n == 0]
    order: list[int] = []

    def growth(op: int) -> tuple[int, int]:
        step = flow.steps[op]
        born = flow.total_bytes(x for x in step.writes if flow.consumers[x])
        dead = flow.total_bytes(x for x in dict.fromkeys(step.reads) if left[x] == 1)
        return born - dead, op

    while ready:
        op = min(ready, key=growth)
        ready.remove(op)
        order.append(op)
        for x in dict.fromkeys(flow.steps[op].reads):
            left[x] -= 1
        for x in flow.steps[op].writes:
            for reader in flow.consumers[x]:
                missing[reader] -= 1
                if missing[reader] == 0:
                    ready.append(reader)
    return tuple(order)
