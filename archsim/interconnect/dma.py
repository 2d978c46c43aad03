"""A DMA between two memories: every byte between tiers passes a named one, either way."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from archsim.core.spec import Bytes, PositiveInt, Rate, Seconds
from archsim.core.units import PS_PER_S
from archsim.interconnect.base import Link, LinkSpec, Port


class Dma(Link):
    """Moves tiles; each transfer pays the setup once and runs at the slower of memory and DMA."""

    kind = "dma"
    ACTIONS = (("dma", "transfer"),)

    class Spec(LinkSpec):
        """The two ends and the speed."""

        kind: Literal["dma"] = "dma"

        from_: str = Field(alias="from")
        """The memory further from the engines: a dram, by its name under `memory:`."""

        to: str
        """The nearer one: the sram, or a faster dram, by its name under `memory:`. Memories that no
        DMA joins to the chip or to a faster one get a DMA to the next faster."""

        bandwidth: Rate | None = None
        """Bandwidth of the DMA; without one it keeps up with the memory."""

        setup: Seconds = 0.0
        """Time the memory's port is held before the first byte of each chunk."""

        chunk: Bytes | None = None
        """Largest transfer at once: a tile moves in chunks, each with its setup."""

        depth: PositiveInt = 2
        """Tiles of an operand on chip at once: one in use, the others being filled."""

        outstanding: PositiveInt = 16
        """Of a DMA between two drams: tiles at once that it has asked for and not yet written
        (default assumed)."""

    spec: Spec

    @classmethod
    def example(cls) -> dict[str, Any]:
        """From `hbm` to `sram` at the memory's own speed."""
        return {"kind": cls.kind, "from": "hbm", "to": "sram"}

    def transfer_ps(self, memory: Port, size_bytes: int, efficiency: float | None = None) -> int:
        """Time a transfer holds the memory's port, in picoseconds."""
        return self.hold_ps(memory, size_bytes, memory.transfer_ps(size_bytes, efficiency))

    def hold_ps(self, memory: Port, size_bytes: int, port_ps: int) -> int:
        """Time a transfer holds a port that needs so long for its bytes, in picoseconds."""
        own = 0
        if self.spec.bandwidth is not None:
            own = -(-size_bytes * PS_PER_S // int(self.spec.bandwidth.bytes_per_s(memory.clock_hz)))
        chunks = -(-size_bytes // self.spec.chunk) if self.spec.chunk else 1
        setup = chunks * round(self.spec.setup * PS_PER_S)
        return max(port_ps, own) + setup
