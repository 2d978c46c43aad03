"""Does each topology join what it says it joins, at the closed forms of the books?"""

import numpy as np
import pytest

from archsim.core.errors import InputError
from archsim.energy.table import load_table
from archsim.interconnect._routes import FewestHops, routes_of
from archsim.interconnect._wires import pj_per_bit
from archsim.interconnect.base import Topology, links
from archsim.interconnect.graph import bisection_bytes_per_s, fabric_graph, hops
from archsim.interconnect.messages import fabric_routes
from archsim.testing.networks import network

GB = 10**9
WIRE = {"bandwidth": "50 GB/s", "latency": "1 us"}
TOPOLOGIES = [kind for kind, cls in links.items() if issubclass(cls, Topology)]


def net(kind, **fields):
    return network({"kind": kind, **WIRE, **fields})


def two_levels(inner, outer, **fields):
    levels = [{**WIRE, **inner}, {**WIRE, **outer}]
    return network({"kind": "hierarchical", "levels": levels, **fields})


SMALL = [
    ("ring", {"devices": 1}), ("ring", {"devices": 2}), ("ring", {"devices": 5}),
    ("ring", {"devices": 8}), ("mesh", {"dims": [6]}), ("mesh", {"dims": [2, 3]}),
    ("mesh", {"dims": [4, 2]}), ("mesh", {"dims": [2, 2, 2]}), ("torus", {"dims": [4, 2]}),
    ("torus", {"dims": [2, 2, 2]}), ("torus", {"dims": [1, 6]}), ("switch", {"devices": 7}),
    ("crossbar", {"devices": 6}), ("bus", {"devices": 5}), ("fully_connected", {"devices": 7}),
    ("fat_tree", {"devices": 8, "arity": 2}), ("fat_tree", {"devices": 7, "arity": 3}),
    ("fat_tree", {"devices": 8, "arity": 2, "oversubscription": 2.0}),
    ("fat_tree", {"devices": 4, "arity": 4}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "fields"), SMALL)
def test_closed_forms_are_what_is_measured(kind, fields):
    topology = net(kind, **fields)
    fabric = topology.fabric()
    found = hops(fabric)
    assert topology.link_count() == fabric.links
    assert topology.diameter() == found.max()
    assert topology.mean_hops() in (None, pytest.approx(found.mean()))
    closed = topology.bisection_bytes_per_s()
    assert closed is None or closed == pytest.approx(bisection_bytes_per_s(fabric))


@pytest.mark.parametrize(("kind", "fields"), SMALL)
def test_no_route_is_longer_than_the_fewest_hops(kind, fields):
    fabric = net(kind, **fields).fabric()
    src, dst = np.divmod(np.arange(fabric.terminals**2), fabric.terminals)
    least = (FewestHops(fabric.nodes, fabric.src, fabric.dst)(src, dst) >= 0).sum(axis=1)
    assert (hops(fabric).reshape(-1) == least).all()


def test_an_8_by_8_mesh_has_the_numbers_of_the_books():
    mesh = net("mesh", dims=[8, 8])
    assert mesh.link_count() == 2 * 2 * 8 * 7
    assert mesh.diameter() == 14
    assert mesh.mean_hops() == pytest.approx(2 * (64 - 1) / 24)  # 5.25 links, 6.25 routers
    assert mesh.bisection_bytes_per_s() == 8 * 50 * GB


def test_a_4_by_4_by_4_torus_has_the_numbers_of_the_books():
    torus = net("torus", dims=[4, 4, 4])
    assert torus.devices == 64
    assert torus.link_count() == 64 * 6
    assert torus.diameter() == 6
    assert torus.mean_hops() == 3.0
    assert torus.bisection_bytes_per_s() == 2 * 16 * 50 * GB


def test_dimension_order_goes_along_the_first_dimension_first():
    fabric = net("mesh", dims=[4, 4]).fabric()
    nodes = [int(fabric.dst[link]) for link in fabric.route(0, 14)]
    assert nodes == [1, 2, 6, 10, 14]
    assert fabric.dims == (4, 4)


def test_a_ring_takes_the_shorter_way_and_plus_where_both_are_even():
    fabric = net("ring", devices=6).fabric()
    assert [int(fabric.dst[x]) for x in fabric.route(0, 5)] == [5]
    assert [int(fabric.dst[x]) for x in fabric.route(0, 3)] == [1, 2, 3]
    assert [int(fabric.dst[x]) for x in fabric.route(4, 1)] == [5, 0, 1]


def test_a_torus_of_two_has_one_link_each_way_and_not_two():
    assert net("torus", dims=[2, 2]).link_count() == net("mesh", dims=[2, 2]).link_count() == 8


def test_express_links_shorten_ways():
    plain, fast = net("mesh", dims=[8]), net("mesh", dims=[8], express=[{"from": 0, "to": 7}])
    assert hops(plain.fabric())[0, 7] == 7
    assert hops(fast.fabric())[0, 7] == 1
    assert fast.diameter() is None
    assert fast.link_count() == plain.link_count() + 2


