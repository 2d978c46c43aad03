"""Environments for agents: `make`, `make_parallel`, and `Logged` to keep what they do.

`Recent` is the memory of answers that environments may share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from archsim.gym.asker import Recent as Recent
    from archsim.gym.logged import Logged as Logged
    from archsim.gym.making import make as make
    from archsim.gym.making import make_parallel as make_parallel

__all__ = ["Logged", "Recent", "make", "make_parallel"]


def __getattr__(name: str) -> Any:
    """The calls of this room, imported when first asked for: gymnasium is an extra."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = {"Logged": "logged", "Recent": "asker"}.get(name, "making")
    return getattr(import_module(f"{__name__}.{module}"), name)
