"""Rows of a collective: a device comes, the group exchanges when all have come, the device goes on.

What a collective reads and writes behind the chip streams through while the exchange goes on: its
bytes and their energy are counted, and it takes no less time than the memory's port needs for
them; other stages are not held up at that port meanwhile.
"""

from __future__ import annotations

from archsim.ir.collective_mapping import CollectiveMapping
from archsim.ir.op import Access
from archsim.system.rows import COMPUTE, LOAD, STORE, Draft
from archsim.system.writer import Part, Writer


class CollectiveWriter(Writer):
    """Three rows: the device arrives, its group exchanges, the device leaves."""

    mapping: CollectiveMapping

    def write(self) -> Part:
        """Write the stage."""
        mapping = self.stage.mapping
        assert isinstance(mapping, CollectiveMapping)
        self.mapping = mapping
        self.lane = f"{mapping.network}.{mapping.collective.axis}"
        arrive = self.draft(self.book.unit(self.lane, LOAD))
        done = self.draft(self.book.unit(f"{self.lane}.done", STORE))
        for access in self.stage.ops[0].reads:
            self.need(arrive.unit, access.tensor)
        done.counts = self._counts()
        self.part.tree = [self.book.leaf([arrive, *self.meet(arrive, done), done])]
        self.part.finisher = done.unit
        return self.part

    def meet(self, arrive: Draft, done: Draft) -> list[Draft]:
        """The row of the group, between those of its devices: alike ones come at one instant."""
        time_ps = self.exchange_ps()
        shared = self.mapping.network if time_ps else None  # axes take turns on the links
        suffix = ".group" if time_ps else ".idle"
        group = self.draft(self.book.unit(f"{self.lane}{suffix}", COMPUTE, shared), time_ps)
        come = self.channel("arrive", arrive.unit, group.unit, 1)
        gone = self.channel("depart", group.unit, done.unit, 1)
        for row, channel in ((arrive, come), (group, gone)):
            row.reserve.append(channel)
            row.put.append(channel)
        for row, channel in ((group, come), (done, gone)):
            row.take.append(channel)
            row.free.append(channel)
        return [group]

    def exchange_ps(self) -> int:
        """Time of the exchange: no less than memory needs for what it holds of the operands."""
        size = self.through_memory()
        dma, dram = self.machine.dma, self.machine.dram
        return max(self.mapping.time_ps, dma.transfer_ps(dram, size) if size else 0)

    def accesses(self) -> tuple[tuple[str, str, tuple[Access, ...]], ...]:
        """Way, operand and accesses of what leaves the device and of what comes to it."""
        op, pattern = self.stage.ops[0], self.mapping.collective.pattern
        reads = () if pattern == "receive" else op.reads
        writes = () if pattern == "send" else op.writes
        return (("read", "in", reads), ("write", "out", writes))

    def through_memory(self) -> int:
        """Bytes that pass memory: read before they leave, written when they have come."""
        return sum(
            self.graph.touched_bytes(a)
            for _, _, accesses in self.accesses()
            for a in accesses
            if self.spilled(a.tensor)
        )

    def _counts(self) -> dict[str, int]:
        counts = dict(self.mapping.counts)
        for way, operand, accesses in self.accesses():
            other = "write" if way == "read" else "read"
            for access in accesses:
                size = self.graph.touched_bytes(access)
                added = {f"sram.{way}": size}
                if self.spilled(access.tensor):
                    key = f"dram.{way}.{self.role(access.tensor)}.{operand}"
                    added |= {key: size, "dma.transfer": size, f"sram.{other}": size}
                for key, amount in added.items():
                    counts[key] = counts.get(key, 0) + amount
        return counts
