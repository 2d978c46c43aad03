"""Does a description of a network become the routers and cycles that it says?"""

from __future__ import annotations

import pytest

from archsim import api
from archsim.system.noc_network import network_of
from archsim.system.noc_sweep import LOWEST
from archsim.system.noc_times import credit_cycles, filled, idle_cycles

MESH = {"kind": "mesh", "dims": [4, 4], "bandwidth": "32 GB/s", "latency": "4 ns"}


def test_latency_is_in_cycles_of_a_flit_less_those_of_the_router() -> None:
    network = network_of(MESH, {}, fidelity="cycle")
    assert network.cycle_ps == 500  # 16 bytes at 32 GB/s
    assert {wire.latency_cycles for wire in network.wires.links} == {8 - 3}


def test_a_description_says_its_routers_and_options_override_them() -> None:
    data = MESH | {"router": {"vcs": 4, "routing_delay": 2, "routing": "adaptive"}}
    network = network_of(data, {"vcs": 6}, fidelity="cycle")
    assert (network.routers.vcs, network.routers.routing) == (6, "adaptive")
    assert {wire.latency_cycles for wire in network.wires.links} == {8 - 5}


def test_a_slower_link_holds_a_flit_for_longer() -> None:
    tree = {"kind": "fat_tree", "devices": 16, "arity": 4, "bandwidth": "50 GB/s",
            "latency": "40 ns"}  # fmt: skip
    network = network_of(tree, {}, fidelity="cycle")
    own = {w.flit_cycles for w in network.wires.links if w.router < 16}
    assert own == {4}  # the root's links are as fast as four of a device
    assert network.node_cycles == 4


def test_the_load_is_that_of_the_links_of_a_node() -> None:
    found = api.noc("fat_tree:16", loads=[0.2]).points[0].found
    assert found.accepted == pytest.approx(0.2, rel=0.05)


def test_a_torus_of_two_nodes_has_the_one_link_that_it_describes() -> None:
    torus = MESH | {"kind": "torus", "dims": [4, 2]}
    assert network_of(torus, {}, fidelity="cycle").routers.routing == "table"
    assert len(network_of(torus, {}, fidelity="cycle").wires.links) == 2 * 8 + 8


def test_a_machine_is_loaded_on_its_network() -> None:
    assert network_of("h100x8", {}, fidelity="cycle").wires.nodes == 8


def test_plain_python_gives_the_same_result() -> None:
    fast = api.noc("mesh:3x3", loads=[0.1], packet_flits=2)
    assert api.noc("mesh:3x3", loads=[0.1], packet_flits=2, plain=True).to_dict() == fast.to_dict()


def test_a_sweep_ends_close_above_saturation() -> None:
    found = api.noc("mesh:4x4", "hotspot", hot=[5], packet_flits=1)
    assert found.points[0].load == LOWEST
    below = [p.load for p in found.points if p.load < found.saturation]
    assert found.saturation - max(below) == pytest.approx(found.saturation_within)
    assert found.saturation == pytest.approx(1 / 16, rel=0.1)  # one sink of 16 nodes


def test_a_load_without_a_packet_does_not_saturate() -> None:
    found = api.noc("mesh:2x2", loads=[1e-7])
    assert found.saturation is None
    assert found.points[0].found.packet_latency is None


STAR = {"kind": "switch", "devices": 8, "bandwidth": "50 GB/s", "latency": "400 ns"}


def test_buffers_between_chips_are_as_long_as_credits_need() -> None:
    network = network_of(STAR, {}, fidelity="cycle")
    assert network.grown
    assert not network.routers.wait_for_tail_credit
    wire = network.wires.links[0]
    away = 2 * wire.latency_cycles + 3 + 1 + 2  # of the link, the router's pipeline, the credit
    assert credit_cycles(network.routers, wire) == away
    assert network.routers.buffer == -(-away // 8)
    assert filled(network.wires, network.routers, 1) == (1.0, away)


@pytest.mark.parametrize(
    ("more", "options"), [({}, {"buffer": 4}), ({"router": {"buffer": 4}}, {})]
)
def test_buffers_that_are_said_stay_as_they_are(more: dict, options: dict) -> None:
    network = network_of(STAR | more, options, fidelity="cycle")
    assert (network.routers.buffer, network.grown) == (4, False)


def test_credits_fill_as_much_of_a_link_as_is_said() -> None:
    routers = {"buffer": 2, "vcs": 4, "link_latency": 40, "wait_for_tail_credit": False}
    found = api.noc("mesh:2", "neighbour", [1.0], **routers)
    share, _ = filled(found.network.wires, found.network.routers, 1)
    assert found.points[0].found.accepted == pytest.approx(share, rel=0.05)


@pytest.mark.parametrize("fidelity", ["cycle", "tile"])
def test_an_idle_network_of_long_links_is_stable(fidelity: str) -> None:
    data = MESH | {"latency": "1 us"}
    found = api.noc(data, loads=[0.05], fidelity=fidelity)
    point = found.points[0].found
    assert found.saturation is None
    assert point.accepted == pytest.approx(0.05, rel=0.1)
    assert point.packet_latency == pytest.approx(
        idle_cycles(found.network, 1) * 15 / 16,
        rel=0.05,  # a sixteenth is for the node itself
    )


def test_the_reference_measures_long_links_as_short_ones() -> None:
    assert (
        not api.noc(MESH | {"latency": "1 us"}, loads=[0.05], rng="replay").points[0].found.stable
    )


def test_messages_past_saturation_are_unstable() -> None:
    found = api.noc("mesh:4x4", "hotspot", [0.05, 0.2], hot=[5], fidelity="tile")
    assert [p.found.stable for p in found.points] == [True, False]
    assert found.shown.load == 0.05


def test_links_are_shown_below_saturation() -> None:
    found = api.noc("mesh:4x4", "hotspot", hot=[5])
    assert found.shown.load < found.saturation


def test_messages_carry_the_load_of_flits() -> None:
    flits = api.noc("torus:4x4", "tornado", [0.3], packet_flits=4)
    messages = api.noc("torus:4x4", "tornado", [0.3], packet_flits=4, fidelity="tile")
    assert messages.points[0].found.accepted == pytest.approx(0.3, rel=0.1)
    assert messages.points[0].found.hops == flits.points[0].found.hops
