"""Inner loops made of several plain functions, compiled as one where numba is installed.

numba keeps machine code beside the file of a function; the name it goes by holds a digest of every
part's text, as the age of one file says nothing of the others. The answer does not depend on being
compiled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any


def linked(
    words: ModuleType,
    parts: Sequence[ModuleType],
    entry: str,
    inner: frozenset[str] = frozenset(),
) -> Callable[..., int]:
    """Machine code of a function and all that it calls; the plain function without numba.

    Args:
        words: Module of constants that every part imports as `w`.
        parts: Modules of the functions; each calls only those of parts before its own, or above it.
        entry: Name of the function, in the last part.
        inner: Names of functions of which a call costs as much as what they do: they are copied
            into their callers.
    """
    plain: Callable[..., int] = vars(parts[-1])[entry]
    try:
        from numba import njit
    except ImportError:
        return plain
    digest = hashlib.sha256()
    for part in (words, *parts):
        digest.update(Path(str(part.__file__)).read_bytes())
    names: dict[str, Any] = {"w": words}
    for part in parts:
        names["__name__"] = part.__name__
        for name, function in list(vars(part).items()):
            if isinstance(function, FunctionType) and function.__module__ == part.__name__:
                own = FunctionType(function.__code__, names, name)
                own.__qualname__ = f"{name}_{digest.hexdigest()[:16]}"
                names[name] = njit(cache=name == entry, forceinline=name in inner)(own)
    result: Callable[..., int] = names[entry]
    return result
