"""The parts of the unified controller's inner loop, and their compiled form."""

from __future__ import annotations

import functools
from collections.abc import Callable

from archsim.memory.controllers import (
    unified_accept,
    unified_choose,
    unified_issue,
    unified_kernel,
    unified_lanes,
    unified_upkeep,
    unified_words,
)
from archsim.memory.controllers.linked import linked

PARTS = (
    unified_accept,
    unified_upkeep,
    unified_issue,
    unified_choose,
    unified_kernel,
    unified_lanes,
)
"""A function calls only those of parts before its own, or above it."""

INNER = frozenset(
    ("searched", "soonest_active", "soonest_pair", "soonest_queued", "raise_to", "obey", "rekey",
     "leave_queue", "column", "returns")
)  # fmt: skip
"""Small functions of every command; a call of one costs as much as what it does."""


@functools.cache
def compiled() -> Callable[..., int]:
    """Machine code of `unified_lanes.run`, or the plain function where numba is missing."""
    return linked(unified_words, PARTS, "run", INNER)
