"""Rows of a kernel stage."""

from __future__ import annotations

from archsim.system.writer import Part, Writer


class KernelWriter(Writer):
    """Rows of a kernel stage."""

    def write(self) -> Part:
        """Write the stage."""
        return self.part
