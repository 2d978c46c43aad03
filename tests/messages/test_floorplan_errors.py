"""Is the error helpful? Mistakes in the floorplan of a chip, with their full text."""

from textwrap import dedent

import pytest

from archsim import api
from archsim.core.data import find
from archsim.core.errors import InputError
from archsim.core.yamlio import dump_yaml, load_yaml

MESH = "kind: mesh, dims: [4, 2], bandwidth: 512 GB/s, latency: 2 ns"
RING = "kind: ring, devices: 8, bandwidth: 512 GB/s, latency: 2 ns"
GOOD = {"hbm": "[[0, 0], [3, 1]]", "sram": "all", "array": "all", "vector": "all"}
AT = "interconnect.noc.place"
PLACE = "place: {hbm: [0], sram: all, array: all, vector: all}"


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refused(lines):
    """What is said of the NPU with these lines below `interconnect`."""
    machine = load_yaml(find("npu", "configs")).data
    del machine["interconnect"], machine["provenance"]
    below = "".join(f"  {line}\n" for line in lines)
    with open("m.yaml", "w") as file:
        file.write(f"interconnect:\n{below}{dump_yaml(machine)}")
    with pytest.raises(InputError) as caught:
        api.load_hardware("m.yaml")
    assert caught.value.exit_code == 3
    return caught.value.render()


def check(expected, network=MESH, **place):
    """The good floorplan on eight nodes with some places changed, or left out where None."""
    places = [f"    {part}: {nodes}" for part, nodes in (GOOD | place).items() if nodes]
    fields = [f"  {field}" for field in network.replace("[4, 2]", "[4,2]").split(", ")]
    found = refused(["noc:", *fields, "  place:", *places])
    assert found == dedent(expected).strip("\n")


def test_a_node_outside_the_grid():
    check(
        f"""
        m.yaml:8:12: error[E201]: {AT}.hbm names node [4, 1], which noc does not have
            8 |       hbm: [[0, 0], [4, 1]]
              |            ^
              = help: nodes: 0 to 7, or [0, 0] to [3, 1]
        """,
        hbm="[[0, 0], [4, 1]]",
    )


def test_a_number_beyond_the_nodes():
    check(
        """
        m.yaml:8:12: error[E201]: interconnect.noc.place.hbm names node 8, which noc does not have
            8 |       hbm: [8]
              |            ^
              = help: nodes: 0 to 7
        """,
        hbm="[8]",
    )


def test_coordinates_of_a_network_without_any():
    check(
        """
        m.yaml:8:12: error[E201]: interconnect.noc.place.hbm gives coordinates, and a ring has none
            8 |       hbm: [[0, 0], [3, 1]]
              |            ^
              = help: nodes: 0 to 7
        """,
        RING,
    )


def test_a_part_on_no_node():
    check(
        """
        m.yaml:8:12: error[E202]: interconnect.noc.place.hbm names no node
            8 |       hbm: []
              |            ^
        """,
        hbm="[]",
    )


def test_a_node_said_twice():
    check(
        """
        m.yaml:8:12: error[E202]: interconnect.noc.place.hbm names node [0, 0] twice
            8 |       hbm: [0, [0, 0]]
              |            ^
        """,
        hbm="[0, [0, 0]]",
    )


def test_more_nodes_than_instances():
    check(
        f"""
        m.yaml:10:14: error[E202]: {AT}.array has 16 nodes, more than the 8 of engines.array.count
           10 |       array: all
              |              ^^^
              = help: 8 nodes, or a number that divides 8
        """,
        MESH.replace("[4, 2]", "[4,4]"),
    )


def test_instances_that_cannot_be_dealt_evenly():
    path = f"{AT}.array"
    check(
        f"""
        m.yaml:10:14: error[E202]: {path} has 3 nodes, no divisor of the 8 of engines.array.count
           10 |       array: [0, 1, 2]
              |              ^
              = help: 8 nodes, or a number that divides 8
        """,
        array="[0, 1, 2]",
    )


def test_a_name_that_is_nowhere():
    check(
        f"""
        m.yaml:12:14: error[E201]: {AT}.arrai names "arrai", which is neither engine nor memory
           12 |       arrai: all
              |              ^^^
              = help: names: sram, hbm, array, vector; did you mean "array"?
        """,
        arrai="all",
    )


@pytest.mark.parametrize(("what", "part"), [("engine", "vector"), ("memory", "sram")])
def test_an_engine_or_a_memory_without_a_place(what, part):
    check(
        f"""
        m.yaml:8:7: error[E202]: {what} {part} has no place on noc
            8 |       hbm: [[0, 0], [3, 1]]
              |       ^
              = help: interconnect.noc.place.{part}: all, or a list of nodes
        """,
        **{part: None},
    )


def test_a_chip_with_two_networks():
    expected = f"""
    m.yaml:3:6: error[E202]: interconnect has 2 networks with a place: a, b
        3 |   b: {{{RING}, {PLACE}}}
          |      ^
          = help: a chip has one network; levels of one are of kind hierarchical
    """
    found = refused([f"a: {{{MESH}, {PLACE}}}", f"b: {{{RING}, {PLACE}}}"])
    assert found == dedent(expected).strip("\n")


@pytest.mark.parametrize("option", ["multicast", "reduction"])
def test_an_option_of_chips_on_a_network_between_them(option):
    expected = f"""
    m.yaml:2:3: error[E202]: {option} is of a network on the chip, and this one joins chips
        2 |   noc: {{{RING}, {option}: true}}
          |   ^^^
          = help: place: what sits on which of its nodes
    """
    assert refused([f"noc: {{{RING}, {option}: true}}"]) == dedent(expected).strip("\n")


def test_a_place_at_a_level_of_a_hierarchy():
    expected = """
    m.yaml:2:3: error[E202]: place of a level has no effect: nodes are those of all levels
        2 |   noc:
          |   ^^^
          = help: give it beside `levels`
    """
    levels = [f"  - {{{RING}, {PLACE}}}", f"  - {{{RING.replace('8', '2')}}}"]
    found = refused(["noc:", "  kind: hierarchical", "  levels:", *levels])
    assert found == dedent(expected).strip("\n")
