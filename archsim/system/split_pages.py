"""Room on chip beside kernels: pages that they leave to engines inside a memory.

A kernel has the chip to itself, but for what works in the memory meanwhile: operands of that pass
through the chip and need their pages at the same time.
"""

from __future__ import annotations

from archsim.ir.pim import PimMapping
from archsim.system.place import PAGES, Plan, Stage

MOST = PAGES // 2 - 1  # a kernel keeps more than half, so that no two run at once


def pages_beside(plan: Plan) -> int:
    """Pages that stages which run alone leave to those that run beside them."""
    needs = [
        pages_of(stage, plan.page_bytes, 0)
        for block in plan.blocks
        for stage in block.stages
        if isinstance(stage.mapping, PimMapping) and not stage.exclusive
    ]
    return max(needs, default=0)


def pages_of(stage: Stage, page_bytes: int, beside: int) -> int:
    """Pages of room that a stage takes; `beside` are those that it leaves if it runs alone."""
    if stage.exclusive:
        return PAGES - beside
    most = MOST if isinstance(stage.mapping, PimMapping) else PAGES
    return min(most, -(-stage.room_bytes // page_bytes))
