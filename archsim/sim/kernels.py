"""The compiled forms of the two inner loops, made at first use where numba is installed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal

from archsim.sim import kernel, walk


@functools.cache
def compiled(name: Literal["advance", "walk"]) -> Callable[..., Any] | None:
    """Machine code of `kernel.advance` or `walk.walk`, or None where numba is not installed.

    numba keeps it beside the module, or in the user's cache folder when that cannot be written.
    """
    try:
        from numba import njit
    except ImportError:
        return None
    function = kernel.advance if name == "advance" else walk.walk
    result: Callable[..., Any] = njit(cache=True)(function)
    return result
