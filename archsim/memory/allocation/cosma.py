"""COSMA's joint problem: the order of ops, where tensors lie, and what to evict and fetch again.

A graph falls apart, without loss, at every op that all others must run before or after and behind
which only its own results live: each part is solved by itself, and equal parts once. A part too
large for the solver is divided at positions of a first order and conquered window by window, which
is no longer exact and says so. The order and what is held come first, addresses second; where the
addresses fail for want of a whole hole, the plan is made again for a little less room.

The formulation follows the idea of COSMA (2023); the cut into exact parts and the second step are
ours. Not here: policies that take the order as it is and never look ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from archsim.memory.allocation.belady import hold, lean_order
from archsim.memory.allocation.divide import conquered
from archsim.memory.allocation.lifetimes import Flow, Stay, stays_of, trimmed
from archsim.memory.allocation.place import place
from archsim.memory.allocation.size import placed_or_cut
from archsim.memory.allocation.solver import ancestors, least_peak, least_traffic
from archsim.memory.allocation.window import Answer, Window, narrowed

WHOLE = 36  # ops of a part whose order the solver takes at once, evictions and all
ORDERED = 64  # ops of a part whose order alone it takes at once
EFFORT = 20.0  # deterministic seconds of CP-SAT for a part; one is about a second of a core
SHARES = (0.97, 0.93, 0.88)  # of the budget, to plan for where the whole leaves no addresses


class Peak(NamedTuple):
    """The least room in which an order runs without evicting.

    Attributes:
        bytes: of the scratchpad, addresses found.
        bound_bytes: no order and no addresses do with less.
        order: that does.
        stays: of its tensors.
    """

    bytes: int
    bound_bytes: int
    order: tuple[int, ...]
    stays: list[Stay]


class Planned(NamedTuple):
    """A plan with addresses, and non-compulsory bytes that no plan goes below."""

    order: tuple[int, ...]
    stays: list[Stay]
    bound_bytes: int


def parts(flow: Flow, order: Sequence[int], *, free_order: bool) -> Iterator[tuple[int, ...]]:
    """Stretches of the order that may be solved one by one without loss.

    Args:
        flow: whose ops they are.
        order: that runs.
        free_order: False where the order is not to change, which gives more parts.
    """
    fixed = _fixed(flow) if free_order else set(order)
    uses = flow.uses(order)
    alive: set[int] = set()
    part: list[int] = []
    for t, op in enumerate(order):
        part.append(op)
        alive = {x for x in (*alive, *flow.needs(op)) if uses[x][-1] > t}
        if t == len(order) - 1 or (op in fixed and alive <= set(flow.steps[op].writes)):
            yield tuple(part)
            part = []


def _fixed(flow: Flow) -> set[int]:
    """Ops that every other op must run before or behind."""
    before = ancestors(flow.steps)
    count = [len(b) for b in before]
    for ops in before:
        for first in ops:
            count[first] += 1
    return {op for op, n in enumerate(count) if n == len(before) - 1}


def least_room(flow: Flow, *, effort: float = EFFORT) -> Peak:
    """The least scratchpad in which a flow runs without evicting, and an order that does.

    Args:
        flow: what is to run.
        effort: limit of each part, in CP-SAT's seconds of deterministic time.

    Raises:
        MissingExtra: when OR-Tools is not installed.
    """
    return _least_room(_Search(flow, 0, free_order=True, effort=effort))


def _least_room(search: _Search) -> Peak:
    flow = search.flow
    order, held, peak, bound, _ = search.whole(range(len(flow.steps)), search.peak)
    lives = stays_of(trimmed(flow, order, held))
    room = peak
    while (stays := place(flow, lives, room, search.effort)) is None:
        room += -(-peak // 100)
    return Peak(room, bound, order, stays)


def plan(
    flow: Flow,
    order: Sequence[int],
    budget_bytes: int,
    *,
    free_order: bool,
    effort: float = EFFORT,
) -> Planned:
    """The order, stays and addresses that move fewest non-compulsory bytes.

    Args:
        flow: every op of which fits the budget by itself.
        order: that runs; it is kept where `free_order` is False.
        budget_bytes: the scratchpad's.
        free_order: choose the order too.
        effort: limit of each part, in CP-SAT's seconds of deterministic time.

    Raises:
        MissingExtra: when OR-Tools is not installed.
    """
    search = _Search(flow, budget_bytes, free_order=free_order, effort=effort)
    first = search.whole(order, search.traffic)
    stays = _placed(flow, first, budget_bytes, effort)
    if first.bound_bytes == 0 and free_order and (stays is None or first.cost_bytes):
        room = _least_room(search)
        if room.bytes <= budget_bytes:
            return Planned(room.order, room.stays, 0)
    for share in SHARES:
        if stays is not None:
            break
        again = search.within(max(flow.largest_op_bytes(), int(share * budget_bytes)))
        found = again.whole(order, again.traffic)
        stays = _placed(flow, found, budget_bytes, effort)
        if stays is not None:
            return Planned(found.order, stays, first.bound_bytes)
    if stays is None:
        lives = stays_of(trimmed(flow, first.order, first.held))
        stays = placed_or_cut(flow, lives, flow.uses(first.order), budget_bytes)
    return Planned(first.order, stays, first.bound_bytes)


def _placed(flow: Flow, found: Answer, budget_bytes: int, effort: float) -> list[Stay] | None:
    lives = stays_of(trimmed(flow, found.order, found.held))
    return place(flow, lives, budget_bytes, effort)


class _Search:
    """Solves a flow part by part; parts that look alike once."""

    def __init__(self, flow: Flow, room_bytes: int, *, free_order: bool, effort: float) -> None:
        self.flow = flow
        self.room_bytes = room_bytes
        self.free_order = free_order
        self.effort = effort
        self.known: dict[Window, Answer] = {}
        self.peaks: dict[Window, Answer] = {}  # of orders, which know no room

    def within(self, room_bytes: int) -> _Search:
        """The same search in another room."""
        other = _Search(self.flow, room_bytes, free_order=self.free_order, effort=self.effort)
        other.peaks = self.peaks
        return other

    def whole(self, order: Sequence[int], solve: Callable[[Window], Answer]) -> Answer:
        """One answer for the flow, its parts' put end to end; costs add up, peaks do not."""
        flow = self.flow
        sizes = tuple(t.bytes for t in flow.tensors)
        given = [x for x in range(len(sizes)) if x not in flow.producer]
        copies = [x for x in range(len(sizes)) if flow.has_copy(x)]
        entry: frozenset[int] = frozenset()
        answers: list[Answer] = []
        for part in parts(flow, order, free_order=self.free_order):
            inside = set(part)
            leave = frozenset(
                x for op in part for x in flow.steps[op].writes
                if any(reader not in inside for reader in flow.consumers[x])
            )  # fmt: skip
            steps = [flow.steps[op] for op in part]
            window, names = narrowed(steps, sizes, entry, copies, given, leave)
            found = solve(window)
            held = tuple(frozenset(names[x] for x in now) for now in found.held)
            answers.append(found._replace(order=tuple(part[i] for i in found.order), held=held))
            entry = leave
        total = max if solve == self.peak else sum
        return Answer(
            tuple(op for a in answers for op in a.order),
            tuple(now for a in answers for now in a.held),
            total(a.cost_bytes for a in answers),
            total(a.bound_bytes for a in answers),
            all(a.optimal for a in answers),
        )

    def traffic(self, window: Window) -> Answer:
        """The plan of a part that moves least."""
        if window not in self.known:
            self.known[window] = self._traffic(window)
        return self.known[window]

    def _traffic(self, window: Window) -> Answer:
        best = window.first(self.room_bytes, free_order=self.free_order)
        if best.cost_bytes:
            room, free, effort = self.room_bytes, self.free_order, self.effort
            if free and len(window.steps) > WHOLE:
                best = self._divided(window)
            else:
                best = least_traffic(window, room, best, free_order=free, effort=effort)
        return best._replace(optimal=best.cost_bytes == best.bound_bytes)

    def _divided(self, window: Window) -> Answer:
        """A plan for a part with too many orders: the best of a few, then better bit by bit."""
        flow, room, effort = window.flow(), self.room_bytes, self.effort
        orders = {tuple(range(len(window.steps))), lean_order(flow), self.peak(window).order}
        answers = []
        for order in sorted(orders):
            held = tuple(hold(flow, order, room, window.entry))
            start = Answer(order, held, window.moved_bytes(held))
            answers.append(least_traffic(window, room, start, free_order=False, effort=effort))
        best = min(answers, key=lambda a: a.cost_bytes)
        return conquered(window, room, best._replace(bound_bytes=0), effort=effort)

    def peak(self, window: Window) -> Answer:
        """The order of a part whose live bytes peak lowest."""
        if window not in self.peaks:
            self.peaks[window] = self._peak(window)
        return self.peaks[window]

    def _peak(self, window: Window) -> Answer:
        flow = window.flow()
        least = flow.largest_op_bytes()
        answers = []
        for order in (tuple(range(len(window.steps))), lean_order(flow)):
            held = tuple(hold(flow, order, sum(window.sizes), window.entry))
            peak = max(flow.total_bytes(now) for now in held)
            answers.append(Answer(order, held, peak, least, peak == least))
        best = min(answers, key=lambda a: a.cost_bytes)
        if best.optimal or len(window.steps) > ORDERED:
            return best
        effort = self.effort if len(window.steps) <= WHOLE else self.effort / 4
        return least_peak(window, best, effort=effort)
