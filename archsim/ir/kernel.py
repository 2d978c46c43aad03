"""A mapping of one kernel: a grid of output tiles, dealt to alike cores."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class KernelMapping:
    """The grid of one kernel."""

    name: str
    dataflow: str = "tile_grid"

    def render(self) -> str:
        """The loop nest as text."""
        return f"{self.name}: {self.dataflow}"
