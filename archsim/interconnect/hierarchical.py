"""A hierarchy: networks whose ends are networks, such as nodes of chips joined by switches."""

from __future__ import annotations

from math import prod
from typing import Any, Literal, Self

from pydantic import model_validator

from archsim.core.spec import PositiveInt, problem
from archsim.energy.table import EnergyTable
from archsim.interconnect._edges import misplaced
from archsim.interconnect._joined import join
from archsim.interconnect._levels import Level, network
from archsim.interconnect.base import Topology, TopologySpec
from archsim.interconnect.fabric import Fabric


class Hierarchical(Topology):
    """Groups of devices, groups of those groups, and a network at each level."""

    kind = "hierarchical"
    minimal = False

    class Spec(TopologySpec):
        """The levels and how they meet."""

        kind: Literal["hierarchical"] = "hierarchical"

        levels: tuple[Level, ...]
        """Networks, the innermost first: the devices of each are the groups below it."""

        uplinks: tuple[PositiveInt | Literal["switch"], ...] = ()
        """By level from the second: ports of each group below to the network. They sit on as many
        devices, evenly spaced, with a copy of the network for each; or on the `switch` below.
        Default: a port on every device."""

        @model_validator(mode="after")
        def _fit(self) -> Self:
            if len(self.levels) < 2:
                raise problem("E202", "a hierarchical network has two levels or more")
            if self.uplinks and len(self.uplinks) != len(self.levels) - 1:
                raise problem(
                    "E202",
                    f"uplinks has {len(self.uplinks)} entries for {len(self.levels)} levels",
                    f"one for each level from the second: {len(self.levels) - 1}",
                )
            if any(level.collectives for level in self.levels):
                message = "collectives of a level have no effect: a collective uses all levels"
                raise problem("E202", message, "give them beside `levels`")
            if any(level.place for level in self.levels):
                message = "place of a level has no effect: nodes are those of all levels"
                raise problem("E202", message, "give it beside `levels`")
            _check_ports(self.levels, self.uplinks)
            return self

    spec: Spec

    def __init__(self, name: str, spec: Any) -> None:
        super().__init__(name, spec)
        self.levels = tuple(network(name, level) for level in spec.levels)

    @classmethod
    def example(cls) -> dict[str, Any]:
        """Two nodes of eight devices, with a port each to the network between them."""
        return {
            "kind": cls.kind,
            "levels": [
                {"kind": "switch", "devices": 8, "bandwidth": "450 GB/s", "latency": "0.8 us"},
                {
                    "kind": "switch", "devices": 2, "bandwidth": "50 GB/s", "latency": "2 us",
                    "medium": "cable",
                },
            ],
        }  # fmt: skip

    @property
    def devices(self) -> int:
        """Product of those of the levels."""
        return prod(level.devices for level in self.levels)

    @property
    def ports(self) -> tuple[int | None, ...]:
        """By level from the second: ports of each group below; None where they sit on a switch."""
        inside, found = 1, []
        for number, level in enumerate(self.levels[:-1]):
            inside *= level.devices
            given = self.spec.uplinks[number] if self.spec.uplinks else inside
            found.append(None if given == "switch" else int(given))
        return tuple(found)

    def fabric(self, table: EnergyTable | None = None) -> Fabric:
        """The innermost networks group by group, then those between them, level by level.

        Device i of group g has number g times the devices of a group, plus i.
        """
        whole = self.levels[0].fabric(table)
        for level, ports in zip(self.levels[1:], self.ports, strict=True):
            whole = join(whole, level.fabric(table), ports, self.kind)
        return whole

    def bisection_bytes_per_s(self) -> float | None:
        """That of all copies of the outermost network; None where a level below may be narrower."""
        one = self.levels[-1].bisection_bytes_per_s()
        if one is None or self.levels[-1].devices % 2:
            return None
        whole, groups = (self.ports[-1] or 1) * one, self._copies()
        inner = [level.bisection_bytes_per_s() for level in self.levels[:-1]]
        wide = all(x is not None and n * x >= whole for n, x in zip(groups, inner, strict=False))
        return whole if wide else None

    def link_count(self) -> int | None:
        """Those of all copies of the networks of all levels; None where one has no closed form."""
        counts = [level.link_count() for level in self.levels]
        if None in counts:
            return None
        return sum(n * c for n, c in zip(self._copies(), counts, strict=True) if c is not None)

    def area_mm2(self, table: EnergyTable) -> float:
        """Sum over all copies of the networks of all levels.

        Raises:
            InputError: E108 for a table without such rows.
        """
        return sum(
            copies * level.area_mm2(table)
            for level, copies in zip(self.levels, self._copies(), strict=True)
        )

    def _copies(self) -> tuple[int, ...]:
        """Networks of each level."""
        above = [prod(x.devices for x in self.levels[n + 1 :]) for n in range(len(self.levels))]
        planes = (1, *(ports or 1 for ports in self.ports))
        return tuple(a * p for a, p in zip(above, planes, strict=True))


def _check_ports(levels: tuple[Level, ...], uplinks: tuple[int | str, ...]) -> None:
    """Refuse ports on devices or switches that groups do not have.

    Raises:
        ValidationError: E202 at the entry.
    """
    inside, one = 1, True
    for number, (level, given) in enumerate(zip(levels, uplinks, strict=False)):
        below = network("", level)
        inside *= below.devices
        if given == "switch":
            if not (one and below.centred):
                message = f"uplinks[{number}] is switch, and no one switch stands over the group"
                help_ = f"1 to {inside} devices with a port"
                raise misplaced(("uplinks", number), "E202", message, help_)
        elif int(given) > inside:
            message = f"uplinks[{number}] is {given} ports for a group of {inside} devices"
            raise misplaced(("uplinks", number), "E202", message, f"1 to {inside}, or switch")
        one = given in ("switch", 1)
