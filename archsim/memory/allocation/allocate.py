"""Scratchpad allocation as a pure step: from a flow and a budget to addresses and lifetimes.

    first-fit       in the given order, the lowest hole that is wide enough
    best-fit        in the given order, the narrowest hole that is wide enough
    greedy-by-size  in the given order, the largest tensors first
    exact           in the given order, what to evict is solved for
    cosma           order, addresses and evictions solved for together

No policy is worse than one above it that keeps the same order, and `cosma` is worse than none.
Here is the door; each policy has a file of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from archsim.core.errors import InputError, nearest
from archsim.memory.allocation.cosma import EFFORT, plan
from archsim.memory.allocation.fit import fit
from archsim.memory.allocation.lifetimes import Allocation, Flow, Stay
from archsim.memory.allocation.size import by_size

Heuristic = Callable[[Flow, Sequence[int], int], list[Stay]]

HEURISTICS: dict[str, Heuristic] = {
    "first-fit": lambda flow, order, budget: fit(flow, order, budget, best=False),
    "best-fit": lambda flow, order, budget: fit(flow, order, budget, best=True),
    "greedy-by-size": by_size,
}
SOLVED = {"exact": False, "cosma": True}  # the word: whether the order is free
POLICIES = (*HEURISTICS, *SOLVED)


def allocate(
    flow: Flow,
    budget_bytes: int,
    policy: str,
    order: Sequence[int] | None = None,
    *,
    effort: float = EFFORT,
) -> Allocation:
    """Addresses and lifetimes of every tensor of a flow.

    Args:
        flow: ops and tensors.
        budget_bytes: of the scratchpad.
        policy: one of `POLICIES`.
        order: of the ops, as positions in `flow.steps`; None keeps theirs.
        effort: limit of the solver on each part, in CP-SAT's seconds of deterministic time.

    Raises:
        InputError: for a policy that does not exist.
        Infeasible: where an op by itself is larger than the budget.
        MissingExtra: for a solved policy when OR-Tools is not installed.
    """
    if policy not in POLICIES:
        close = nearest(policy, POLICIES)
        known = f'did you mean "{close}"?' if close else f"policies: {', '.join(POLICIES)}"
        raise InputError(f'there is no allocation policy "{policy}"', help=known)
    flow.check(budget_bytes)
    given = tuple(range(len(flow.steps)) if order is None else order)
    if policy in HEURISTICS:
        stays = HEURISTICS[policy](flow, given, budget_bytes)
        return _allocation(policy, flow, budget_bytes, given, stays, "heuristic", 0)
    rivals = [allocate(flow, budget_bytes, name, given) for name in HEURISTICS]
    best = min(rivals, key=lambda a: a.non_compulsory_bytes)
    bound, proved = 0, best.non_compulsory_bytes == 0
    if not proved:
        made = plan(flow, given, budget_bytes, free_order=SOLVED[policy], effort=effort)
        solved = _allocation(policy, flow, budget_bytes, made.order, made.stays, "", 0)
        best = min(solved, best, key=lambda a: a.non_compulsory_bytes)
        bound = made.bound_bytes
        proved = best.non_compulsory_bytes == bound
    status = "optimal" if proved else "feasible"
    return _allocation(policy, flow, budget_bytes, best.order, best.stays, status, bound)


def _allocation(
    policy: str,
    flow: Flow,
    budget_bytes: int,
    order: Sequence[int],
    stays: Sequence[Stay],
    status: str,
    bound_bytes: int,
) -> Allocation:
    laid = tuple(sorted(stays, key=lambda s: (s.begin, s.address_bytes, s.tensor)))
    return Allocation(policy, flow, budget_bytes, tuple(order), laid, status, bound_bytes)
