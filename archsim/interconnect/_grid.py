"""Meshes and tori: nodes on a grid, links along its dimensions, one dimension after the other."""

from __future__ import annotations

from math import prod

import numpy as np
from pydantic import Field, model_validator

from archsim.core.spec import PositiveInt, problem
from archsim.energy.table import EnergyTable
from archsim.interconnect._edges import AN_EDGE, Edge, beside, misplaced, refuse_twice
from archsim.interconnect._routes import FewestHops, packed
from archsim.interconnect._wires import wired
from archsim.interconnect.base import Topology, WiredSpec
from archsim.interconnect.fabric import Fabric, Ints, Routes


def on_grid(express: tuple[Edge, ...], devices: int) -> None:
    """Refuse links to nodes that a grid does not have, and a link that is listed twice.

    Raises:
        ValidationError: E201 at the node, E202 at the second link.
    """
    for i, edge in enumerate(express):
        for key, node in (("from", edge.from_), ("to", edge.to)):
            if node >= devices:
                message = f"express[{i}] names node {node} of a grid of {devices}"
                raise misplaced(("express", i, key), "E201", message, f"nodes: 0 to {devices - 1}")
    refuse_twice(express, "express")


class GridSpec(WiredSpec):
    """Extents of a grid."""

    dims: tuple[PositiveInt, ...]
    """Devices along each of one to three dimensions; neighbours in the first have consecutive
    numbers."""

    express: tuple[Edge, ...] = Field(default=(), examples=[[AN_EDGE]])
    """Links beyond those of the grid. With any, messages go the way of fewest hops, else one
    dimension after the other."""

    @model_validator(mode="after")
    def _one_to_three(self) -> GridSpec:
        if not 1 <= len(self.dims) <= 3:
            raise problem("E202", f"dims has {len(self.dims)} extents, and a grid one to three")
        on_grid(self.express, prod(self.dims))
        return self


class Grid(Topology):
    """Nodes on a grid with a router each."""

    wraps = False

    @property
    def dims(self) -> tuple[int, ...]:
        """Extents, the fastest first."""
        dims: tuple[int, ...] = self.spec.dims
        return dims

    @property
    def devices(self) -> int:
        """Product of the extents."""
        return prod(self.dims)

    def wrapped(self, extent: int) -> bool:
        """Whether a dimension of such an extent is closed; of two, the link would be doubled."""
        return self.wraps and extent > 2

    def fabric(self, table: EnergyTable | None = None) -> Fabric:
        """Links by dimension, those in plus direction first, then by node."""
        dims, count = self.dims, self.devices
        src, dst, table_of = grid_links(dims, [self.wrapped(e) for e in dims])
        own = len(src)
        routes: Routes = DimensionOrder(dims, [self.wrapped(e) for e in dims], table_of)
        extra = beside(self, self.spec.express, own)
        if len(extra.src):
            src, dst = np.concatenate([src, extra.src]), np.concatenate([dst, extra.dst])
            routes = FewestHops(count, src, dst)
        return wired(
            self, count, src, dst, routes, extra.latency_ps, extra.bytes_per_s, table=table,
            dims=dims,
        )  # fmt: skip

    def bisection_bytes_per_s(self) -> float | None:
        """Links across the middle of the longest dimension; None with express links or if odd."""
        longest = max(self.dims)
        if self.spec.express or (longest % 2 and longest > 1):
            return None
        across = self.devices // longest * (2 if self.wrapped(longest) else 1)
        return across * self.spec.bandwidth if longest > 1 else 0.0

    def link_count(self) -> int:
        """Both ways to the next along every dimension, and express links."""
        pairs = ((e if self.wrapped(e) else e - 1) * self.devices // e for e in self.dims)
        return 2 * sum(pairs) + sum(1 if edge.one_way else 2 for edge in self.spec.express)

    def diameter(self) -> int | None:
        """Sum over the dimensions; None with express links."""
        if self.spec.express:
            return None
        return sum(e // 2 if self.wrapped(e) else e - 1 for e in self.dims)

    def mean_hops(self) -> float | None:
        """Sum over the dimensions; None with express links."""
        if self.spec.express:
            return None
        return sum(_mean(e, self.wrapped(e)) for e in self.dims)


def _mean(extent: int, wraps: bool) -> float:
    """Mean distance of two places on a line or ring, the same place included."""
    if wraps:
        return (extent**2 // 4) / extent
    return (extent**2 - 1) / (3 * extent)


def grid_links(dims: tuple[int, ...], wraps: list[bool]) -> tuple[Ints, Ints, Ints]:
    """Ends of the links of a grid, and the link of each node and direction, [nodes, 2 x dims].

    Direction 2 d is plus along dimension d, 2 d + 1 minus; -1 where the grid ends.
    """
    count = prod(dims)
    nodes = np.arange(count, dtype=np.int64)
    link_of = np.full((count, 2 * len(dims)), -1, np.int64)
    ends: list[tuple[Ints, Ints]] = []
    stride, number = 1, 0
    for d, extent in enumerate(dims):
        place = nodes // stride % extent
        for way in (1, -1):
            to = (place + way) % extent
            there = (to == place + way) | wraps[d]
            if extent == 1:
                there = np.zeros(count, bool)
            start = nodes[there]
            ends.append((start, start + (to[there] - place[there]) * stride))
            link_of[there, 2 * d + (way < 0)] = number + np.arange(len(start))
            number += len(start)
        stride *= extent
    empty = np.empty(0, np.int64)
    src = np.concatenate([empty, *(s for s, _ in ends)])
    dst = np.concatenate([empty, *(t for _, t in ends)])
    return src, dst, link_of


class DimensionOrder:
    """Routes along the first dimension, then the next; on a ring the shorter way, ties plus.

    Args:
        dims: extents, the fastest first.
        wraps: whether each dimension is a ring.
        link_of: the link of each node and direction, [nodes, 2 x dims].
    """

    def __init__(self, dims: tuple[int, ...], wraps: list[bool], link_of: Ints) -> None:
        self.dims, self.wraps, self.link_of = dims, wraps, link_of

    def __call__(self, start: Ints, end: Ints) -> Ints:
        """Links of many messages, [messages, most hops]."""
        columns, at, stride = [], start.astype(np.int64, copy=True), 1
        for d, extent in enumerate(self.dims):
            here, there = at // stride % extent, end // stride % extent
            steps, minus = self._way(there - here, extent, self.wraps[d])
            direction = 2 * d + minus
            for step in range(int(steps.max(initial=0))):
                place = (here + np.where(minus, -step, step)) % extent
                link = self.link_of[at + (place - here) * stride, direction]
                columns.append(np.where(step < steps, link, -1))
            at = at + (there - here) * stride
            stride *= extent
        if not columns:
            return np.empty((len(start), 0), np.int64)
        return packed(np.stack(columns, axis=1))

    @staticmethod
    def _way(apart: Ints, extent: int, wraps: bool) -> tuple[Ints, Ints]:
        """Steps to take and whether they are minus steps."""
        if not wraps:
            return np.abs(apart), (apart < 0).astype(np.int64)
        plus = apart % extent
        minus = (plus > extent // 2).astype(np.int64)
        if extent % 2:
            minus = (2 * plus > extent).astype(np.int64)
        return np.where(minus, extent - plus, plus), minus
