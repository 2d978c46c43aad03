"""Is the error helpful? Mistakes in networks, with their full text."""

from textwrap import dedent

import pytest

from archsim.core.data import find
from archsim.core.errors import InputError
from archsim.core.yamlio import dump_yaml, load_yaml
from archsim.system.noc_network import network_of
from archsim.system.spec import load_hardware

WIRE = "bandwidth: 50 GB/s, latency: 1 us"


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def check(network, expected):
    """What is said of a machine with this network, lines below `interconnect.node`."""
    machine = load_yaml(find("npu", "configs")).data
    del machine["interconnect"], machine["provenance"]
    lines = dedent(network).strip("\n").split("\n")
    below = "".join(f"    {line}\n" for line in lines)
    with open("m.yaml", "w") as file:
        file.write(f"interconnect:\n  node:\n{below}{dump_yaml(machine)}")
    with pytest.raises(InputError) as caught:
        load_hardware("m.yaml")
    assert caught.value.exit_code == 3
    assert caught.value.render() == dedent(expected).strip("\n")


def levels(*inner, more=""):
    lines = "".join(f"\n- {{{level}, {WIRE}}}" for level in inner)
    return f"kind: hierarchical\nlevels:{lines}\n{more}"


def test_a_device_that_no_link_reaches_is_named():
    check(
        f"""
        {{kind: custom, devices: 4, {WIRE},
         links: [{{from: 0, to: 1}}, {{from: 3, to: 1}}]}}
        """,
        """
        m.yaml:2:3: error[E202]: device 2 is cut off from device 0
            2 |   node:
              |   ^^^^
              = help: every device needs a way to every other, and back
        """,
    )


def test_of_many_devices_without_a_way_the_first_are_named():
    check(
        f"{{kind: custom, devices: 20, {WIRE}, links: [{{from: 0, to: 1, one_way: true}}]}}",
        """
        m.yaml:2:3: error[E202]: devices 1, 2, 3, 4, 5, 6, 7, 8 and 11 more are cut off from device 0
            2 |   node:
              |   ^^^^
              = help: every device needs a way to every other, and back
        """,  # noqa: E501 - the text as it is
    )


def test_a_link_from_a_node_to_itself_is_shown():
    check(
        f"""
        kind: custom
        devices: 2
        links: [{{from: 0, to: 1}}, {{from: 1, to: 1}}]
        {WIRE.replace(", ", chr(10) + " " * 8)}
        """,
        """
        m.yaml:5:31: error[E202]: a link joins node 1 to itself
            5 |     links: [{from: 0, to: 1}, {from: 1, to: 1}]
              |                               ^
        """,
    )


def test_a_grid_has_one_to_three_dimensions():
    check(
        f"{{kind: mesh, dims: [2, 2, 2, 2], {WIRE}}}",
        """
        m.yaml:2:3: error[E202]: dims has 4 extents, and a grid one to three
            2 |   node:
              |   ^^^^
        """,
    )


def test_an_extent_is_one_or_more():
    check(
        f"{{kind: torus, dims: [2, 0], {WIRE}}}",
        """
        m.yaml:3:29: error[E107]: interconnect.node.dims[1] must be greater than 0, got 0
            3 |     {kind: torus, dims: [2, 0], bandwidth: 50 GB/s, latency: 1 us}
              |                             ^
        """,
    )


@pytest.mark.parametrize("kind", ["ring, devices: 4", "mesh, dims: [2, 2]"])
def test_express_links_join_nodes_that_are_there(kind):
    check(
        f"""
        kind: {kind.replace(", ", chr(10) + " " * 8, 1)}
        {WIRE.replace(", ", chr(10) + " " * 8)}
        express: [{{from: 0, to: 2}}, {{from: 0, to: 4}}]
        """,
        """
        m.yaml:7:47: error[E201]: express[1] names node 4 of a grid of 4
            7 |     express: [{from: 0, to: 2}, {from: 0, to: 4}]
              |                                               ^
              = help: nodes: 0 to 3
        """,
    )


def test_a_link_that_is_listed_twice_is_shown():
    check(
        """
        kind: custom
        devices: 2
        links: [{from: 0, to: 1}, {from: 1, to: 0, one_way: true}]
        bandwidth: 50 GB/s
        latency: 1 us
        """,
        """
        m.yaml:5:31: error[E202]: links[1] joins nodes 1 and 0, as links[0]
            5 |     links: [{from: 0, to: 1}, {from: 1, to: 0, one_way: true}]
              |                               ^
              = help: one link, with the bandwidth of both
        """,
    )


def test_two_links_one_way_each_are_not_listed_twice():
    ends = {"from": 0, "to": 1, "one_way": True}
    back = {"from": 1, "to": 0, "one_way": True}
    data = {"kind": "custom", "devices": 2, "bandwidth": "1 GB/s", "latency": "1 us",
            "links": [ends, back]}  # fmt: skip
    assert network_of(data, {}, fidelity="tile").fabric.links == 2


def test_a_switch_whose_number_leaves_a_gap_is_shown():
    check(
        """
        kind: custom
        devices: 3
        links: [{from: 0, to: 3}, {from: 1, to: 3}, {from: 2, to: 400}]
        bandwidth: 50 GB/s
        latency: 1 us
        """,
        """
        m.yaml:5:63: error[E202]: links[2] names node 400, and no link names node 4
            5 |     links: [{from: 0, to: 3}, {from: 1, to: 3}, {from: 2, to: 400}]
              |                                                               ^^^
              = help: devices are 0 to 2, and switches follow without a gap
        """,
    )


