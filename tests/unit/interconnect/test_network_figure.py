"""Does the figure of a network show every node in a place of its own, and how busy links were?"""

import csv

import numpy as np
import pytest

from archsim.report.network_figure import link_rows, network_figure, positions
from archsim.testing.networks import network

WIRE = {"bandwidth": "50 GB/s", "latency": "1 us"}
SWITCH = {"kind": "switch", "devices": 4, **WIRE}
CASES = [
    {"kind": "mesh", "dims": [3, 2], **WIRE}, {"kind": "torus", "dims": [2, 3, 2], **WIRE},
    {"kind": "mesh", "dims": [5], **WIRE}, {"kind": "ring", "devices": 6, **WIRE},
    {"kind": "fat_tree", "devices": 8, "arity": 2, **WIRE}, SWITCH, {**SWITCH, "kind": "bus"},
    {"kind": "fully_connected", "devices": 5, **WIRE},
    {"kind": "hierarchical", "levels": [SWITCH, SWITCH]},
    {"kind": "hierarchical", "levels": [SWITCH, SWITCH], "uplinks": ["switch"]},
    {"kind": "custom", "devices": 2, **WIRE, "links": [{"from": 0, "to": 1}, {"from": 0, "to": 2}]},
]  # fmt: skip


def places_of(data):
    fabric = network(data).fabric()
    rows = link_rows(fabric, np.zeros(fabric.links, np.int64), 1)
    return positions(rows, fabric.terminals, fabric.dims)


@pytest.mark.parametrize("data", CASES, ids=[case["kind"] for case in CASES])
def test_every_node_that_is_joined_has_a_place_of_its_own(data):
    fabric, places = network(data).fabric(), places_of(data)
    assert places.keys() == {*fabric.src.tolist(), *fabric.dst.tolist()}
    assert len({*places.values()}) == len(places)


def test_switches_stand_over_the_middle_of_what_they_join():
    places = places_of(CASES[4])
    assert places[8] == (0.5, 2.0)  # over devices 0 and 1
    assert places[14] == (3.5, 6.0)


def test_a_link_is_as_busy_as_its_bytes_take_of_the_time():
    fabric = network({"kind": "ring", "devices": 2, **WIRE, "duplex": "half"}).fabric()
    rows = link_rows(fabric, np.array([50_000, 25_000]), 3 * 10**6)
    assert [row["bytes"] for row in rows] == [50_000, 25_000]
    assert [row["utilisation"] for row in rows] == [pytest.approx(0.5)] * 2


def test_a_figure_comes_with_its_data(tmp_path):
    fabric = network(CASES[0]).fabric()
    carried = np.arange(fabric.links) * 1000
    path = network_figure(fabric, carried, 10**6, tmp_path / "net")
    assert path == tmp_path / "net.png"
    assert path.stat().st_size > 5000
    assert "6 devices; the busiest link 26%" in (tmp_path / "net.svg").read_text()
    with (tmp_path / "net.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["bytes"]) for row in rows] == carried.tolist()
