"""Do plans keep the laws of a scratchpad, and is the optimum what an exhaustive search finds?

`Allocation.check` holds a plan against the laws: no overlap of live tensors, occupancy within the
budget, every op with its operands. The search here knows nothing of the solver's model: it walks
states (what has run, what is on chip, what has a copy) in order of cost.
"""

from __future__ import annotations

import heapq
from itertools import chain, combinations
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.memory.allocation import cosma, divide
from archsim.memory.allocation.allocate import HEURISTICS, POLICIES, allocate
from archsim.memory.allocation.cosma import least_room
from archsim.memory.allocation.lifetimes import Flow, Sized, Step


@st.composite
def flows(draw: st.DrawFn, most: int = 8) -> Flow:
    """Random ops, each reading what earlier ones wrote or what is given."""
    sizes = st.integers(1, 6)
    tensors = [Sized("given", draw(sizes))]
    steps = []
    for i in range(draw(st.integers(1, most))):
        reads = draw(
            st.lists(st.integers(0, len(tensors) - 1), min_size=1, max_size=2, unique=True)
        )
        writes = []
        for _ in range(draw(st.sampled_from([1, 1, 1, 2]))):
            writes.append(len(tensors))
            tensors.append(Sized(f"t{len(tensors)}", draw(sizes)))
        steps.append(Step(f"op{i}", tuple(reads), tuple(writes)))
    read = {x for step in steps for x in step.reads}
    written = {x for step in steps for x in step.writes}
    kept = (written - read) | draw(st.sets(st.sampled_from(sorted(written)), max_size=1))
    return Flow("random", tuple(tensors), tuple(steps), frozenset(kept))


@st.composite
def tight(draw: st.DrawFn, most: int = 8) -> tuple[Flow, int]:
    """A flow and a budget between its largest op and its peak."""
    flow = draw(flows(most))
    least, peak = flow.largest_op_bytes(), flow.peak_bytes(range(len(flow.steps)))
    return flow, draw(st.integers(least, peak))


def moved_bytes(flow: Flow, stays: dict[int, int]) -> tuple[int, int]:
    """(in, out) that a plan moves, counted by itself: every arrival and every tensor saved."""
    came = sum(
        (n - (x in flow.producer)) * flow.tensors[x].bytes for x, n in stays.items()
    )  # a tensor written on chip arrives there unpaid
    saved = {x for x, n in stays.items() if n > 1 and x in flow.producer} | flow.kept
    return came, sum(flow.tensors[x].bytes for x in saved)


def least_moved(flow: Flow, budget: int, order: tuple[int, ...] | None) -> int:
    """Fewest non-compulsory bytes over all orders (or one) and all choices, addresses apart."""
    need = [frozenset(flow.needs(op)) for op in range(len(flow.steps))]
    start = (frozenset[int](), frozenset[int](), frozenset[int]())
    best, queue, ticket = {start: 0}, [(0, 0, start)], 0
    while queue:
        cost, _, state = heapq.heappop(queue)
        done, here, copied = state
        if cost > best[state]:
            continue
        if len(done) == len(flow.steps):
            return cost
        for op in _ready(flow, done, order):
            paid, copies = cost, set(copied)
            for x in need[op] - here - set(flow.steps[op].writes):
                fresh = x not in flow.producer and x not in copies
                saves = x in flow.producer and x not in copies and x not in flow.kept
                paid += flow.tensors[x].bytes * ((not fresh) + saves)
                copies.add(x)
            others = [x for x in here - need[op] if set(flow.consumers[x]) - done]
            for extra in chain.from_iterable(
                combinations(others, n) for n in range(len(others) + 1)
            ):
                now = need[op] | set(extra)
                after = (done | {op}, now, frozenset(copies))
                if flow.total_bytes(now) <= budget and paid < best.get(after, paid + 1):
                    best[after] = paid
                    ticket += 1
                    heapq.heappush(queue, (paid, ticket, after))
    raise AssertionError("every flow has an end")


