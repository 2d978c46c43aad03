"""The compiled forms of the inner loops, made at first use where numba is installed.

Loading numba and its cached machine code takes longer than a short run in plain Python; whether it
pays is decided here. The answer of a run does not depend on it.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, Literal

from archsim.sim import kernel, replay, walk

PAYS_STEPS = 100_000  # 0.25-0.3 s to load numba against some 400,000 plain steps/s (measured)


def pays(steps: int) -> bool:
    """Whether to compile for a run that simulates about so many steps."""
    return steps >= PAYS_STEPS or "numba" in sys.modules


def load() -> bool:
    """Load numba now, for a process that has many runs before it; whether it is installed."""
    return compiled("advance") is not None


@functools.cache
def compiled(name: Literal["advance", "replay", "walk"]) -> Callable[..., Any] | None:
    """Machine code of the function of that name, or None where numba is not installed.

    numba keeps it beside the module, or in the user's cache folder when that cannot be written.
    """
    try:
        from numba import njit
    except ImportError:
        return None
    functions: dict[str, Callable[..., Any]] = {
        "advance": kernel.advance, "replay": replay.replay, "walk": walk.walk,
    }  # fmt: skip
    result: Callable[..., Any] = njit(cache=True)(functions[name])
    return result
