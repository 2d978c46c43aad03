"""The network on a chip: what sits on its nodes, and what steps ask of its links.

What a step moves is told from what it counts: bytes between a memory and the chip, bytes between an
engine and the SRAM. A step lasts at least as long as the fullest link needs for its bytes; where
all that a stage moves takes a link longer than any of its ports and engines works, the longest of
those goes on as long as the link. Stages that overlap do not wait for each other's bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from archsim.components.base import Engine, MacEngine
from archsim.core.units import PS_PER_S
from archsim.interconnect.base import BITS, Topology
from archsim.interconnect.floorplan import Flow, Nodes, flow, remembering
from archsim.ir.problem import Problem
from archsim.ir.record import Price
from archsim.ir.target import Cost, Ints, Tiles
from archsim.memory.base import Memory
from archsim.system.link_source import source_of

if TYPE_CHECKING:
    from archsim.energy.table import EnergyTable
    from archsim.interconnect.fabric import Fabric

FLOW, BOUND = "flow", "bound"  # first word of counts: bytes of a flow; steps that the links bound
TO, TIMES = ">", "*"
Crossing = dict[str, int]  # bytes by flow


class OnChip:
    """The network of one chip.

    Args:
        link: the network.
        table: rows of energy for links that give none.
        place: nodes of each part, by its name.
        receivers: the node of each instance of an engine, or of each port or slice of a memory.
        memories, engines: of the machine.
        movers: the two memories of each DMA, by its name.
    """

    def __init__(
        self,
        link: Topology,
        table: EnergyTable,
        place: Mapping[str, Nodes],
        receivers: Mapping[str, Nodes],
        memories: Mapping[str, Memory],
        engines: Mapping[str, Engine],
        movers: Mapping[str, tuple[str, str]],
    ) -> None:
        self.link, self.table, self.place, self.receivers = link, table, place, receivers
        self.movers, self.engines = movers, frozenset(engines)
        self.sram = min(name for name, m in memories.items() if not m.off_chip)
        off = sorted((-m.peak_bytes_per_s, name) for name, m in memories.items() if m.off_chip)
        self.dram = off[0][1]
        self._flows: dict[str, Flow] = {}
        self._alike: dict[tuple[Nodes, Nodes, int], Flow] = {}
        self._columns: dict[tuple[str, ...], Any] = {}
        self._reached: dict[str, Flow] = {}

    @property
    def name(self) -> str:
        """Of the network."""
        return self.link.name

    @cached_property
    def fabric(self) -> Fabric:
        """Links and routes."""
        return remembering(self.link.fabric(self.table))

    def key(self, source: str, target: str, together: int = 1) -> str:
        """What bytes of a flow count under."""
        often = f"{TIMES}{together}" if together > 1 else ""
        return f"{FLOW}.{self.name}.{source}{TO}{target}{often}"

    def flow(self, key: str, *, routers: bool = False) -> Flow:
        """The flow of a key; with `routers`, at the share of links that they reach."""
        if key not in self._flows:
            ends, _, often = key.removeprefix(f"{FLOW}.{self.name}.").partition(TIMES)
            source, _, target = ends.partition(TO)
            ways = self.receivers[source], self.receivers[target], int(often or 1)
            if ways not in self._alike:
                self._alike[ways] = flow(self.fabric, *ways)
            self._flows[key] = self._alike[ways]
        if not routers:
            return self._flows[key]
        if key not in self._reached:
            from archsim.system.on_chip_routers import reached

            alone = self._flows[key]
            share = reached(self.link, alone.sources, alone.targets)
            self._reached[key] = replace(alone, reached=share)
        return self._reached[key]

    def price(self, key: str) -> Price:
        """Energy of a byte of a flow, over all links that it passes."""
        rates = self.fabric.pj_per_bit
        share = self.flow(key).share
        pj = BITS * float(share @ rates)
        levels = sorted({*self.fabric.level[share > 0].tolist()}) or [0]
        said = [source_of(self.link, self.table, level) for level in levels]
        rough = next((s for s in said if s[1] == "assumed"), said[0])
        return Price(self.name, pj, "; ".join(dict.fromkeys(s[0] for s in said)), rough[1])

    def area_mm2(self, table: EnergyTable) -> float:
        """Routers and links, in mm2."""
        return self.link.area_mm2(table)

    def leakage_w(self, table: EnergyTable) -> float:
        """Static power of them, in W."""
        return self.link.leakage_w(table)

    def fed(self, cost: Cost, tiles: Tiles, engine: MacEngine, view: Problem) -> Cost:
        """The cost of tiles with what they read and write over the network, and its least time.

        With multicast an operand that is read several times is taken to be read by as many
        instances at once. With reduction, sums that are resumed are not read back.
        """
        count = engine.grid[2]
        partial = view.bits["partial"]
        found: dict[str, Ints] = {}
        for reads, once, bits in (
            (cost.in_reads, tiles.b * tiles.m * tiles.k, float(view.bits["in"])),
            (cost.weight_reads, tiles.b * tiles.k * tiles.n, float(view.weight_bits)),
            (0 * cost.out_reads if self.link.spec.reduction else cost.out_reads, None, partial),
        ):
            size = np.ceil(reads * bits / BITS).astype(np.int64)
            several = np.ones_like(size)
            if once is not None and self.link.spec.multicast:
                several = np.clip(reads // np.maximum(once, 1), 1, count)
            for together in np.unique(several).tolist():
                key = self.key(self.sram, engine.name, together)
                found[key] = found.get(key, 0) + np.where(several == together, size, 0)
        out = self.key(engine.name, self.sram)
        found[out] = np.ceil(cost.out_writes * partial / BITS).astype(np.int64)
        needed = np.ceil(self._longest_ps(found) / PS_PER_S * engine.clock_hz).astype(np.int64)
        bound = (needed > cost.cycles).astype(np.int64)
        cycles = np.maximum(cost.cycles, needed)
        return replace(cost, cycles=cycles, crossing=found | {f"{BOUND}.{self.name}": bound})

    def _longest_ps(self, crossing: Mapping[str, Ints]) -> Any:
        """Time of the fullest link for bytes by flow, of many tiles: links that are ideal."""
        sizes, keys = list(crossing.values()), tuple(crossing)
        if keys not in self._columns:
            self._columns[keys] = _fullest(np.array([self.flow(key).wire_ps for key in keys]).T)
        longest = np.zeros(len(sizes[0]))
        for column in self._columns[keys]:
            link = sum(size * each for size, each in zip(sizes, column, strict=True) if each)
            longest = np.maximum(longest, link)
        return longest

    def crossing(self, unit: str, counts: Mapping[str, int]) -> Crossing:
        """Bytes by flow of a step, from what it counts.

        Args:
            unit: that makes the step.
            counts: of the step.
        """
        told = {key: n for key, n in counts.items() if key.startswith(f"{FLOW}.") and n}
        if told:
            return told
        found: Crossing = {}

        def add(source: str, target: str, size: int) -> None:
            if size and {source, target} <= self.place.keys():
                key = self.key(source, target)
                found[key] = found.get(key, 0) + size

        memory = False
        for name, size in counts.items():
            kind, _, rest = name.partition(".")
            if kind not in ("dram", "tier"):
                continue
            memory = True
            owner, _, rest = rest.partition(".") if kind == "tier" else (self.dram, "", rest)
            if rest.startswith("read."):
                add(owner, self._nearer(owner, name, counts), size)
            elif rest.startswith("write.") and not name.endswith(".staged"):
                add(self.sram, owner, size)
        engine = unit.partition("@")[0].partition(".")[0]
        if not memory and engine in self.engines:
            add(self.sram, engine, counts.get("sram.read", 0))
            add(engine, self.sram, counts.get("sram.write", 0))
        return found

    def _nearer(self, owner: str, name: str, counts: Mapping[str, int]) -> str:
        """Where bytes that are read from a memory go: to the chip, or on between memories."""
        if not name.endswith(".staged"):
            return self.sram
        mover = next(key.split(".")[1] for key in counts if key.startswith("hop."))
        one, other = self.movers[mover]
        return other if one == owner else one

    def wire_ps(self, crossing: Mapping[str, int], *, routers: bool) -> Any:
        """Time of each link's wire for bytes by flow, [links]."""
        total = np.zeros(self.fabric.links)
        for key, size in crossing.items():
            one = self.flow(key, routers=routers)
            total += one.wire_ps * (size / one.reached)
        return total

    def lag_ps(self, crossing: Mapping[str, int]) -> int:
        """Latency before the first byte of what is read: the longest way."""
        ways = [self.flow(key).worst_ps for key in crossing if self._reads(key)]
        return max(ways, default=0)

    def _reads(self, key: str) -> bool:
        """Whether who makes the step waits for the first byte of a flow: it is not sent away."""
        ends = key.removeprefix(f"{FLOW}.{self.name}.").partition(TIMES)[0]
        source, _, target = ends.partition(TO)
        return source not in self.engines and (source != self.sram or target in self.engines)


def _fullest(wires: Any) -> Any:
    """Links, [links, flows], without those of which another has no less of any flow."""
    kept = np.unique(wires, axis=0)
    more = (kept[:, None] <= kept[None]).all(axis=2)
    return kept[more.sum(axis=1) == 1]