def test_an_express_link_has_its_own_speed():
    edge = {"from": 0, "to": 3, "bandwidth": "200 GB/s", "latency": "5 ns", "one_way": True}
    fabric = net("ring", devices=6, express=[edge]).fabric()
    assert fabric.links == 13
    assert fabric.bytes_per_s[-1] == 200 * GB
    assert fabric.latency_ps[-1] == 5000
    assert fabric.bytes_per_s[0] == 50 * GB
    assert fabric.route(3, 0) != fabric.route(0, 3) == (12,)


def test_a_switch_takes_its_latency_from_device_to_device():
    fabric = net("switch", devices=4, latency="0.801 ns").fabric()
    assert fabric.route(1, 3) == (1, 7)
    assert fabric.latency_ps[[1, 7]].tolist() == [400, 401]
    assert fabric.hub == 4


def test_a_fat_tree_narrows_by_its_oversubscription():
    fabric = net("fat_tree", devices=16, arity=4, oversubscription=2.0).fabric()
    assert sorted(set(fabric.bytes_per_s.tolist())) == [50 * GB, 4 * 50 * GB / 2]
    assert len(fabric.route(0, 3)) == 2
    assert len(fabric.route(0, 15)) == 4
    assert fabric.nodes == 16 + 4 + 1


def test_an_uneven_fat_tree_counts_only_the_devices_that_are_there():
    fabric = net("fat_tree", devices=6, arity=4).fabric()
    uplinks = fabric.bytes_per_s[[6, 7]]  # of the switches over devices 0-3 and 4-5
    assert uplinks.tolist() == [4 * 50 * GB, 2 * 50 * GB]


def test_a_custom_network_has_the_links_of_its_list():
    edges = [{"from": 0, "to": 4}, {"from": 4, "to": 1}, {"from": 2, "to": 4, "latency": "2 us"},
             {"from": 3, "to": 4}]  # fmt: skip
    fabric = net("custom", devices=4, links=edges).fabric()
    assert fabric.nodes == 5
    assert hops(fabric).max() == 2
    assert fabric.latency_ps[list(fabric.route(0, 2))].sum() == 3_000_000


def test_half_duplex_pairs_each_link_with_the_way_back():
    fabric = net("ring", devices=3, duplex="half").fabric()
    back = fabric.half_duplex
    assert (fabric.src[back] == fabric.dst).all()
    assert (fabric.dst[back] == fabric.src).all()
    assert net("ring", devices=3).fabric().half_duplex is None


SWITCH = {"kind": "switch", "devices": 4}


def test_each_device_has_a_port_to_the_next_level_unless_told_otherwise():
    topology = two_levels(SWITCH, {"kind": "switch", "devices": 3, "bandwidth": "10 GB/s"})
    fabric = topology.fabric()
    assert topology.devices == fabric.terminals == 12
    assert fabric.groups == (4, 3)
    assert (fabric.level == 1).sum() == 4 * 2 * 3  # a switch for each of four devices
    assert topology.bisection_bytes_per_s() is None  # half of three groups cuts through one
    assert [int(fabric.level[x]) for x in fabric.route(1, 10)] == [1, 1, 0, 0]
    assert [int(fabric.level[x]) for x in fabric.route(1, 9)] == [1, 1]
    assert [int(fabric.level[x]) for x in fabric.route(0, 3)] == [0, 0]


def test_devices_without_a_port_reach_the_next_level_through_those_with_one():
    topology = two_levels(SWITCH, {"kind": "ring", "devices": 4}, uplinks=[1])
    fabric = topology.fabric()
    assert (fabric.level == 1).sum() == 8
    ends = [int(fabric.dst[x]) for x in fabric.route(1, 6)]
    assert ends[1] == 0  # the device of group 0 with the port
    assert ends[2] == 4  # that of group 1
    assert ends[-1] == 6


def test_ports_may_sit_on_the_switch_of_a_group():
    topology = two_levels(SWITCH, {"kind": "switch", "devices": 2}, uplinks=["switch"])
    fabric = topology.fabric()
    assert topology.link_count() == fabric.links == 2 * 8 + 4
    assert [int(fabric.level[x]) for x in fabric.route(0, 7)] == [0, 1, 1, 0]
    assert fabric.latency_ps[list(fabric.route(0, 7))].sum() == 2_000_000


def test_any_topology_nests_in_any_other():
    inner = [
        {"kind": "torus", "dims": [2, 2]},
        {"kind": "bus", "devices": 2},
        {"kind": "mesh", "dims": [3]},
        {"kind": "fat_tree", "devices": 3, "arity": 2},
        {"kind": "fully_connected", "devices": 2},
    ]
    for a in inner:
        for b in inner:
            for uplinks in ([], [1], [2]):
                fabric = two_levels(a, b, uplinks=uplinks).fabric()
                search = FewestHops(fabric.nodes, fabric.src, fabric.dst)
                assert search.unreached(fabric.terminals) == ()
                src, dst = np.divmod(np.arange(fabric.terminals**2), fabric.terminals)
                rows = routes_of(fabric)(src, dst)
                at = src.copy()
                for column in rows.T:
                    there = column >= 0
                    assert (fabric.src[column[there]] == at[there]).all()
                    at[there] = fabric.dst[column[there]]
                assert (at == dst).all()


