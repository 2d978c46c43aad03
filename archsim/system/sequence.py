"""The sequencer: issues stages in order, a window ahead, and lets each unit wait for what it reads.

Two units that only wait: `issue` hands out a place in the window and pages of on-chip room,
`retire` takes both back when a stage has ended and tells those who wait for its results. Stages
retire in order, so a unit waits only for the latest of the stages that it depends on.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from archsim.ir.cascade_mapping import CascadeMapping
from archsim.ir.collective_mapping import CollectiveMapping
from archsim.ir.flash import FlashMapping
from archsim.ir.flash_backward import FlashBackwardMapping
from archsim.ir.kernel import KernelMapping
from archsim.ir.nest import NestMapping
from archsim.ir.nest_fused import FusedNest
from archsim.ir.pim import PimMapping
from archsim.ir.region import RegionMapping
from archsim.ir.stream_mapping import StreamMapping
from archsim.ir.tensor import Role
from archsim.sim.program import Leaf, Loop
from archsim.system.bank_cost import BankCost
from archsim.system.cascade_rows import CascadeWriter
from archsim.system.flash_backward_rows import FlashBackwardWriter
from archsim.system.flash_rows import FlashWriter
from archsim.system.fused_nest_rows import FusedNestWriter
from archsim.system.kernel_rows import KernelWriter
from archsim.system.mac_rows import MacWriter
from archsim.system.meetings import exchange_writer
from archsim.system.nest_rows import NestWriter
from archsim.system.on_chip_cost import cross
from archsim.system.pim_attention_rows import pim_writer
from archsim.system.pim_record import exactly
from archsim.system.place import PAGES, WINDOW, Plan, Stage, StagedBlock
from archsim.system.region_rows import RegionWriter
from archsim.system.rows import ISSUE, RETIRE, Book, Draft
from archsim.system.split_pages import pages_beside, pages_of
from archsim.system.staging import give_room, settle_depths, take_room
from archsim.system.stream_rows import StreamWriter
from archsim.system.vector_rows import VectorWriter
from archsim.system.writer import Part, Writer

BEFORE = -1  # waits for what an earlier block, or the iteration before, has written


@dataclass
class Shared:
    """What the sequencers of networks that run at once have in common."""

    book: Book
    costs: BankCost | None
    stages: list[Stage] = field(default_factory=list)
    repeats: list[int] = field(default_factory=list)
    order: list[tuple[str, int]] = field(default_factory=list)  # in which networks are served


Pieces = list[list[Loop | Leaf]]  # of each stage of a block: its rows, issue to retirement


class Sequencer:
    """Weaves the rows of all stages of a plan, or of one network of it, into a program."""

    def __init__(self, plan: Plan, shared: Shared, network: str = "") -> None:
        self.plan = plan
        self.book, self.costs = shared.book, shared.costs
        self.stages, self.repeats = shared.stages, shared.repeats
        self.tag = f"@{network}" if network else ""  # of units and channels that are its own
        self.issue = self.book.unit(f"issue{self.tag}", ISSUE)
        self.retire = self.book.unit(f"retire{self.tag}", RETIRE)
        self.window = self.book.channel(f"window{self.tag}", self.issue, self.retire, WINDOW)
        self.pages = self.book.channel(f"pages{self.tag}", self.issue, self.retire, PAGES)
        self.beside = pages_beside(plan)
        self.written: set[str] = set()
        self.times = 1  # runs of what is being written

    def enter(self, block: StagedBlock, times: int = 1) -> int:
        """Make the stages of a block known, run so many times; returns the label of the first."""
        self.stages.extend(block.stages)
        self.repeats.extend(block.block.count * times for _ in block.stages)
        return len(self.stages) - len(block.stages)

    def block(
        self, block: StagedBlock, base: int | None = None, times: int = 1
    ) -> list[Loop | Leaf]:
        """A block, all its iterations in a loop.

        Args:
            block: what is written.
            base: label of its first stage, where it was entered before.
            times: what is written runs so often.
        """
        count = block.block.count
        self.times = times
        base = self.enter(block, times) if base is None else base
        before, pieces, after = self._iteration(block, base, count)
        body = tuple(node for piece in pieces for node in piece)
        if count == 1:
            return [*before, *body]
        return [*before, Loop(count, body, name=block.block.name, block=True), *after]

    def once(self, block: StagedBlock, base: int) -> Pieces:
        """One iteration of a block that was entered, stage by stage."""
        alone = replace(block, block=replace(block.block, count=1))
        before, pieces, _ = self._iteration(alone, base, 1)
        return [[*before, *pieces[0]], *pieces[1:]]

    def _iteration(
        self, block: StagedBlock, base: int, count: int
    ) -> tuple[list[Loop | Leaf], Pieces, list[Loop | Leaf]]:
        """What comes before a block's iterations, one of them stage by stage, and what after."""
        graph = self.plan.graph
        stages = [exactly(s, graph) for s in block.stages] if self.costs else block.stages
        writers = [
            writer_of(stage, self.book)(self.book, self.plan, stage, base + j)
            for j, stage in enumerate(stages)
        ]
        parts: list[Part] = []
        entries: list[list[Draft]] = []
        opened: list[dict[str, int]] = []
        for writer in writers:
            part = writer.write()
            settle_depths(writer)
            runs = count * self.times
            opened.append(self.costs.price(writer.stage, part.tree, runs) if self.costs else {})
            if (noc := self.plan.machine.noc) is not None:
                cross(noc, self.book, writer.stage, part.tree, routers=self.costs is not None)
            parts.append(part)
            entries.append([r for r in part.first.values() if set(r.take) <= part.staged])
        told, gates = self._waits(block, parts, [w.needs for w in writers])
        pieces: Pieces = []
        for j, part in enumerate(parts):
            tell = told.get(j, []) + (told.get(BEFORE, []) if j == len(parts) - 1 and count > 1
                                      else [])  # fmt: skip
            issue = self._issue(block.stages[j], base + j, entries[j], gates.get(j, []), opened[j])
            pieces.append([
                *take_room(writers[j], self.retire), issue, *part.tree,
                self._retire(writers[j], tell),
            ])  # fmt: skip
        self.written.update(name for stage in block.stages for name in stage.writes)
        before: list[Loop | Leaf] = []
        after: list[Loop | Leaf] = []
        if told.get(BEFORE):
            before = [self.book.leaf([self._tell(Draft(self.retire, base), told[BEFORE])])]
        if count > 1 and told.get(BEFORE):  # what the last iteration told nobody waits for
            drains = []
            for unit in told[BEFORE]:
                row = Draft(self._gate(unit), base)
                row.take.append(self._dep(unit, 1))
                row.free.append(self._dep(unit, 1))
                drains.append(row)
            after = [self.book.leaf(drains)]
        return before, pieces, after

    def _waits(
        self, block: StagedBlock, parts: list[Part], needs: list[dict[int, set[str]]]
    ) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
        """Let units wait for the stages whose results they read.

        Returns who is told by which stage, and which units wait behind a gate in which stage.
        """
        writer = {name: j for j, stage in enumerate(block.stages) for name in stage.writes}
        carried = {before for before, _ in block.block.carry}
        told: dict[int, list[int]] = {}
        latest: dict[int, int] = {}
        waits: dict[int, int] = {}
        gates: dict[int, list[int]] = {}
        for j, part in enumerate(parts):
            for unit, row in part.first.items():
                sources = [
                    writer.get(name, BEFORE)
                    for name in sorted(needs[j].get(unit, ()))
                    if name in writer or name in carried or self._earlier(name)
                ]
                source = max((s for s in sources if s < j), default=None)
                if source is None or source <= latest.get(unit, BEFORE - 1):
                    continue  # an earlier wait of this unit implies it
                latest[unit] = source
                waits[unit] = waits.get(unit, 0) + 1
                told.setdefault(source, []).append(unit)
                channel = self._dep(unit, waits[unit] + 2)
                if self.book.is_shared(unit):
                    gates.setdefault(j, []).append(unit)
                    channel = self._gated(unit)
                row.take.append(channel)
                row.free.append(channel)
        return told, gates

    def _earlier(self, name: str) -> bool:
        return name in self.written and self.plan.graph.tensors[name].role is not Role.WEIGHT

    def _dep(self, unit: int, depth: int) -> int:
        name = self.book.name(unit)
        return self.book.shared(f"results>{name}{self.tag}", self.retire, self._gate(unit), depth)

    def _gate(self, unit: int) -> int:
        """Who waits for results on behalf of a unit: itself, or a gate before a shared port.

        A unit on a shared timeline has no step that only waits, so that its port is the only
        thing it ever asks for.
        """
        if not self.book.is_shared(unit):
            return unit
        return self.book.unit(f"{self.book.name(unit)}.gate{self.tag}", ISSUE)

    def _gated(self, unit: int) -> int:
        name = f"gate>{self.book.name(unit)}{self.tag}"
        return self.book.shared(name, self._gate(unit), unit, WINDOW)

    def _tell(self, row: Draft, units: list[int]) -> Draft:
        for unit in units:
            channel = self._dep(unit, 1)
            row.reserve.append(channel)
            row.put.append(channel)
        return row

    def _issue(
        self,
        stage: Stage,
        index: int,
        entries: list[Draft],
        gates: list[int],
        counts: dict[str, int],
    ) -> Leaf:
        place = Draft(self.issue, index)
        place.reserve.append(self.window)
        place.put.append(self.window)
        rows = [place]
        pages = self._pages(stage)
        if pages:
            rows.append(self._room(self.issue, index, pages, 1))
        go = Draft(self.issue, index, dur_ps=stage.launch_ps, counts=counts)
        for row in entries:
            channel = self.book.shared(
                f"go>{self.book.name(row.unit)}{self.tag}", self.issue, row.unit, WINDOW
            )
            go.reserve.append(channel)
            go.put.append(channel)
            row.take.append(channel)
            row.free.append(channel)
        for unit in gates:
            row = Draft(self._gate(unit), index)
            row.take.append(self._dep(unit, 1))
            row.free.append(self._dep(unit, 1))
            row.reserve.append(self._gated(unit))
            row.put.append(self._gated(unit))
            rows.append(row)
        return self.book.leaf([*rows, go])

    def _retire(self, writer: Writer, tell: list[int]) -> Leaf:
        stage, index, part = writer.stage, writer.index, writer.part
        row = Draft(self.retire, index)
        for unit in (part.finisher, *sorted(part.drains)):
            name = f"done<{self.book.name(unit)}{self.tag}"
            done = self.book.shared(name, unit, self.retire, WINDOW + 1)
            end = part.last[unit]
            end.reserve.append(done)
            end.put.append(done)
            row.take.append(done)
            row.free.append(done)
        row.take.append(self.window)
        row.free.append(self.window)
        rows = [self._tell(row, tell), *give_room(writer, self.retire)]
        pages = self._pages(stage)
        if pages:
            rows.append(self._room(self.retire, index, pages, -1))
        return self.book.leaf(rows)

    def _room(self, unit: int, index: int, pages: int, sign: int) -> Draft:
        """Pages of the chip taken or given back."""
        held = {self.plan.machine.sram.name: sign * self.plan.page_bytes}
        row = Draft(unit, index, run=pages, holds=held)
        (row.reserve if sign > 0 else row.take).append(self.pages)
        (row.put if sign > 0 else row.free).append(self.pages)
        return row

    def _pages(self, stage: Stage) -> int:
        return pages_of(stage, self.plan.page_bytes, self.beside)


def writer_of(stage: Stage, book: Book) -> type[Writer]:
    """Who writes the rows of a stage: told by its mapping."""
    if isinstance(stage.mapping, CollectiveMapping):
        return exchange_writer(book, stage.mapping)
    writers: tuple[tuple[type, type[Writer]], ...] = (
        (StreamMapping, StreamWriter),
        (NestMapping, NestWriter),
        (FusedNest, FusedNestWriter),
        (CascadeMapping, CascadeWriter),
        (KernelMapping, KernelWriter),
        (FlashMapping, FlashWriter),
        (FlashBackwardMapping, FlashBackwardWriter),
        (RegionMapping, RegionWriter),
        (PimMapping, pim_writer(stage)),
    )
    plain = MacWriter if stage.ops[0].is_mac else VectorWriter
    return next((w for kind, w in writers if isinstance(stage.mapping, kind)), plain)
