"""A mapping of attention in which scores never leave the chip: tiles of queries and keys."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FlashMapping:
    """Tiles of one attention."""

    name: str
    dataflow: str = "flash_attention"

    def render(self) -> str:
        """The loop nest as text."""
        return f"{self.name}: {self.dataflow}"
