"""Rows of a flash stage."""

from __future__ import annotations

from archsim.system.writer import Part, Writer


class FlashWriter(Writer):
    """Rows of a flash stage."""

    def write(self) -> Part:
        """Write the stage."""
        return self.part
