"""From the description to live objects: memories, engines and movers, wired by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, Any

from archsim.components.base import Engine, MacEngine, engines
from archsim.core.errors import InputError
from archsim.energy.table import EnergyTable, load_table
from archsim.interconnect.base import Link, links
from archsim.interconnect.dma import Dma
from archsim.ir.parallel import ParallelPlan
from archsim.memory.base import Memory, memories
from archsim.system.binding import bind
from archsim.system.build_names import dangling, names_exist
from archsim.system.kinds_check import check_kinds
from archsim.system.network_port import NetworkPort, port_between
from archsim.system.on_chip import OnChip
from archsim.system.on_chip_build import chip_network

if TYPE_CHECKING:
    from archsim.system.dispatch import Dispatcher

# classes that a selector may name for several op classes at once
FAMILIES = {
    "attention": ("attention_score", "softmax", "attention_value"),
    "linear": ("qkv_proj", "out_proj", "ffn", "lm_head"),
    "elementwise": ("residual", "activation", "rotary", "elementwise"),
}


@dataclass(frozen=True)
class Machine:
    """A machine ready to be mapped on: components by name, the energy table, the spec."""

    spec: Any
    memories: dict[str, Memory]
    engines: dict[str, Engine]
    links: dict[str, Link]
    table: EnergyTable
    port: NetworkPort | None = None  # to the network between chips, where there is one
    noc: OnChip | None = None  # the network on the chip, where one is described
    dispatcher: Dispatcher | None = None  # where the ops of its graph run, once it has one

    @property
    def devices(self) -> int:
        """Chips of this kind: 1 without a network between them."""
        return self.port.devices if self.port else 1

    def joined(self, plan: ParallelPlan) -> Machine:
        """The machine whose port knows who exchanges with whom."""
        assert self.port is not None
        return replace(self, port=NetworkPort(self.port.link, self.table, plan, self.port.fabric))

    @cached_property
    def sram(self) -> Memory:
        """The on-chip memory that operands lie in."""
        return next(m for _, m in sorted(self.memories.items()) if not m.off_chip)

    @cached_property
    def tiers(self) -> tuple[Memory, ...]:
        """The memories behind the chip, the fastest first, as their own DMAs let them be."""
        return _tiers(self.memories, self.links)

    @property
    def dram(self) -> Memory:
        """The nearest memory behind the chip: the fastest one."""
        return self.tiers[0]

    @cached_property
    def dram_bytes_per_s(self) -> float:
        """Bandwidth that a long transfer from that gets: the network on the chip may be less."""
        noc, rate = self.noc, self.dram.bytes_per_s
        return (
            min(rate, noc.flow(noc.key(self.dram.name, self.sram.name)).bytes_per_s)
            if noc
            else rate
        )

    @cached_property
    def dma(self) -> Dma:
        """The mover between that and the chip."""
        found = _mover(self.links, self.dram.name, self.sram.name)
        return found or next(x for _, x in sorted(self.links.items()) if isinstance(x, Dma))

    def bytes_per_s_from(self, memory: str) -> float:
        """Peak rate at which data of a memory come nearer to the chip."""
        return _rate(self.memories[memory], self.links)

    def mover(self, source: str, target: str) -> Dma:
        """The DMA between two memories, whichever way it was described."""
        return self._movers[frozenset((source, target))]

    @cached_property
    def _movers(self) -> dict[frozenset[str], Dma]:
        """The first DMA, by name, between any two memories."""
        found: dict[frozenset[str], Dma] = {}
        for _, link in sorted(self.links.items()):
            if isinstance(link, Dma):
                found.setdefault(frozenset((link.spec.from_, link.spec.to)), link)
        return found

    def route(self, memory: str) -> tuple[str, ...]:
        """Memories from which data of one are read on their way to the chip, itself first.

        Only itself where a DMA joins it to the chip.
        """
        if frozenset((memory, self.sram.name)) in self._movers:
            return (memory,)
        return self.way_back(memory)

    def way_back(self, memory: str) -> tuple[str, ...]:
        """A memory and those between it and the chip: results pass them on their way out."""
        if memory == self.dram.name:
            return (memory,)
        place = [m.name for m in self.tiers].index(memory)
        nearer = next(
            m.name for m in self.tiers[:place] if frozenset((memory, m.name)) in self._movers
        )
        return (memory, *self.way_back(nearer))

    @property
    def mac_engines(self) -> tuple[MacEngine, ...]:
        """The engines that multiply and accumulate, by name."""
        return tuple(e for _, e in sorted(self.engines.items()) if isinstance(e, MacEngine))

    def area_mm2(self) -> dict[str, float]:
        """Silicon area by component."""
        return {name: part.area_mm2(self.table) for name, part in sorted(self._parts.items())}

    def leakage_w(self) -> dict[str, float]:
        """Static power by component."""
        return {name: part.leakage_w(self.table) for name, part in sorted(self._parts.items())}

    @property
    def _parts(self) -> dict[str, Engine | Memory | OnChip]:
        """What takes room on the chip."""
        noc = {self.noc.name: self.noc} if self.noc else {}
        return {**self.engines, **self.memories, **noc}


def selects(ops: str | Sequence[str], path: str, op_class: str) -> bool:
    """True when a selector (class, family or glob on the path) covers an op."""
    for word in [ops] if isinstance(ops, str) else ops:
        if word in ("*", op_class) or op_class in FAMILIES.get(word, ()):
            return True
        if fnmatchcase(path, word) or ("@" in path and fnmatchcase(_unsplit(path), word)):
            return True
    return False


def _unsplit(path: str) -> str:
    """The path of an op of which another is a part: parts bear their engine's name behind it."""
    block, slash, op = path.rpartition("/")
    return f"{block}{slash}{op.partition('@')[0]}"