def test_a_fat_tree_without_its_arity_is_shown_one():
    check(
        f"{{kind: fat_tree, devices: 8, {WIRE}}}",
        """
        m.yaml:2:3: error[E102]: interconnect.node needs "arity"
            2 |   node:
              |   ^^^^
              = help: example `arity: 4`
        """,
    )


def test_an_express_link_that_is_a_list_is_shown_a_mapping():
    check(
        f"{{kind: mesh, dims: [8], {WIRE}, express: [[0, 7]]}}",
        """
        m.yaml:3:74: error[E105]: express[0] expects a mapping, got a list
            3 |     {kind: mesh, dims: [8], bandwidth: 50 GB/s, latency: 1 us, express: [[0, 7]]}
              |                                                                          ^
              = help: write it like `{"from": 0, "to": 5}`
        """,
    )


def test_bandwidth_needs_a_unit():
    check(
        "{kind: switch, devices: 8, bandwidth: 450, latency: 1 us}",
        """
        m.yaml:3:43: error[E103]: interconnect.node.bandwidth needs a unit, got 450
            3 |     {kind: switch, devices: 8, bandwidth: 450, latency: 1 us}
              |                                           ^^^
              = help: write it like `1.2 TB/s`
        """,
    )


def test_latency_is_never_taken_to_be_nothing():
    check(
        "{kind: switch, devices: 8, bandwidth: 450 GB/s}",
        """
        m.yaml:2:3: error[E102]: interconnect.node needs "latency"
            2 |   node:
              |   ^^^^
              = help: example `latency: 100 ns`
        """,
    )


def test_a_bus_is_never_full_duplex():
    check(
        f"{{kind: bus, devices: 8, {WIRE}, duplex: full}}",
        """
        m.yaml:3:72: error[E108]: duplex "full" is not one of half
            3 |     {kind: bus, devices: 8, bandwidth: 50 GB/s, latency: 1 us, duplex: full}
              |                                                                        ^^^^
        """,
    )


def test_a_mistake_in_a_level_is_shown_in_that_level():
    check(
        levels("kind: switch, devices: 8", "kind: torsu, dims: [2]"),
        """
        m.yaml:6:14: error[E108]: kind "torsu" is not one of bus, crossbar, custom, fat_tree, fully_connected, mesh, ring, switch, torus
            6 |     - {kind: torsu, dims: [2], bandwidth: 50 GB/s, latency: 1 us}
              |              ^^^^^
              = help: did you mean "torus"?
        """,  # noqa: E501 - the text as it is
    )


def test_one_level_is_no_hierarchy():
    check(
        levels("kind: switch, devices: 8"),
        """
        m.yaml:2:3: error[E202]: a hierarchical network has two levels or more
            2 |   node:
              |   ^^^^
        """,
    )


def test_collectives_are_those_of_all_levels():
    check(
        levels("kind: switch, devices: 8, collectives: {launch: 5 us}", "kind: ring, devices: 2"),
        """
        m.yaml:2:3: error[E202]: collectives of a level have no effect: a collective uses all levels
            2 |   node:
              |   ^^^^
              = help: give them beside `levels`
        """,
    )


TWO = ("kind: switch, devices: 8", "kind: ring, devices: 2")


PORTS = "1 to {} devices with a port"


@pytest.mark.parametrize(
    ("inner", "uplinks", "wrong", "message", "help_"),
    [
        (TWO, "[16]", "16", "uplinks[0] is 16 ports for a group of 8 devices",
         "1 to 8, or switch"),
        (TWO[::-1], "[switch]", "switch",
         "uplinks[0] is switch, and no one switch stands over the group", PORTS.format(2)),
        ((TWO[0], TWO[0], TWO[0]), "[8, switch]", "switch",
         "uplinks[1] is switch, and no one switch stands over the group", PORTS.format(64)),
    ],
)  # fmt: skip
def test_ports_sit_on_what_a_group_has(inner, uplinks, wrong, message, help_):
    line = f"    uplinks: {uplinks}"
    number, column = len(inner) + 5, line.index(wrong)
    check(
        levels(*inner, more=f"uplinks: {uplinks}"),
        f"""
        m.yaml:{number}:{column + 1}: error[E202]: {message}
            {number} | {line}
              | {" " * column}{"^" * len(wrong)}
              = help: {help_}
        """,
    )


def test_every_level_from_the_second_has_an_entry_of_ports():
    check(
        levels(*TWO, more="uplinks: [1, 2]"),
        """
        m.yaml:2:3: error[E202]: uplinks has 2 entries for 2 levels
            2 |   node:
              |   ^^^^
              = help: one for each level from the second: 1
        """,
    )


def test_a_fat_tree_widens_downwards_only():
    check(
        f"""
        {{kind: fat_tree, devices: 8, arity: 2, {WIRE},
         oversubscription: 0.5}}
        """,
        """
        m.yaml:4:24: error[E107]: interconnect.node.oversubscription must be 1.0 or more, got 0.5
            4 |      oversubscription: 0.5}
              |                        ^^^
        """,
    )
