"""A fat tree: switches over switches, whose uplinks carry what their downlinks do, or less."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from archsim.core.spec import PositiveInt
from archsim.energy.table import EnergyTable
from archsim.interconnect._wires import latency_of, wired
from archsim.interconnect.base import Topology, WiredSpec
from archsim.interconnect.fabric import Fabric, Ints


class FatTree(Topology):
    """Devices under a tree of switches; a switch's uplinks are one link as wide as all of them.

    Messages are taken to be spread evenly over the uplinks of a switch.
    """

    kind = "fat_tree"
    centred = True

    class Spec(WiredSpec):
        """Devices, and how the tree narrows."""

        kind: Literal["fat_tree"] = "fat_tree"

        devices: PositiveInt
        """Devices at the leaves: copies of this machine."""

        arity: Annotated[int, Field(ge=2, examples=[4])]
        """Devices, or switches, under each switch."""

        oversubscription: Annotated[float, Field(ge=1)] = 1.0
        """Bandwidth under a switch over that of its uplinks."""

        reduces: bool = False
        """Whether switches add messages up and send copies (in-network reduction)."""

    spec: Spec

    @classmethod
    def example(cls) -> dict[str, Any]:
        """Sixteen devices, four to a switch."""
        return {
            "kind": cls.kind, "devices": 16, "arity": 4, "bandwidth": "50 GB/s",
            "latency": "0.6 us", "medium": "cable",
        }  # fmt: skip

    @property
    def counts(self) -> tuple[int, ...]:
        """Nodes of each level, devices first, up to the one root."""
        counts = [self.devices]
        while len(counts) < 2 or counts[-1] > 1:
            counts.append(-(-counts[-1] // self.spec.arity))
        return tuple(counts)

    def fabric(self, table: EnergyTable | None = None) -> Fabric:
        """Links up by level, then by the node they leave; links down likewise behind them."""
        counts, arity = self.counts, self.spec.arity
        firsts = np.concatenate([[0], np.cumsum(counts)])
        low = np.arange(firsts[-2], dtype=np.int64)
        level = np.repeat(np.arange(len(counts) - 1), counts[:-1])
        high = firsts[level + 1] + (low - firsts[level]) // arity
        wide = np.ones(len(low))  # links of a device that a node's uplink is worth
        for node in range(counts[0], len(low)):
            wide[node] = wide[high == node].sum() / self.spec.oversubscription
        whole = latency_of(self)
        ups = len(low)
        return wired(
            self, int(firsts[-1]), np.concatenate([low, high]), np.concatenate([high, low]),
            self._routes,
            np.repeat(np.array([whole // 2, whole - whole // 2], np.int64), ups),
            self.spec.bandwidth * np.concatenate([wide, wide]),
            table=table, reduces=self.spec.reduces, hub=int(firsts[-1]) - 1,
        )  # fmt: skip

    def _routes(self, start: Ints, end: Ints) -> Ints:
        """Up to the lowest switch over both, and down; the root is over all."""
        counts, arity = self.counts, self.spec.arity
        firsts = [sum(counts[:n]) for n in range(len(counts))]
        ups, root = sum(counts[:-1]), sum(counts) - 1
        up, down, apart = [], [], start != end
        for n in range(len(counts) - 1):
            scale = arity**n
            a, b = start // scale, end // scale
            apart = (start == root) | (end == root) | (a != b)
            up.append(np.where(apart & (start != root), firsts[n] + a, -1))
            down.append(np.where(apart & (end != root), ups + firsts[n] + b, -1))
        found = np.stack(up + down[::-1], axis=1)
        return np.where((start == end)[:, None], -1, found)

    @property
    def full(self) -> bool:
        """Whether every switch has all the nodes under it that it can have."""
        levels = len(self.counts) - 1
        return self.devices == int(self.spec.arity**levels)

    def bisection_bytes_per_s(self) -> float | None:
        """Links under half of the root, of a tree that is full with an even arity; else None."""
        if not self.full or self.spec.arity % 2:
            return None
        return (
            self.devices
            / 2
            * self.spec.bandwidth
            / self.spec.oversubscription ** (len(self.counts) - 2)
        )

    def link_count(self) -> int:
        """Up and down from every node but the root."""
        return 2 * sum(self.counts[:-1])

    def mean_hops(self) -> float | None:
        """Up and down to the lowest switch over both, of a full tree; else None."""
        if not self.full:
            return None
        arity, levels = self.spec.arity, len(self.counts) - 1
        met = ((arity**n - arity ** (n - 1), 2 * n) for n in range(1, levels + 1))
        return float(sum(pairs * links for pairs, links in met) / self.devices)

    def diameter(self) -> int:
        """Up to the root and down."""
        return 2 * (len(self.counts) - 1) if self.devices > 1 else 0
