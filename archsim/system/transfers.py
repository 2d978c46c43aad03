"""What the rows that touch memories move: of which tensor, in which pattern.

Writers put a `Transfer` on each row that uses the port of a memory. At fidelity `cycle` the bursts
of these transfers go through the bank-level engine (see `dram_cost`); elsewhere nobody reads them.
"""

from __future__ import annotations

from dataclasses import dataclass

from archsim.memory.layout import Pattern


@dataclass(frozen=True, slots=True)
class Transfer:
    """One tile that a row moves.

    Attributes:
        memory: Name of the memory whose port the row uses.
        tensor: Name of the tensor, or another name for bytes that are not one's own.
        size_bytes: Bytes of the tile.
        write: True when the memory is written.
        pattern: Where tiles lie in the tensor; None when they follow each other.
        mover: Name of the DMA whose speed and setup are spent at this port; None where they are
            spent at the other end.
        share: Of the bandwidth that it gets otherwise, where a layout made for others slows it.
    """

    memory: str
    tensor: str
    size_bytes: int
    write: bool
    pattern: Pattern | None = None
    mover: str | None = None
    share: float = 1.0
