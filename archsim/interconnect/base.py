"""Things that move data: movers between two named memories, and networks between many ends.

What all of them have in common is said here; each kind has a file of its own. What a network does
with messages is in `interconnect.messages`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self

from pydantic import model_validator

from archsim.core.errors import InputError
from archsim.core.registry import Registry
from archsim.core.spec import BytesPerSecond, PjPerBit, PositiveInt, Seconds, Spec, problem
from archsim.energy.table import EnergyTable
from archsim.interconnect.collective_options import CollectiveOptions
from archsim.interconnect.flit_spec import RouterSpec

if TYPE_CHECKING:
    from archsim.interconnect.fabric import Fabric, Ints

FLIT_BITS = 256  # of the router whose area the tables give
BITS = 8  # of a byte
Place = Literal["all"] | tuple[int | tuple[int, ...], ...]


class Port(Protocol):
    """The side of a memory that a mover sees."""

    clock_hz: float

    def transfer_ps(self, size_bytes: int, efficiency: float | None = None) -> int:
        """Time the port is busy with a transfer, at a share of the peak or the memory's own."""
        ...


class LinkSpec(Spec):
    """Fields that every mover has."""

    provenance: dict[str, str] = {}
    """Where each number comes from, by field; `assumed` where there is no source."""


class Link:
    """A mover of the machine."""

    kind: ClassVar[str]
    ACTIONS: ClassVar[tuple[tuple[str, str], ...]]
    Spec: ClassVar[type[LinkSpec]]

    def __init__(self, name: str, spec: Any) -> None:
        self.name = name
        self.spec = spec

    @classmethod
    def example(cls) -> dict[str, Any]:
        """A small valid description."""
        raise NotImplementedError


class TopologySpec(LinkSpec):
    """Fields that every network has."""

    collectives: CollectiveOptions | None = None
    """What collectives cost beside their messages, and which algorithms they use. Default: nothing,
    and the fastest."""

    place: dict[str, Place] = {}
    """Makes it the network on the chip: the nodes of each engine and memory, by its name. A node is
    a number, or its coordinates on a grid; `all` are all of them. Instances of an engine are dealt
    evenly to its nodes, bytes of a memory to its ports or slices. Default: it joins chips."""

    multicast: bool = False
    """On a chip: whether what several instances of an array read at once passes a link once."""

    reduction: bool = False
    """On a chip: whether partial sums of arrays are added where they lie. Else they are read back
    over the network."""

    @model_validator(mode="after")
    def _on_chip(self) -> Self:
        for name in ("multicast", "reduction"):
            if getattr(self, name) and not self.place:
                message = f"{name} is of a network on the chip, and this one joins chips"
                raise problem("E202", message, "place: what sits on which of its nodes")
        return self


class WiredSpec(TopologySpec):
    """Fields of a network whose links are alike."""

    bandwidth: BytesPerSecond
    """Of each link, in each direction."""

    latency: Seconds
    """From a device to a neighbour, router included; where switches lie between devices, from
    device to device, half of it on either link."""

    duplex: Literal["full", "half"] = "full"
    """Whether the two directions of a link have a wire each, or share one."""

    medium: Literal["chip", "package", "board", "cable"] = "board"
    """What links are made of: their energy and area where none is given."""

    energy: PjPerBit | None = None
    """Of each link, router included. Default: the rows of the energy table for the medium."""

    width: PositiveInt = 128
    """Bits of a link in each direction, which is a flit: for the area of routers and for flits
    (default assumed)."""

    router: RouterSpec = RouterSpec()
    """Routers or switches: for area, and for flits."""


class Topology(Link):
    """A network: `devices` end points, joined by links and switches.

    An author gives `devices` and the `ends` of links, all alike and used by ways of fewest hops, or
    a whole `fabric`; energy, area and measures follow.
    """

    ACTIONS = ()
    minimal: ClassVar[bool] = True  # whether routes are of fewest hops
    centred: ClassVar[bool] = False  # whether one switch stands over all devices: the fabric's hub

    @property
    def devices(self) -> int:
        """Number of end points."""
        devices: int = self.spec.devices
        return devices

    def ends(self) -> tuple[int, Ints, Ints]:
        """Number of nodes, devices first, and the two ends of every directed link, [links]."""
        raise NotImplementedError

    def fabric(self, table: EnergyTable | None = None) -> Fabric:
        """Nodes, links and routes as arrays.

        Args:
            table: rows of energy for links that give none themselves; default the table of machines
                that name none.

        Raises:
            InputError: E202 for devices without a way to each other.
        """
        from archsim.interconnect._routes import FewestHops, cut_off
        from archsim.interconnect._wires import wired

        nodes, src, dst = self.ends()
        routes = FewestHops(nodes, src, dst)
        missing = routes.unreached(self.devices)
        if missing:
            raise InputError(f"{self.name}: {cut_off(missing)}", code="E202")
        return wired(self, nodes, src, dst, routes, table=table)

    def bisection_bytes_per_s(self) -> float | None:
        """Least bandwidth, one way, between two halves of the devices; None without closed form."""
        return None

    def link_count(self) -> int | None:
        """Directed links; None without closed form."""
        return None

    def diameter(self) -> int | None:
        """Most links on a way between two devices; None without closed form."""
        return None

    def mean_hops(self) -> float | None:
        """Links from a device to any, itself included, on average; None without closed form."""
        return None

    def energy_pj(self, link_bytes: Ints, table: EnergyTable | None = None) -> float:
        """Energy of so many bytes over each link, [links]."""
        return float((link_bytes * BITS) @ self.fabric(table).pj_per_bit)

    def area_mm2(self, table: EnergyTable) -> float:
        """Area of routers on a chip, else of the interfaces at both ends of every link.

        Switches of a package or board are not counted beyond their interfaces.

        Raises:
            InputError: E108 for a table without such rows.
        """
        spec, fabric = self.spec, self.fabric(table)
        if spec.medium != "chip":
            per_gb_per_s = table.area("phy", spec.medium).mm2
            return per_gb_per_s * float(fabric.bytes_per_s.sum()) / 1e9
        own = fabric.terminals if fabric.nodes == fabric.terminals else 0  # a router's to its node
        ports = fabric.links + own
        held_bytes: float = spec.router.vcs * spec.router.buffer * spec.width / BITS
        logic: float = table.area("router", "port").mm2 * spec.width / FLIT_BITS
        return ports * (logic + held_bytes * table.area("register", "byte").mm2)

    def leakage_w(self, table: EnergyTable) -> float:
        """Static power of that area."""
        return self.area_mm2(table) * table.leakage("logic", "mm2").w


links: Registry[Link] = Registry("archsim.interconnect", Link)