def test_a_hierarchy_of_three_levels_counts_devices_inside_out():
    level = {**WIRE, "kind": "switch", "devices": 2}
    fabric = network({"kind": "hierarchical", "levels": [level] * 3}).fabric()
    assert fabric.groups == (2, 2, 2)
    assert [len(fabric.route(0, d)) for d in range(8)] == [0, 2, 2, 4, 2, 4, 4, 6]
    assert sorted(set(fabric.level.tolist())) == [0, 1, 2]


@pytest.mark.parametrize("bandwidth", ["10 GB/s", "100 GB/s"])
@pytest.mark.parametrize("uplinks", [[], [1], ["switch"]])
def test_a_hierarchy_knows_its_bisection_where_its_outermost_network_is_the_narrowest(
    bandwidth, uplinks
):
    outer = {"kind": "switch", "devices": 2}
    topology = two_levels({**SWITCH, "bandwidth": bandwidth}, outer, uplinks=uplinks)
    closed, found = topology.bisection_bytes_per_s(), bisection_bytes_per_s(topology.fabric())
    assert closed in (None, pytest.approx(found))
    assert (closed is None) == (bandwidth == "10 GB/s")


def test_links_over_routes_come_one_behind_the_other():
    fabric = net("mesh", dims=[3, 3]).fabric()
    first, found = fabric_routes(fabric, np.array([0, 4, 8]), np.array([8, 4, 7]))
    assert first.tolist() == [0, 4, 4, 5]
    assert tuple(found[:4]) == fabric.route(0, 8)


@pytest.mark.parametrize("kind", TOPOLOGIES)
def test_energy_that_is_given_stands_in_place_of_the_tables(kind):
    plugin = links.get(kind)
    data = plugin.example()
    parts = data.get("levels", [data])
    for part in parts:
        part["energy"] = "1.25 pJ/bit"
    fabric = network(data).fabric(load_table("45nm"))
    assert set(fabric.pj_per_bit[-1:].tolist()) == {1.25}


def test_energy_is_bytes_times_bits_times_hops():
    mesh = net("mesh", dims=[4], energy="2 pJ/bit")
    fabric = mesh.fabric()
    carried = np.zeros(fabric.links, np.int64)
    carried[list(fabric.route(0, 3))] = 1000
    assert mesh.energy_pj(carried) == 1000 * 8 * 3 * 2.0


def test_what_leaves_the_chip_costs_the_same_at_any_node():
    board, chip = net("ring", devices=4), net("ring", devices=4, medium="chip")
    table, small = load_table("45nm"), load_table("45nm").at(7)
    assert pj_per_bit(board, table) == pj_per_bit(board, small) == 5.5
    assert board.area_mm2(table) == board.area_mm2(small)
    assert pj_per_bit(chip, small) < pj_per_bit(chip, table) / 5
    assert chip.area_mm2(small) < chip.area_mm2(table) / 5


def test_the_area_of_interfaces_is_that_of_their_bandwidth():
    # 0.965 mm2 of PHY for each NVLink4 of 25 GB/s, at both ends of each link
    table = load_table("7nm")
    assert net("ring", devices=2, bandwidth="25 GB/s").area_mm2(table) == pytest.approx(2 * 0.965)
    wide = net("switch", devices=8, bandwidth="450 GB/s")
    assert wide.area_mm2(table) == pytest.approx(16 * 18 * 0.965)


def test_wider_links_and_deeper_buffers_take_more_room():
    table = load_table("7nm")
    areas = [
        net("mesh", dims=[4, 4], medium="chip", **more).area_mm2(table)
        for more in ({"width": 64}, {"width": 128}, {"width": 128, "router": {"buffer": 16}})
    ]
    assert areas == sorted(areas)
    assert areas[1] == pytest.approx(2 * areas[0])
    bars = [net("crossbar", devices=n).area_mm2(table) for n in (8, 16)]
    assert bars[1] == pytest.approx(4 * bars[0])


def test_the_graph_has_every_node_and_link():
    fabric = net("torus", dims=[3, 3]).fabric()
    graph = fabric_graph(fabric)
    assert graph.number_of_nodes() == 9
    assert graph.number_of_edges() == fabric.links == 36
    assert all(data["bytes_per_s"] == 50 * GB for *_, data in graph.edges(data=True))


class Islands(Topology):
    """As an author may err."""

    kind = "islands"

    @property
    def devices(self):
        return 5

    def ends(self):
        return 5, np.array([0, 1, 2, 3, 4]), np.array([1, 0, 3, 4, 2])


def test_an_author_s_network_that_does_not_join_all_is_refused():
    with pytest.raises(InputError) as caught:
        Islands("net", None).fabric()
    assert str(caught.value) == "error[E202]: net: devices 2, 3, 4 are cut off from device 0"
