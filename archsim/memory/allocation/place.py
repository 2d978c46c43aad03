"""Addresses for lives that are fixed: a few greedy orders, then the solver, which can prove.

Known as dynamic storage allocation: rectangles of given width (time) and height (bytes) slide along
the address axis until none overlap. Here none is parted; that is another file's business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import gcd

from archsim.memory.allocation.lifetimes import Flow, Stay
from archsim.memory.allocation.size import Life, lowest
from archsim.memory.allocation.solver import cp_model, run


def place(flow: Flow, lives: Sequence[Life], budget_bytes: int, effort: float) -> list[Stay] | None:
    """An address for every life, or None where there is none or none was found in time.

    Args:
        flow: whose tensors they are.
        lives: as they must stay.
        budget_bytes: the scratchpad's.
        effort: limit, in CP-SAT's seconds of deterministic time.

    Raises:
        MissingExtra: when the greedy orders fail and OR-Tools is not installed.
    """
    sizes = {x: flow.tensors[x].bytes for x, _, _ in lives}
    keys: tuple[Callable[[Life], tuple[int, ...]], ...] = (
        lambda s: (-sizes[s[0]], s[1], s[0]),
        lambda s: (-sizes[s[0]] * (s[2] - s[1]), s[1], s[0]),
        lambda s: (s[1] - s[2], s[1], s[0]),
        lambda s: (s[1], s[1] - s[2], s[0]),
    )
    for key in keys:
        placed: list[Stay] = []
        for life in sorted(lives, key=key):
            address = lowest(flow, placed, life)
            if address + sizes[life[0]] > budget_bytes:
                break
            placed.append(Stay(*life, address))
        else:
            return placed
    return _solved(lives, sizes, budget_bytes, effort)


def _solved(
    lives: Sequence[Life], sizes: dict[int, int], budget_bytes: int, effort: float
) -> list[Stay] | None:
    unit = (
        gcd(*sizes.values()) or 1
    )  # addresses at its multiples suffice: everything may sink to one
    model = cp_model().CpModel()
    starts, times, spaces = [], [], []
    for i, (x, begin, end) in enumerate(lives):
        size = sizes[x] // unit
        starts.append(model.new_int_var(0, budget_bytes // unit - size, f"address {i}"))
        times.append(model.new_fixed_size_interval_var(begin, end - begin, f"time {i}"))
        spaces.append(model.new_fixed_size_interval_var(starts[i], size, f"space {i}"))
    model.add_no_overlap_2d(times, spaces)
    demands = [sizes[x] // unit for x, _, _ in lives]
    model.add_cumulative(times, demands, budget_bytes // unit)
    solver, status = run(model, effort)
    if status not in ("optimal", "feasible"):
        return None
    return [
        Stay(*life, solver.value(start) * unit) for life, start in zip(lives, starts, strict=True)
    ]
