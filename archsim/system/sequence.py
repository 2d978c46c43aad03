"""The sequencer: issues stages in order, a window ahead, and lets each unit wait for what it reads.

Two units that only wait: `issue` hands out a place in the window and pages of on-chip room,
`retire` takes both back when a stage has ended and tells those who wait for its results. Stages
retire in order, so a unit waits only for the latest of the stages that it depends on.
"""

from __future__ import annotations

from dataclasses import dataclass

from archsim.ir.flash import FlashMapping
from archsim.ir.kernel import KernelMapping
from archsim.ir.record import BankRecord
from archsim.ir.tensor import Role
from archsim.sim.check import check_form
from archsim.sim.program import Leaf, Loop, Program
from archsim.system.bank_cost import BankCost, Streams
from archsim.system.flash_rows import FlashWriter
from archsim.system.kernel_rows import KernelWriter
from archsim.system.mac_rows import MacWriter
from archsim.system.place import PAGES, WINDOW, Plan, Stage, StagedBlock
from archsim.system.rows import ISSUE, RETIRE, Book, Draft
from archsim.system.staging import give_room, settle_depths, take_room
from archsim.system.vector_rows import VectorWriter
from archsim.system.writer import Part, Writer

BEFORE = -1  # waits for what an earlier block, or the iteration before, has written


@dataclass(frozen=True)
class Schedule:
    """A program and what its rows mean: counts by row id, stages by op label."""

    program: Program
    counts: tuple[dict[str, int], ...]
    stages: tuple[Stage, ...]
    repeats: tuple[int, ...]  # by stage
    holds: tuple[dict[str, int], ...]  # by row: bytes taken up, or given back, by memory
    banks: tuple[BankRecord, ...] = ()  # what stages did to memories with banks


class Sequencer:
    """Weaves the rows of all stages into one program."""

    def __init__(self, plan: Plan, *, banks: Streams | None = None, exact: bool = False) -> None:
        self.plan = plan
        self.book = Book()
        self.costs = None if banks is None else BankCost(self.book, plan, banks, exact=exact)
        self.issue = self.book.unit("issue", ISSUE)
        self.retire = self.book.unit("retire", RETIRE)
        self.window = self.book.channel("window", self.issue, self.retire, WINDOW)
        self.pages = self.book.channel("pages", self.issue, self.retire, PAGES)
        self.stages: list[Stage] = []
        self.repeats: list[int] = []
        self.written: set[str] = set()

    def schedule(self) -> Schedule:
        """The whole program."""
        tree: list[Loop | Leaf] = []
        for block in self.plan.blocks:
            tree += self._block(block)
        return Schedule(
            self.book.close(tree),
            self.book.counts(),
            tuple(self.stages),
            tuple(self.repeats),
            self.book.holds(),
            tuple(self.costs.records) if self.costs else (),
        )

    def _block(self, block: StagedBlock) -> list[Loop | Leaf]:
        count = block.block.count
        base = len(self.stages)
        writers = []
        for stage in block.stages:
            self.stages.append(stage)
            self.repeats.append(count)
            kind = writer_of(stage)
            writers.append(kind(self.book, self.plan, stage, len(self.stages) - 1))
        parts: list[Part] = []
        entries: list[list[Draft]] = []
        opened: list[dict[str, int]] = []
        for writer in writers:
            part = writer.write()
            settle_depths(writer)
            opened.append(self.costs.price(writer.stage, part.tree, count) if self.costs else {})
            parts.append(part)
            entries.append([r for r in part.first.values() if set(r.take) <= part.staged])
        told, gates = self._waits(block, parts, [w.needs for w in writers])
        body: list[Loop | Leaf] = []
        for j, part in enumerate(parts):
            tell = told.get(j, []) + (told.get(BEFORE, []) if j == len(parts) - 1 and count > 1
                                      else [])  # fmt: skip
            body += take_room(writers[j], self.retire)
            waiting = gates.get(j, [])
            body.append(self._issue(block.stages[j], base + j, entries[j], waiting, opened[j]))
            body += part.tree
            body.append(self._retire(writers[j], tell))
        self.written.update(name for stage in block.stages for name in stage.writes)
        before: list[Loop | Leaf] = []
        after: list[Loop | Leaf] = []
        if told.get(BEFORE):
            before = [self.book.leaf([self._tell(Draft(self.retire, base), told[BEFORE])])]
        if count == 1:
            return [*before, *body]
        if told.get(BEFORE):  # what the last iteration told nobody waits for
            drains = []
            for unit in told[BEFORE]:
                row = Draft(self._gate(unit), base)
                row.take.append(self._dep(unit, 1))
                row.free.append(self._dep(unit, 1))
                drains.append(row)
            after = [self.book.leaf(drains)]
        loop = Loop(count, tuple(body), name=block.block.name, block=True)
        return [*before, loop, *after]

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
        return self.book.shared(f"results>{name}", self.retire, self._gate(unit), depth)

    def _gate(self, unit: int) -> int:
        """Who waits for results on behalf of a unit: itself, or a gate before a shared port.

        A unit on a shared timeline has no step that only waits, so that its port is the only
        thing it ever asks for.
        """
        if not self.book.is_shared(unit):
            return unit
        return self.book.unit(f"{self.book.name(unit)}.gate", ISSUE)

    def _gated(self, unit: int) -> int:
        return self.book.shared(f"gate>{self.book.name(unit)}", self._gate(unit), unit, WINDOW)

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
                f"go>{self.book.name(row.unit)}", self.issue, row.unit, WINDOW
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
            done = self.book.shared(f"done<{self.book.name(unit)}", unit, self.retire, WINDOW + 1)
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
        if stage.exclusive:
            return PAGES
        return min(PAGES, -(-stage.room_bytes // self.plan.page_bytes))


def writer_of(stage: Stage) -> type[Writer]:
    """Who writes the rows of a stage: told by its mapping."""
    if isinstance(stage.mapping, KernelMapping):
        return KernelWriter
    if isinstance(stage.mapping, FlashMapping):
        return FlashWriter
    return MacWriter if stage.ops[0].is_mac else VectorWriter


def schedule(plan: Plan) -> Schedule:
    """The program of a plan, proved to be balanced and to end.

    Raises:
        Deadlock: naming who waits for whom, whatever the durations are.
    """
    found = Sequencer(plan).schedule()
    found.program.check()
    return found


def schedule_to_run(plan: Plan, *, banks: Streams | None = None, exact: bool = False) -> Schedule:
    """The program of a plan, proved to be balanced: that it ends, a run through time proves.

    Args:
        plan: what runs where.
        banks: let memories that are described down to their banks say how long transfers take;
            streams that were simulated before, to which new ones are added.
        exact: send every burst through them, not a bounded number of each stage.
    """
    found = Sequencer(plan, banks=banks, exact=exact).schedule()
    check_form(found.program)
    return found