def _ready(flow: Flow, done: frozenset[int], order: tuple[int, ...] | None) -> list[int]:
    if order is not None:
        return [order[len(done)]]
    return [
        op
        for op, step in enumerate(flow.steps)
        if op not in done and all(flow.producer.get(x, -1) in done | {-1} for x in step.reads)
    ]


@settings(deadline=None)
@given(tight(most=14), st.sampled_from(sorted(HEURISTICS)))
def test_no_heuristic_overlaps_overflows_or_forgets(case: tuple[Flow, int], policy: str) -> None:
    flow, budget = case
    found = allocate(flow, budget, policy)
    found.check()
    assert found.occupied_bytes <= budget


@settings(deadline=None)
@given(tight(most=14), st.sampled_from(sorted(HEURISTICS)))
def test_no_byte_is_lost_between_compulsory_and_not(case: tuple[Flow, int], policy: str) -> None:
    flow, budget = case
    found = allocate(flow, budget, policy)
    counts: dict[int, int] = {}
    for stay in found.stays:
        counts[stay.tensor] = counts.get(stay.tensor, 0) + 1
    assert counts.keys() == {x for op in range(len(flow.steps)) for x in flow.needs(op)}
    assert sum(moved_bytes(flow, counts)) == found.compulsory_bytes + found.non_compulsory_bytes


@settings(max_examples=40, deadline=None)
@given(tight())
def test_solved_plans_keep_the_laws_and_lose_to_nobody(case: tuple[Flow, int]) -> None:
    flow, budget = case
    found = {policy: allocate(flow, budget, policy) for policy in POLICIES}
    for plan in found.values():
        plan.check()
        assert plan.non_compulsory_bytes >= plan.bound_bytes
    moved = {policy: plan.non_compulsory_bytes for policy, plan in found.items()}
    assert moved["cosma"] <= moved["exact"] <= min(moved[policy] for policy in HEURISTICS)


@settings(max_examples=30, deadline=None)
@given(tight(most=6))
def test_the_optimum_is_that_of_an_exhaustive_search(case: tuple[Flow, int]) -> None:
    flow, budget = case
    given_order = tuple(range(len(flow.steps)))
    for policy, order in (("exact", given_order), ("cosma", None)):
        found, least = allocate(flow, budget, policy), least_moved(flow, budget, order)
        assert found.bound_bytes == least
        if found.status == "optimal":
            assert found.non_compulsory_bytes == least
        else:  # no addresses for the least bytes
            assert found.non_compulsory_bytes > least


@settings(max_examples=30, deadline=None)
@given(flows(most=6))
def test_the_least_room_evicts_nothing_and_less_room_must(flow: Flow) -> None:
    found = least_room(flow)
    assert found.bound_bytes <= found.bytes
    assert allocate(flow, found.bytes, "cosma").non_compulsory_bytes == 0
    if found.bound_bytes > flow.largest_op_bytes():
        assert least_moved(flow, found.bound_bytes - 1, None) > 0
    assert least_moved(flow, found.bytes, None) == 0


@settings(max_examples=30, deadline=None)
@given(tight(most=12))
def test_a_divided_graph_keeps_the_laws_and_lies_between_optimum_and_heuristics(
    case: tuple[Flow, int],
) -> None:
    flow, budget = case
    whole = allocate(flow, budget, "cosma")
    with (
        patch.object(cosma, "WHOLE", 3),
        patch.object(divide, "WIDTH", 4),
        patch.object(divide, "STRIDE", 2),
    ):
        divided = allocate(flow, budget, "cosma")
    divided.check()
    assert divided.bound_bytes <= whole.bound_bytes <= divided.non_compulsory_bytes
    fits = [allocate(flow, budget, policy).non_compulsory_bytes for policy in HEURISTICS]
    assert divided.non_compulsory_bytes <= min(fits)
