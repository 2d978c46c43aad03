"""archsim: how fast, how much energy, how much silicon, for a real model on a machine in YAML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from archsim import gym as gym
    from archsim.api import load_hardware as load_hardware
    from archsim.api import run as run
    from archsim.dse.python import explore as explore
    from archsim.dse.python import sweep as sweep

__version__ = "0.1.0"
__all__ = ["__version__", "explore", "gym", "load_hardware", "run", "sweep"]


def __getattr__(name: str) -> Any:
    """The calls of this package, imported when first asked for: `import archsim` costs nothing."""
    if name in ("load_hardware", "run"):
        from archsim import api

        return getattr(api, name)
    if name in ("explore", "sweep"):
        from archsim.dse import python

        return getattr(python, name)
    if name == "gym":
        from importlib import import_module

        return import_module("archsim.gym")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
