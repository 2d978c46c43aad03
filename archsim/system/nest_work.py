"""What a tile of the buffer takes of a spatial array: its row, with cycles and what is counted.

Operands that pass by the buffer are read from DRAM at each use, and written there: how much that is
for a tile is here too, its rows are in `nest_rows`.
"""

from __future__ import annotations

from math import ceil, prod

from archsim.components.spatial_array import SpatialArray
from archsim.dataflows._nest_rank import Shape
from archsim.ir.nest import NestMapping
from archsim.ir.nest_ranks import OPERANDS
from archsim.ir.nest_traffic import Moved, Traffic
from archsim.system.nest_counts import NestCounts, Tile
from archsim.system.rows import Draft
from archsim.system.writer import Writer, duration_ps


class SpatialWork:
    """Tiles of one nest on one array.

    Attributes:
        counts: what a tile moves.
        past: operands that pass by the buffer, and do not lie on chip as whole tensors.
    """

    def __init__(self, writer: Writer, engine: SpatialArray, nest: NestMapping) -> None:
        self.w, self.engine, self.nest, self.view = writer, engine, nest, nest.problem
        self.dtype = self.view.weight.computes_as
        self.array = writer.unit(engine.name, "compute")
        self.counts = NestCounts(nest)
        self.unfinished = nest.splits or Shape(self.view, nest.levels[1:]).partial_inside
        self.past = frozenset(
            operand for operand, tensor in passing(nest).items() if writer.spilled(tensor)
        )

    def size(self, operand: str, elements: int) -> int:
        """Bytes of so many elements of an operand, or of `partial` sums."""
        bits = self.view.weight_bits if operand == "weight" else self.view.bits[operand]
        return ceil(elements * bits / 8)

    def row(self, tile: Tile) -> Draft:
        """The array's row of a tile."""
        moved = self.counts.inside(tile)
        near = {t: self._near(moved, t) for t in OPERANDS}
        network = {t: moved.get(("network", t), Moved()) for t in OPERANDS}
        reads = self._reads(near, network)
        fed_by = {t: 0 if t in self.past else reads[t] for t in OPERANDS}
        sums = "partial" if self.unfinished else "out"
        read = sum(self.size(t, fed_by[t]) for t in ("in", "weight"))
        read += self.size(sums, fed_by["out"])
        written = 0 if "out" in self.past else self.size(sums, near["out"].writes)
        steps = self.nest.steps_of(tile.size, 1)
        rate = self.engine.spec.rates[self.dtype]
        hz, sram = self.engine.clock_hz, self.w.machine.sram
        fed = ceil((read + written) * hz / sram.bytes_per_s)
        cycles = max(-(-steps // rate), fed)
        row = self.w.draft(self.array, duration_ps(cycles, hz), sram.latency_ps)
        row.counts = {
            f"mac.{self.dtype}": prod(tile.size.values()),
            "array.cycles": cycles,
            "array.steps": steps,
            "array.in_reads": reads["in"],
            "array.weight_reads": reads["weight"],
            "array.out_writes": near["out"].writes,
            "sram.read": read,
            "sram.write": written,
            **self._within(moved, network),
        }
        return row

    def streams(self, tile: Tile) -> dict[str, tuple[int, int]]:
        """Bytes that a tile reads past the buffer by operand, and writes: of the results.

        `out` are complete results, `partial` sums that leave and come back.
        """
        if not self.past:
            return {}
        moved = self.counts.inside(tile)
        near = {t: self._near(moved, t) for t in self.past}
        network = {t: moved.get(("network", t), Moved()) for t in OPERANDS}
        reads = self._reads(near, network)
        found: dict[str, tuple[int, int]] = {
            t: (self.size(t, reads[t]), 0) for t in sorted(self.past - {"out"})
        }
        if "out" in self.past:
            sent = near["out"]
            done = self.counts.elements(tile, "out") if self.counts.closes(tile) else 0
            found["partial"] = (
                self.size("partial", sent.reads),
                self.size("partial", sent.writes - done),
            )
            found["out"] = 0, self.size("out", done)
        return {operand: both for operand, both in found.items() if any(both)}

    def _near(self, moved: Traffic, operand: str) -> Moved:
        """What moves between the array and the memory that feeds it."""
        level = "buffer" if operand in self.nest.levels[1].keeps else "dram"
        return moved.get((level, operand), Moved())

    def _reads(self, near: dict[str, Moved], network: dict[str, Moved]) -> dict[str, int]:
        reads = {t: some.reads for t, some in near.items()}
        if not self.engine.spec.multicast:  # every element has a read of its own
            reads |= {t: network[t].writes for t in ("in", "weight") if t in near}
        return reads

    def _within(self, moved: Traffic, network: dict[str, Moved]) -> dict[str, int]:
        """Bytes that the registers give and take, and those that pass between elements."""
        held = {t: moved.get(("registers", t), Moved()) for t in OPERANDS}
        word = {"in": "in", "weight": "weight", "out": "partial"}
        given = sum(self.size(word[t], held[t].reads) for t in OPERANDS)
        taken = sum(self.size(word[t], held[t].writes) for t in OPERANDS)
        # an operand is received by every element that needs it, a sum is sent by every one
        passed = sum(self.size(t, network[t].writes) for t in ("in", "weight"))
        passed += self.size("partial", network["out"].reads)
        return {"register.read": given, "register.write": taken, "network.transfer": passed}


def passing(nest: NestMapping) -> dict[str, str]:
    """Operands that pass by the buffer, and their tensors."""
    op = nest.problem.op
    tensors = {"in": op.reads[0].tensor, "weight": op.reads[1].tensor, "out": op.writes[0].tensor}
    kept = nest.levels[1].keeps
    return {operand: tensor for operand, tensor in tensors.items() if operand not in kept}
