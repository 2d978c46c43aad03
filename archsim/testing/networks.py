"""Promises that every topology keeps: a test class to inherit, or to run over the registry.

A topology's author writes `class TestMine(TopologyContract): plugin = MyTopology`.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from archsim.core.yamlio import load_spec
from archsim.energy.table import load_table
from archsim.interconnect._routes import FewestHops, routes_of
from archsim.interconnect.base import Topology
from archsim.interconnect.fabric import Fabric
from archsim.interconnect.graph import bisection_bytes_per_s, cut_bytes_per_s, hops
from archsim.interconnect.messages import bulk_ps, simulate_messages
from archsim.testing.contracts import LinkContract

FEW = 8  # devices of a network all of whose halves are tried


def network(data: dict[str, object]) -> Topology:
    """A topology from its description."""
    from archsim.interconnect.base import links

    plugin = links.get(str(data["kind"]))
    spec, _ = load_spec(data, plugin.Spec)
    found = plugin("net", spec)
    assert isinstance(found, Topology)
    return found


class TopologyContract(LinkContract):
    """What a network promises."""

    plugin: ClassVar[type[Topology]]

    def network(self) -> Topology:
        """The example."""
        spec, _ = load_spec(self.plugin.example(), self.plugin.Spec)
        return self.plugin("net", spec)

    def fabric(self) -> Fabric:
        """Its nodes and links."""
        return self.network().fabric()

    def test_its_arrays_agree_with_each_other(self) -> None:
        """One entry a link, ends among the nodes, every device among the terminals."""
        fabric = self.fabric()
        assert fabric.terminals == self.network().devices <= fabric.nodes
        arrays = (fabric.src, fabric.dst, fabric.bytes_per_s, fabric.latency_ps, fabric.pj_per_bit)
        assert {len(array) for array in (*arrays, fabric.level)} == {fabric.links}
        ends = np.concatenate([fabric.src, fabric.dst])
        assert ends.min() >= 0
        assert ends.max() < fabric.nodes
        assert (fabric.src != fabric.dst).all()
        assert (fabric.bytes_per_s > 0).all()
        assert (fabric.latency_ps >= 0).all()
        if fabric.half_duplex is not None:
            paired = np.flatnonzero(fabric.half_duplex >= 0)
            back = fabric.half_duplex[paired]
            assert (fabric.half_duplex[back] == paired).all()
            assert (fabric.src[back] == fabric.dst[paired]).all()

    def test_its_routes_lead_from_every_device_to_every_other(self) -> None:
        """Link by link, no node twice; one by one as all at once."""
        fabric = self.fabric()
        for start in range(fabric.terminals):
            for end in range(fabric.terminals):
                way = fabric.route(start, end)
                nodes = [start, *(int(fabric.dst[link]) for link in way)]
                assert nodes[-1] == end
                assert [int(fabric.src[link]) for link in way] == nodes[:-1]
                assert len(set(nodes)) == len(nodes)
                row = routes_of(fabric)(np.array([start]), np.array([end]))[0]
                assert tuple(row[row >= 0].tolist()) == way

    def test_its_routes_are_as_short_as_it_says(self) -> None:
        """Of fewest hops, and in the closed forms where there are some."""
        net, fabric = self.network(), self.fabric()
        found = hops(fabric)
        if net.minimal:
            search = FewestHops(fabric.nodes, fabric.src, fabric.dst)
            src, dst = np.divmod(np.arange(found.size), fabric.terminals)
            assert ((search(src, dst) >= 0).sum(axis=1) == found.reshape(-1)).all()
        assert net.diameter() in (None, found.max())
        assert net.link_count() in (None, fabric.links)
        mean = net.mean_hops()
        assert mean is None or np.isclose(mean, found.mean())

    def test_its_bisection_is_the_closed_form(self) -> None:
        """Over all halves of a small network, over one half of a large one."""
        net, fabric = self.network(), self.fabric()
        closed = net.bisection_bytes_per_s()
        if closed is None:
            return
        if fabric.terminals <= FEW:
            assert np.isclose(closed, bisection_bytes_per_s(fabric))
        else:
            assert closed <= cut_bytes_per_s(fabric, range(fabric.terminals // 2)) * (1 + 1e-9)

    def test_it_keeps_every_byte(self) -> None:
        """What devices send goes over as many links as routes have, in every way to share them."""
        fabric = self.fabric()
        src, dst = np.divmod(np.arange(fabric.terminals**2), fabric.terminals)
        sizes = 1000 + src * 7 + dst
        _, loads = bulk_ps(fabric, src, dst, sizes)
        assert loads.sum() == (sizes * hops(fabric).reshape(-1)).sum()
        few = slice(0, 2 * fabric.terminals)
        start = np.zeros(len(src), np.int64)
        for sharing in ("fair", "fifo"):
            args = (src[few], dst[few], sizes[few], start[few])
            found = simulate_messages(fabric, *args, sharing=sharing)
            assert (found.link_bytes == bulk_ps(fabric, *args[:3])[1]).all()
            assert found.arrival_ps.max() >= found.link_busy_ps.max()

    def test_its_energy_and_area_come_from_the_tables(self) -> None:
        """Every byte costs, every network takes room, and silicon leaks."""
        net = self.network()
        ones = np.ones(self.fabric().links, np.int64)
        for name in ("45nm", "7nm"):
            table = load_table(name)
            whole = 8 * net.fabric(table).pj_per_bit.sum()
            assert np.isclose(net.energy_pj(ones, table), whole)
            assert whole > 0
            assert net.area_mm2(table) > 0
            assert net.leakage_w(table) > 0
