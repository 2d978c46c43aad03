"""First fit and best fit: step by step, a tensor goes where there is a hole, others make room.

The order of the ops is given. When no hole is wide enough, the tensor whose next use is furthest
away is evicted (Belady's rule, which a compiler can follow because it knows the future); when even
that leaves only splinters, all of the op's operands are laid down afresh from address 0.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from archsim.memory.allocation.lifetimes import Flow, Stay


class _Room:
    """What lies where at one moment, and every stay that has ended."""

    def __init__(self, flow: Flow, budget_bytes: int, *, best: bool) -> None:
        self.flow = flow
        self.budget_bytes = budget_bytes
        self.best = best
        self.at: dict[int, tuple[int, int]] = {}  # tensor: address, step it came
        self.stays: list[Stay] = []

    def hole(self, size: int) -> int | None:
        """Address of the lowest hole that is wide enough, or of the narrowest such hole."""
        found: list[tuple[int, int]] = []
        free = 0
        taken = sorted((a, a + self.flow.tensors[x].bytes) for x, (a, _) in self.at.items())
        for low, high in (*taken, (self.budget_bytes, self.budget_bytes)):
            if low - free >= size:
                found.append((low - free, free))
            free = high
        if not found:
            return None
        return min(found)[1] if self.best else found[0][1]

    def drop(self, tensor: int, now: int) -> None:
        """End a stay before step `now`; one that began in this step never was."""
        address, begin = self.at.pop(tensor)
        if begin < now:
            self.stays.append(Stay(tensor, begin, now, address))

    def pack(self, tensors: Sequence[int], now: int) -> None:
        """Empty the scratchpad and lay an op's operands down side by side."""
        for x in list(self.at):
            self.drop(x, now)
        address = 0
        for x in tensors:
            self.at[x] = (address, now)
            address += self.flow.tensors[x].bytes


def fit(flow: Flow, order: Sequence[int], budget_bytes: int, *, best: bool) -> list[Stay]:
    """Stays of every tensor, holes taken lowest first or narrowest first.

    Args:
        flow: every op of which fits the budget by itself.
        order: in which the ops run.
        budget_bytes: the scratchpad's.
        best: take the narrowest hole that is wide enough, not the lowest.
    """
    room = _Room(flow, budget_bytes, best=best)
    uses = flow.uses(order)
    for t, op in enumerate(order):
        needs = flow.needs(op)
        if not _placed(room, needs, uses, t):
            room.pack(needs, t)
        for x in [x for x in room.at if uses[x][-1] <= t]:
            room.drop(x, t + 1)
    return room.stays


def _placed(room: _Room, needs: Sequence[int], uses: dict[int, list[int]], t: int) -> bool:
    """True when every operand found a place, at the cost of others."""

    def away(x: int) -> tuple[int, int]:
        times = uses[x]
        return times[bisect_right(times, t)], room.flow.tensors[x].bytes

    for x in needs:
        while x not in room.at:
            address = room.hole(room.flow.tensors[x].bytes)
            if address is not None:
                room.at[x] = (address, t)
                continue
            others = [other for other in room.at if other not in needs]
            if not others:
                return False
            room.drop(max(others, key=away), t)
    return True
