"""A custom network: its links, one by one."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from archsim.core.spec import PositiveInt, problem
from archsim.energy.table import EnergyTable
from archsim.interconnect._edges import Edge, beside, misplaced, refuse_twice
from archsim.interconnect._routes import FewestHops, cut_off
from archsim.interconnect._wires import wired
from archsim.interconnect.base import Topology, WiredSpec
from archsim.interconnect.fabric import Fabric


class Custom(Topology):
    """Devices and switches joined by listed links; messages go the way of fewest hops."""

    kind = "custom"

    class Spec(WiredSpec):
        """Devices and links."""

        kind: Literal["custom"] = "custom"

        devices: PositiveInt
        """Devices: nodes 0 to this number - 1. Nodes beyond them are switches."""

        links: tuple[Edge, ...] = Field(examples=[[{"from": 0, "to": 1}]])
        """Links, both ways unless they say otherwise; two nodes have one at most. Switches are
        numbered on from the devices, without a gap."""

        reduces: bool = False
        """Whether switches add messages up and send copies (in-network reduction)."""

        @model_validator(mode="after")
        def _joins_all(self) -> Self:
            _without_gaps(self)
            refuse_twice(self.links, "links")
            missing = unreached(self)
            if missing:
                help_ = "every device needs a way to every other, and back"
                raise problem("E202", cut_off(missing), help_)
            return self

    spec: Spec

    @classmethod
    def example(cls) -> dict[str, Any]:
        """Three devices in a row, the last two joined by a faster link."""
        return {
            "kind": cls.kind, "devices": 3, "bandwidth": "50 GB/s", "latency": "1 us",
            "links": [{"from": 0, "to": 1}, {"from": 1, "to": 2, "bandwidth": "100 GB/s"}],
        }  # fmt: skip

    def link_count(self) -> int:
        """Those of the list, both ways unless they say otherwise."""
        return sum(1 if edge.one_way else 2 for edge in self.spec.links)

    def fabric(self, table: EnergyTable | None = None) -> Fabric:
        """Links in the order of the list, each followed by its way back."""
        listed = beside(self, self.spec.links, 0)
        nodes = nodes_of(self.spec)
        return wired(
            self, nodes, listed.src, listed.dst, FewestHops(nodes, listed.src, listed.dst),
            listed.latency_ps, listed.bytes_per_s, table=table, reduces=self.spec.reduces,
        )  # fmt: skip


def nodes_of(spec: Any) -> int:
    """Devices and switches of a custom network."""
    last: int = max([spec.devices - 1, *(max(e.from_, e.to) for e in spec.links)])
    return last + 1


def _without_gaps(spec: Any) -> None:
    """Refuse a switch whose number is not the next: most often a slip, and else nodes for nothing.

    Raises:
        ValidationError: E202 at the link.
    """
    joined = {node for edge in spec.links for node in (edge.from_, edge.to)}
    gap = spec.devices
    while gap in joined:
        gap += 1
    for i, edge in enumerate(spec.links):
        for key, node in (("from", edge.from_), ("to", edge.to)):
            if node > gap:
                message = f"links[{i}] names node {node}, and no link names node {gap}"
                help_ = f"devices are 0 to {spec.devices - 1}, and switches follow without a gap"
                raise misplaced(("links", i, key), "E202", message, help_)


def unreached(spec: Any) -> tuple[int, ...]:
    """Devices without a way from device 0 or to it."""
    both = [(e.from_, e.to) for e in spec.links]
    both += [(e.to, e.from_) for e in spec.links if not e.one_way]
    src, dst = np.array(both, np.int64).reshape(-1, 2).T
    return FewestHops(nodes_of(spec), src, dst).unreached(spec.devices)
