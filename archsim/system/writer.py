"""What stage writers share: units and channels by name, loads, stores, nests of alike tiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil

from archsim.core.units import PS_PER_S
from archsim.memory.layout import Pattern
from archsim.sim.program import Leaf, Loop
from archsim.system.homes import Lane
from archsim.system.pim_laid import read_share
from archsim.system.place import Plan, Stage
from archsim.system.rows import LOAD, STORE, Book, Draft
from archsim.system.split_lanes import own_lanes
from archsim.system.staging import bring, direct_home, send
from archsim.system.transfers import Transfer


@dataclass
class Node:
    """A run of alike tiles: a body of nodes, or the index of a leaf."""

    count: int
    body: list[Node] = field(default_factory=list)
    leaf: int = -1


@dataclass
class Part:
    """The rows of one stage, with the first row of each unit and the one that ends the stage."""

    tree: list[Loop | Leaf]
    first: dict[int, Draft]
    last: dict[int, Draft]
    finisher: int
    staged: set[int] = field(default_factory=set)  # channels that bring what lies further away
    drains: set[int] = field(default_factory=set)  # units that must end too, beside the finisher


def duration_ps(cycles: int, clock_hz: float) -> int:
    """Picoseconds of integer cycles, rounded up once."""
    return -(-cycles * PS_PER_S // int(clock_hz))


class Writer:
    """Writes the rows of one stage into the book."""

    def __init__(self, book: Book, plan: Plan, stage: Stage, index: int) -> None:
        self.book, self.plan, self.stage, self.index = book, plan, stage, index
        self.machine = plan.machine
        self.graph = plan.graph
        self.part = Part([], {}, {}, -1)
        self.needs: dict[int, set[str]] = {}  # tensors each unit reads: it waits for their writers
        self.held: list[tuple[int, int]] = []  # (unit, channel) given back at the stage's end
        self.lanes: set[Lane] = set()  # lanes between memories that this stage uses
        self.tickets: list[tuple[Lane, int]] = []  # units whose first row waits for room in one
        # channels whose depth is known when the stage is written: lane, bytes of the largest tile
        self.loose: dict[int, tuple[Lane, int]] = {}
        self.case: int | None = None  # ragged case whose rows are written, where they are apart
        self.staged_bytes: dict[Lane, int] | None = None  # of a run of the stage
        self.shared_lanes: set[int] = set()  # units whose timeline sub-batches share
        self._channels: dict[str, int] = {}

    def write(self) -> Part:
        """Write the stage."""
        raise NotImplementedError

    def unit(self, owner: str, verb: str) -> int:
        """A loader, storer or compute unit of an engine."""
        if verb == "compute":
            name, role, timeline = own_lanes(self.plan, self.stage, owner)
            unit = self.book.unit(name, role, timeline)
            if timeline:
                self.shared_lanes.add(unit)
            return unit
        role = STORE if verb == "store" else LOAD
        return self.book.unit(f"{owner}.{verb}", role, self.machine.dram.name)

    def channel(self, name: str, producer: int, consumer: int, depth: int) -> int:
        """A channel of this stage, made at first mention."""
        if name not in self._channels:
            full = f"{self.stage.path}:{name}"
            self._channels[name] = self.book.channel(full, producer, consumer, depth)
        return self._channels[name]

    def draft(self, unit: int, dur_ps: int = 0, lag_ps: int = 0) -> Draft:
        """A row of this stage; remembers the first and the last of each unit."""
        least = 1 if unit in self.shared_lanes else 0  # a turn on a shared timeline takes time
        row = Draft(unit=unit, op=self.index, dur_ps=max(least, dur_ps), lag_ps=lag_ps)
        self.part.first.setdefault(unit, row)
        self.part.last[unit] = row
        return row

    def need(self, unit: int, tensor: str) -> None:
        """Remember that a unit reads a tensor of the graph."""
        self.needs.setdefault(unit, set()).add(tensor)

    def load(
        self,
        unit: int,
        channel: int,
        tensor: str,
        operand: str,
        size_bytes: int,
        efficiency: float | None = None,
        *,
        again: bool = False,
        pattern: Pattern | None = None,
    ) -> Draft:
        """Bring a tile of a tensor in from DRAM.

        `efficiency` is the share of the peak bandwidth that it reaches; default: the memory's own.
        `again`: the tile was read before in this stage. `pattern`: where its tiles lie.
        """
        role = self.role(tensor)
        home = direct_home(self.plan, tensor)
        if home is not None and operand != "partial":
            return self._load_direct(home, unit, channel, tensor, f"{role}.{operand}", size_bytes)
        self.need(unit, tensor)
        dma, dram = self.machine.dma, self.machine.dram
        share = read_share(self.plan, tensor)
        held_ps = ceil(dma.transfer_ps(dram, size_bytes, efficiency) / share)
        row = self.draft(unit, held_ps, dram.latency_ps)
        if efficiency is None:
            row.transfer = Transfer(dram.name, tensor, size_bytes, False, pattern, dma.name, share)
        row.reserve.append(channel)
        row.put.append(channel)
        row.counts = {
            f"dram.read.{role}.{operand}": size_bytes,
            "sram.write": size_bytes,
            "dma.transfer": size_bytes,
        }
        if operand != "partial":
            bring(self, row, tensor, size_bytes, again)
        return row

    def _load_direct(
        self, home: str, unit: int, channel: int, tensor: str, what: str, size_bytes: int
    ) -> Draft:
        """Bring a tile in from a memory that has a DMA of its own to the chip."""
        memory = self.machine.memories[home]
        dma = self.machine.mover(home, self.machine.sram.name)
        unit = self.book.unit(f"{self.book.name(unit)}.{home}", LOAD, home)
        self.book.rehome(channel, unit)
        self.need(unit, tensor)
        row = self.draft(unit, dma.transfer_ps(memory, size_bytes), memory.latency_ps)
        row.transfer = Transfer(home, tensor, size_bytes, False, mover=dma.name)
        row.reserve.append(channel)
        row.put.append(channel)
        row.counts = {
            f"tier.{home}.read.{what}": size_bytes,
            "sram.write": size_bytes,
            f"hop.{dma.name}.taken": size_bytes,
            f"hop.{dma.name}.given": size_bytes,
        }
        return row

    def store(
        self,
        unit: int,
        channel: int,
        tensor: str,
        operand: str,
        size_bytes: int,
        efficiency: float | None = None,
        *,
        pattern: Pattern | None = None,
    ) -> Draft:
        """Take a tile of a tensor out to DRAM; `efficiency` and `pattern` as in `load`."""
        dma, dram, role = self.machine.dma, self.machine.dram, self.role(tensor)
        row = self.draft(unit, dma.transfer_ps(dram, size_bytes, efficiency))
        if efficiency is None:
            row.transfer = Transfer(dram.name, tensor, size_bytes, True, pattern, dma.name)
        row.take.append(channel)
        row.free.append(channel)
        row.counts = {
            f"dram.write.{role}.{operand}": size_bytes,
            "sram.read": size_bytes,
            "dma.transfer": size_bytes,
        }
        if operand != "partial":
            send(self, row, role, size_bytes)
        return row

    def role(self, tensor: str) -> str:
        """Role of a tensor, as reports name it."""
        return self.graph.tensors[tensor].role.value

    def spilled(self, tensor: str) -> bool:
        """True when a tensor passes through DRAM."""
        return tensor not in self.plan.resident

    def tree(self, nest: list[Node], leaf: Callable[[int], Leaf]) -> list[Loop | Leaf]:
        """The loops of a nest with the rows of its leaves, written in execution order."""
        out: list[Loop | Leaf] = []
        for node in nest:
            body: list[Loop | Leaf] = (
                [leaf(node.leaf)] if node.leaf >= 0 else self.tree(node.body, leaf)
            )
            if node.count > 1:
                out.append(Loop(node.count, tuple(body), name=self.stage.path))
            else:
                out.extend(body)
        return out

    def release(self) -> None:
        """Give back, in each unit's last row, what was held over the whole stage."""
        for unit, channel in self.held:
            self.part.last[unit].free.append(channel)
