"""What transfers cost in memories with banks: their bursts go through the bank-level engine.

The transfers of a stage form a stream in the order in which the stage issues them. It goes through
the memory's controller once, back to back: each kind of transfer then has the time by which it
moved the end of the stream, refresh and its neighbours' interference included. Long stages repeat
themselves, so that only a bounded number of bursts is streamed, and alike stages share one stream.
Durations do not depend on absolute time: layers fold as they do without banks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from archsim.interconnect.dma import Dma
from archsim.ir.record import BankRecord
from archsim.sim.program import Loop
from archsim.system.bank_streams import (
    Places,
    Tree,
    counted,
    enough,
    first_channel,
    most_iterations,
    run_bytes,
    walk,
)
from archsim.system.place import Plan, Stage
from archsim.system.rows import Book, Draft
from archsim.system.transfers import Transfer

if TYPE_CHECKING:
    from archsim.memory.controllers.banked import Banked, Stream

BURSTS = 1 << 15  # streamed of a stage where one channel stands for all: some 20 refresh intervals
MIXED = 1 << 17  # where pieces are so short that all channels are simulated, on all together
NO_BOUND = 1 << 62


@dataclass(frozen=True)
class Prices:
    """A stream that was simulated, and what each kind of transfer took of it.

    Transfers of a tensor that differ in size only are one kind: they cost by the byte.
    """

    stream: Stream
    kinds: tuple[int, ...]  # of each transfer that the stage has, in their order
    ps_per_byte: tuple[float, ...]  # by kind

    def hold_ps(self, place: int, size_bytes: int) -> int:
        """Time on the port of the transfer at a place."""
        return max(1, round(self.ps_per_byte[self.kinds[place]] * size_bytes))


Streams = dict[object, Prices]


class BankCost:
    """Prices the rows of stages, one stage after the other."""

    def __init__(
        self, book: Book, plan: Plan, known: Streams | None = None, *, exact: bool = False
    ) -> None:
        """`known`: streams of other runs, which is added to."""
        self.book, self.plan, self.exact = book, plan, exact
        self.known = {} if known is None else known
        self.banked: dict[str, Banked] = {
            name: banked
            for name, memory in sorted(plan.machine.memories.items())
            if (banked := memory.banked()) is not None
        }
        self.tensor_bytes = {name: t.bytes for name, t in plan.graph.tensors.items()}
        self.records: list[BankRecord] = []

    def price(self, stage: Stage, tree: Tree, repeats: int) -> dict[str, int]:
        """Give the rows of a stage the durations that the banks need.

        Returns:
            What banks count in one run of the stage, by action: rows that were opened more often
            than their bytes need. One opening a row is in the energy of its bytes.
        """
        counts: dict[str, int] = {}
        times = counted(tree) if self.banked else {}
        for name, memory in self.banked.items():
            mine = {
                row: transfer
                for row in times
                if (transfer := self.book.drafts[row].transfer) and transfer.memory == name
            }
            if not mine:
                continue
            found = self._prices(memory, tree, mine)
            for place, (row, transfer) in enumerate(mine.items()):
                hold_ps = round(found.hold_ps(place, transfer.size_bytes) / transfer.share)
                self._settle(self.book.drafts[row], transfer, hold_ps, memory.latency_ps)
            record = self._note(name, stage, repeats, mine, times, found.stream)
            opened = record.activates * record.bursts // max(record.simulated, 1)
            needed = record.bursts * memory.access_bytes // memory.tables.row_bytes
            if opened > needed:
                counts[f"reopen.{name}"] = opened - needed
        return counts

    def _prices(self, memory: Banked, tree: Tree, mine: Mapping[int, Transfer]) -> Prices:
        stripe = memory.channels * memory.access_bytes
        alike = all(run_bytes(t) >= stripe for t in mine.values())  # channels are equally busy
        bursts = {i: -(-t.size_bytes // memory.access_bytes) for i, t in mine.items()}
        bound = NO_BOUND if self.exact else BURSTS * memory.channels if alike else MIXED
        most = most_iterations(tree, bursts, bound)
        form = _form(tree, {row: i for i, row in enumerate(mine)})
        key = (memory.key, bound, self._alike(mine), form)
        if key not in self.known:
            kind = _kinds(mine)
            rows = enough((i for i in walk(tree, most) if i in mine), bursts, kind, bound)
            self.known[key] = self._simulate(memory, rows, mine, kind, alike=alike)
        return self.known[key]

    def _alike(self, mine: Mapping[int, Transfer]) -> tuple[object, ...]:
        """Transfers without the names of their tensors."""
        names = list(dict.fromkeys(t.tensor for t in mine.values()))
        return tuple(
            (
                names.index(t.tensor),
                self.tensor_bytes.get(t.tensor),
                t.size_bytes,
                t.write,
                t.pattern,
            )
            for t in mine.values()
        )

    def _simulate(
        self,
        memory: Banked,
        rows: list[int],
        mine: Mapping[int, Transfer],
        kind: Mapping[int, int],
        *,
        alike: bool,
    ) -> Prices:
        """Send a sequence of transfers through the controller."""
        places = Places(self.tensor_bytes, memory.access_bytes)
        parts = [places.next(mine[i]) for i in rows]
        if alike:
            parts = [first_channel(p, memory.channels, memory.access_bytes) for p in parts]
        sizes = np.array([len(p) for p in parts], dtype=np.int64)
        writes = np.repeat(np.array([mine[i].write for i in rows], dtype=np.int64), sizes)
        stream = memory.serve(np.concatenate(parts), writes, np.cumsum(sizes), alike=alike)
        which = np.array([kind[i] for i in rows])
        moved = np.array([mine[i].size_bytes for i in rows], dtype=np.int64)
        rates = tuple(
            float(stream.hold_ps[which == k].sum() / moved[which == k].sum())
            for k in range(max(kind.values()) + 1)
        )
        return Prices(stream, tuple(kind.values()), rates)

    def _settle(self, row: Draft, transfer: Transfer, hold_ps: int, latency_ps: int) -> None:
        """The port is held as long as the banks need, or the DMA if that is slower, and set up."""
        machine = self.plan.machine
        row.dur_ps = hold_ps
        if transfer.mover is not None:
            mover = machine.links[transfer.mover]
            assert isinstance(mover, Dma)
            memory = machine.memories[transfer.memory]
            row.dur_ps = mover.hold_ps(memory, transfer.size_bytes, hold_ps)
        if not transfer.write:
            row.lag_ps = latency_ps

    def _note(
        self,
        name: str,
        stage: Stage,
        repeats: int,
        mine: Mapping[int, Transfer],
        times: Mapping[int, int],
        stream: Stream,
    ) -> BankRecord:
        moved: dict[str, tuple[int, int]] = {}
        for row, t in mine.items():
            size, held = moved.get(t.tensor, (0, 0))
            runs, dur_ps = times[row], self.book.drafts[row].dur_ps
            moved[t.tensor] = size + t.size_bytes * runs, held + dur_ps * runs
        access = self.banked[name].access_bytes
        record = BankRecord(
            name,
            stage.path,
            repeats,
            bursts=sum(-(-t.size_bytes // access) * times[row] for row, t in mine.items()),
            simulated=stream.bursts,
            row_hits=stream.row_hits,
            row_misses=stream.row_misses,
            row_conflicts=stream.row_conflicts,
            activates=stream.activates,
            refreshes=stream.refreshes,
            moved=moved,
        )
        self.records.append(record)
        return record


def _kinds(mine: Mapping[int, Transfer]) -> dict[int, int]:
    """Number of the kind of each transfer, by row."""
    number: dict[object, int] = {}
    return {
        row: number.setdefault((t.tensor, t.write, t.pattern), len(number))
        for row, t in mine.items()
    }


def _form(tree: Tree, place: Mapping[int, int]) -> object:
    """A tree of which only the transfers matter: equal for stages that stream alike."""
    form: list[object] = []
    for node in tree:
        if isinstance(node, Loop):
            body = _form(node.body, place)
            if body:
                form.append((node.n, body))
        else:
            form += [place[row] for row in node.rows if row in place]
    return tuple(form)
