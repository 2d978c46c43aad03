"""Nests of one product whose tiles of the buffer stand alone: other work runs between them.

So do the products of a fused block: what elements hold of one is gone when the next one has run.
"""

from __future__ import annotations

from archsim.ir.nest import NestMapping


class ApartNest(NestMapping):
    """A nest of which no element keeps anything from one tile of the buffer to the next."""

    @classmethod
    def of(cls, nest: NestMapping) -> ApartNest:
        """The nest, with its tiles apart."""
        return cls(nest.problem, nest.engine, nest.dataflow, nest.levels, nest.depth)

    def held_over(self, operand: str) -> tuple[str, ...]:
        """No loop over tiles leaves an operand where it is."""
        return ()
