"""The compiled form of the unified controller's inner loop, made at first use where numba is.

numba keeps machine code beside the file of a function; the name it goes by holds a digest of every
part's text, as the age of one file says nothing of the others. The answer does not depend on being
compiled.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

from archsim.memory import (
    unified_accept,
    unified_choose,
    unified_issue,
    unified_kernel,
    unified_lanes,
    unified_upkeep,
    unified_words,
)

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
    try:
        from numba import njit
    except ImportError:
        return unified_lanes.run
    digest = hashlib.sha256()
    for part in (unified_words, *PARTS):
        digest.update(Path(str(part.__file__)).read_bytes())
    names: dict[str, Any] = {"w": unified_words}
    for part in PARTS:
        names["__name__"] = part.__name__
        for name, function in list(vars(part).items()):
            if isinstance(function, FunctionType) and function.__module__ == part.__name__:
                linked = FunctionType(function.__code__, names, name)
                linked.__qualname__ = f"{name}_{digest.hexdigest()[:16]}"
                names[name] = njit(
                    cache=function is unified_lanes.run,
                    forceinline=name in INNER,
                    _nrt=False,  # nothing is allocated, so no references need counting
                )(linked)
    result: Callable[..., int] = names["run"]
    return result
