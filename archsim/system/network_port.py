"""A device's port to the network between chips: the engine of collectives, and what they cost.

How rounds of an algorithm use links is in `interconnect.collectives`; which devices form a group is
said by the parallel plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from archsim.components.base import Engine, EngineSpec
from archsim.core.errors import InputError, Unsupported
from archsim.core.units import PS_PER_S
from archsim.interconnect.base import Topology
from archsim.ir.collective import Collective
from archsim.ir.collective_mapping import CollectiveMapping
from archsim.ir.op import Kind, Op
from archsim.ir.parallel import ParallelPlan
from archsim.ir.record import Price
from archsim.system.link_source import source_of

if TYPE_CHECKING:
    from archsim.energy.table import EnergyTable
    from archsim.interconnect.base import Link
    from archsim.interconnect.fabric import Fabric
    from archsim.system.build import Machine

BITS = 8

Key = tuple[Collective, tuple[int, ...]]  # a collective, and who sends where it is a message


class NetworkPort(Engine):
    """Takes part in collectives, one at a time: two at once would use the same links twice.

    Args:
        link: the network.
        table: rows of energy for links that give none.
        plan: who is in which group; None while nothing was divided.
        fabric: the network as it is now; default: as it was described.

    Attributes:
        senders: devices whose messages are on their way together; all where empty.
    """

    kind = "network"
    KINDS = frozenset({Kind.COLLECTIVE})
    ACTIONS: ClassVar[tuple[tuple[str, str], ...]] = ()
    Spec = EngineSpec

    def __init__(
        self,
        link: Topology,
        table: EnergyTable,
        plan: ParallelPlan | None = None,
        fabric: Fabric | None = None,
    ) -> None:
        super().__init__(link.name, EngineSpec(), 0.0)
        self.link, self.table, self.plan, self._fabric = link, table, plan, fabric
        self.senders: tuple[int, ...] = ()
        self._found: dict[Key, CollectiveMapping] = {}
        self._moved: dict[Key, Any] = {}  # bytes over each link, [links]

    def sending(self, devices: tuple[int, ...]) -> NetworkPort:
        """The port of some devices, such as those of a stage: others send when their turn is."""
        port = copy(self)
        port.senders = devices
        return port

    @cached_property
    def fabric(self) -> Fabric:
        """Links and routes of the network."""
        return self._fabric or self.link.fabric(self.table)

    @property
    def devices(self) -> int:
        """Chips on the network."""
        return self.link.devices

    def area_mm2(self, table: EnergyTable) -> float:
        """Of the whole network, in mm2."""
        return self.link.area_mm2(table)

    def leakage_w(self, table: EnergyTable) -> float:
        """Of the whole network, in W."""
        return self.link.leakage_w(table)

    @cached_property
    def bytes_per_s(self) -> float:
        """Most that any one device can send at once."""
        fabric = self.fabric
        ends = fabric.src < fabric.terminals
        out = np.bincount(fabric.src[ends], fabric.bytes_per_s[ends], minlength=fabric.terminals)
        return float(out.max())

    def least_bytes(self, collective: Collective) -> int:
        """Bytes that the busiest device sends, or gets, at least on this network."""
        if collective.pattern == "all_reduce" and self.fabric.reduces and collective.devices > 1:
            return collective.size_bytes  # the switch adds up
        return collective.lower_bound_bytes()

    def least_sent_bytes(self, collective: Collective) -> int:
        """Bytes that all devices of an axis send at least; of a message, those that send it."""
        if self.plan is None or collective.devices < 2:
            return 0
        if collective.pattern == "send" and self.senders:
            return len(self.senders) * collective.size_bytes
        groups = len(self.plan.groups(collective.axis))
        if collective.sent_bytes:
            n = collective.devices
            return groups * (sum(collective.sent_bytes) - sum(collective.sent_bytes[:: n + 1]))
        n, size = collective.devices, collective.size_bytes
        both = n if self.fabric.reduces else 2 * (n - 1)  # a switch adds up what each sends once
        whole = {"all_reduce": both, "send": n if n > 2 else 1, "receive": 0}
        if collective.pattern == "gather":
            return groups * ((n - 1) * size // n)
        return groups * whole.get(collective.pattern, n - 1) * size

    def least_ps(self, collective: Collective) -> int:
        """Time for those at the bandwidth of a device, rounded down."""
        return int(self.least_bytes(collective) * PS_PER_S / self.bytes_per_s)

    def exchanged(self, collective: Collective) -> CollectiveMapping:
        """How a collective is carried out by all groups of its axis at once.

        Raises:
            InputError: for an algorithm that does not fit the network.
        """
        key = self._key(collective)
        if key not in self._found:
            self._found[key] = self._exchanged(collective)
        return self._found[key]

    def _key(self, collective: Collective) -> Key:
        return collective, self.senders if collective.pattern == "send" else ()

    def moved_bytes(self, collective: Collective) -> Any:
        """Bytes over each link in one exchange of all groups, [links]."""
        self.exchanged(collective)
        return self._moved.get(self._key(collective), 0)

    def moved_by(self, how: CollectiveMapping, devices: tuple[int, ...]) -> Any:
        """Bytes over each link on account of some devices, [links].

        Args:
            how: the exchange of all groups.
            devices: of a share, whose groups alone exchange, such as those of a stage.
        """
        from archsim.interconnect.collectives import exchange

        what, mine = how.collective, set(devices)
        whole = self.moved_bytes(what)
        if what.pattern == "send" or len(mine) == self.devices or not how.algorithm:
            return whole
        assert self.plan is not None
        every = self.plan.groups(what.axis)
        groups = tuple(group for group in every if not mine.isdisjoint(group))
        if len(groups) < len(every):
            if (what, devices) not in self._moved:
                same = replace(what, algorithm=how.algorithm)
                options = getattr(self.link.spec, "collectives", None)
                found = exchange(self.fabric, same, groups, options)
                self._moved[what, devices] = found.link_bytes
            whole = self._moved[what, devices]
        return len(mine) / (len(groups) * len(groups[0])) * np.asarray(whole)

    def _exchanged(self, collective: Collective) -> CollectiveMapping:
        from archsim.interconnect.collectives import exchange, neighbours

        if collective.devices < 2 or self.plan is None:
            return CollectiveMapping(self.name, collective, "", "nobody to exchange with", 0)
        groups = self.plan.groups(collective.axis)
        if collective.pattern == "send" and self.senders:
            groups = neighbours(groups, collective.peer or 1, self.senders)
        options = getattr(self.link.spec, "collectives", None)
        found = exchange(self.fabric, collective, groups, options)
        moved = np.asarray(found.link_bytes, dtype=np.int64)
        self._moved[self._key(collective)] = moved
        return CollectiveMapping(
            network=self.name,
            collective=collective,
            algorithm="" if found.algorithm == "none" else found.algorithm,
            reason=found.reason,
            time_ps=int(found.time_ps),
            latency_ps=int(found.overhead_ps + found.latency_ps),
            transfer_ps=int(found.transfer_ps),
            least_ps=self.least_ps(collective),
            counts=self._counts(moved) | {f"sent.{self.name}": int(found.sent_bytes)},
        )

    @cached_property
    def alike(self) -> dict[str, Any]:
        """Links of a level that cost the same, by the key under which their bytes count."""
        fabric, found = self.fabric, {}
        pairs = sorted({*zip(fabric.level.tolist(), fabric.pj_per_bit.tolist(), strict=True)})
        levels = [level for level, _ in pairs]
        for i, (level, pj) in enumerate(pairs):
            nth = i - levels.index(level)
            suffix = f".{nth}" if levels.count(level) > 1 else ""
            found[f"link.{self.name}.{level}{suffix}"] = np.flatnonzero(
                (fabric.level == level) & (fabric.pj_per_bit == pj)
            )
        return found

    def _counts(self, moved: Any) -> dict[str, int]:
        """Bytes by kind of link."""
        sizes = {key: int(moved[alike].sum()) for key, alike in self.alike.items()}
        return {key: size for key, size in sizes.items() if size}

    def price(self, key: str) -> Price:
        """Energy of a byte over one link, its router or switch included."""
        first = self.alike[key][0]
        pj = BITS * float(self.fabric.pj_per_bit[first])
        said = source_of(self.link, self.table, int(self.fabric.level[first]))
        return Price(self.name, pj, *said)


def port_of(machine: Machine, path: str, op: Op) -> Engine | None:
    """The engine of a collective; None for all other ops.

    Raises:
        Unsupported: E302 on a machine of one chip.
    """
    if op.kind is not Kind.COLLECTIVE:
        return None
    if machine.port is None:
        raise Unsupported(
            f"{path} is an exchange between devices, and {machine.spec.name} is one device",
            code="E302",
            help="add a network between chips under interconnect: see `archsim list links`",
        )
    return machine.port


def port_between(movers: Mapping[str, Link], table: EnergyTable) -> NetworkPort | None:
    """The port to the network that joins chips, if the machine has one.

    Raises:
        InputError: E202 for two of them, and for one that joins nothing.
    """
    found = [x for _, x in sorted(movers.items()) if isinstance(x, Topology) and not on_chip(x)]
    if len(found) > 1:
        names = ", ".join(link.name for link in found)
        raise InputError(
            f"interconnect has {len(found)} networks between chips: {names}",
            code="E202",
            help="levels of one are written as one network of kind hierarchical",
            details={"path": f"interconnect.{found[1].name}"},
        )
    if not found:
        return None
    if found[0].devices < 2:
        raise InputError(
            f"interconnect.{found[0].name} joins {found[0].devices} device, and a network joins "
            "two or more",
            code="E202",
            help="leave the network out for a machine of one device",
            details={"path": f"interconnect.{found[0].name}"},
        )
    return NetworkPort(found[0], table)


def on_chip(link: Topology) -> bool:
    """True for a network that joins parts of one chip: it says which part sits where."""
    return bool(getattr(link.spec, "place", None))
