"""The least energy of designs, in closed form: no run of theirs spends less.

Leakage of all components over the least time, and compulsory bytes at the cheaper of reading and
writing the memory where they lie. Arithmetic and on-chip accesses are left out: they add to it.
"""

from __future__ import annotations

from archsim.dse.screen_parts import OfMany
from archsim.system.bound_demand import demands
from archsim.system.bound_rates import Rate
from archsim.system.place import Plan

FLOOR = "bound.energy_j"
"""Name of the column; no metric of a run, which says what it spends."""
ROUNDING = 1 - 1e-9  # sums of a run are rounded in another order
J_PER_PJ = 1e-12


def least_energy_j(plan: Plan, rates: OfMany, time_s: Rate) -> Rate:
    """The least energy of designs that share a plan, [designs].

    Args:
        plan: of all of them.
        rates: of each.
        time_s: the least time of each.
    """
    shares = plan.pod.partition.shares if plan.pod else ()
    alike = [len(share.devices) for share in shares] or [1]
    moved: Rate = 0.0
    for count, demand in zip(alike, demands(plan), strict=True):
        for memory, size in demand.tier_bytes.items():
            moved = moved + float(count * size) * rates.least_pj_per_byte(memory)
    static = sum(rates.of_devices(rates.leakage_w()).values())
    return ROUNDING * (J_PER_PJ * moved + static * time_s)