def build(spec: Any) -> Machine:
    """Live components of a description.

    Raises:
        InputError: E201 for a name that does not exist, E202 where parts are missing.
    """
    clocks = spec.clocks

    def hertz(owner: str, clock: str) -> float:
        if clock not in clocks:
            raise dangling(f"{owner}.clock", "clock", clock, clocks)
        if clocks[clock] < 1:
            raise InputError(
                f"clocks.{clock} is slower than 1 Hz",
                code="E107",
                help="MHz is mega, mHz is milli",
                details={"path": f"clocks.{clock}"},
            )
        return float(clocks[clock])

    first = min(clocks, default="")
    mems = {
        name: memories.get(s.kind)(name, s, hertz(f"memory.{name}", getattr(s, "clock", first)))
        for name, s in spec.memory.items()
    }
    units = {
        name: engines.get(s.kind)(name, s, hertz(f"engines.{name}", s.clock))
        for name, s in spec.engines.items()
    }
    movers = {name: links.get(s.kind)(name, s) for name, s in spec.interconnect.items()}
    _need(mems)
    names_exist(spec, mems, units, movers)
    _join(mems, movers)
    table = _table(spec)
    bind(units, mems, table)
    noc, port = chip_network(movers, mems, units, table), port_between(movers, table)
    check_kinds(spec, units, port)
    return Machine(spec, mems, units, movers, table, port, noc)


def _table(spec: Any) -> EnergyTable:
    """The energy table that a description names, with its own rows in place of the table's."""
    try:
        table = load_table(spec.energy.table)
    except InputError as error:
        error.details["path"] = "energy.table"
        raise
    chosen = spec.energy
    if chosen.node_nm:
        table = table.at(chosen.node_nm)
    return table.with_overrides(chosen.overrides, chosen.areas, chosen.leakages)


def _need(mems: dict[str, Memory]) -> None:
    """One memory on chip, for operands, and at least one behind it that holds the model."""
    for off, what in ((True, "dram"), (False, "sram")):
        found = sorted(name for name, m in mems.items() if m.off_chip is off)
        if not found or (len(found) > 1 and not off):
            having = f"has {len(found)} {what}s ({', '.join(found)})" if found else f"has no {what}"
            raise InputError(
                f"memory {having}: a machine has one on chip and drams that hold the model",
                code="E202",
                details={"path": "memory"},
            )


def _tiers(mems: Mapping[str, Memory], movers: Mapping[str, Link]) -> tuple[Memory, ...]:
    off = [m for _, m in sorted(mems.items()) if m.off_chip]
    return tuple(sorted(off, key=lambda m: -_rate(m, movers)))


def _rate(memory: Memory, movers: Mapping[str, Link]) -> float:
    """Bytes a second that leave a memory: its own, or what the fastest of its DMAs is given."""
    dmas = [x.spec for x in movers.values() if isinstance(x, Dma)]
    given = [x.bandwidth for x in dmas if x.from_ == memory.name and x.bandwidth is not None]
    most = max((x.bytes_per_s(memory.clock_hz) for x in given), default=float("inf"))
    return float(min(memory.peak_bytes_per_s, most))


def _mover(movers: Mapping[str, Link], one: str, other: str) -> Dma | None:
    """The first DMA, by name, whose ends are these two."""
    for _, link in sorted(movers.items()):
        if isinstance(link, Dma) and {link.spec.from_, link.spec.to} == {one, other}:
            return link
    return None


def _join(mems: Mapping[str, Memory], movers: dict[str, Link]) -> None:
    """Add the DMAs that the description leaves out: nearest memory to chip, each to the one nearer.

    They keep up with the memories they join; a description that gives any keeps its own.
    """
    tiers = _tiers(mems, movers)
    chip = min(n for n, m in mems.items() if not m.off_chip)
    alone = len(tiers) == 1 and any(isinstance(x, Dma) for x in movers.values())
    if not alone and _mover(movers, tiers[0].name, chip) is None:
        _add(movers, "dma", tiers[0].name, chip)
    for i, tier in enumerate(tiers[1:], 1):
        if not any(_mover(movers, tier.name, nearer.name) for nearer in tiers[:i]):
            _add(movers, f"{tier.name}_dma", tier.name, tiers[i - 1].name)


def _add(movers: dict[str, Link], name: str, source: str, target: str) -> None:
    while name in movers:
        name += "_"
    movers[name] = Dma(name, Dma.Spec.model_validate({"from": source, "to": target}))
