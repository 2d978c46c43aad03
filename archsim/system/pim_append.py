"""The row that writes new keys or values where units inside a memory find them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archsim.ir.op import Access
from archsim.system.pim_laid import written
from archsim.system.rows import Draft

if TYPE_CHECKING:
    from archsim.system.writer import Writer


def laid(w: Writer, row: Draft, access: Access, size_bytes: int) -> Draft:
    """A store of a tile, as its layout has it: its own where it is none made for units.

    Its time is that of rows opened and accesses of the busiest channel, at every fidelity. Where
    the memory lies further away it is the last row on the way there that writes so.
    """
    found = written(w.plan, access, size_bytes)
    if found is None:
        return row
    memory = w.plan.laid[access.tensor].engine.memory.name
    for one in (row, *row.beside):
        moved = one.transfer
        if moved is None or moved.memory != memory or not moved.write:
            continue
        one.dur_ps, one.transfer = max(one.dur_ps, found.dur_ps), None
        wrote = next(key for key in one.counts if ".write." in key)
        more = found.write_bytes - size_bytes
        one.counts[wrote] += more
        if "dma.transfer" in one.counts:
            one.counts["dma.transfer"] += more + found.read_bytes
        read, _, _ = wrote.replace(".write.", ".read.").rpartition(".")
        if found.read_bytes:
            ending = "partial" if one is row else "staged"
            one.counts[f"{read}.{ending}"] = found.read_bytes
        if found.opened:
            one.counts[f"reopen.{memory}"] = found.opened
    return row
