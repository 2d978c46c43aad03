"""The plan of a kernel: its grid of tiles, chosen in closed form."""

from __future__ import annotations

from archsim.core.errors import Unsupported
from archsim.system.place import Stage
from archsim.system.room import Room


def kernel_stage(stage: Stage, room: Room) -> Stage:
    """The stage with its mapping."""
    raise Unsupported(f"{stage.path} has no mapping yet", code="E302")
