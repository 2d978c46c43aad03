"""Do routes of the flit simulator arrive by shortest ways, and never deadlock?"""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.core.errors import InputError
from archsim.interconnect.flit_measure import Protocol, measure
from archsim.interconnect.flit_network import FlitNetwork
from archsim.interconnect.flit_paths import closing_waits
from archsim.interconnect.traffic import pattern
from archsim.system.noc_network import network_of

SHORT = Protocol(period_cycles=200, most_latency_cycles=1e9)


def flooded(topology: str, load: float, traffic: str = "uniform", flits: int = 3, **router):
    """A network far past saturation, drained to its last flit."""
    network = network_of(topology, router, fidelity="cycle")
    wires = network.wires
    run = FlitNetwork(
        wires, network.routers, pattern(traffic, wires.nodes, wires.dims), rate=load / flits,
        packet_flits=flits, seed=7,
    )  # fmt: skip
    return measure(run, SHORT)


@pytest.mark.parametrize("topology", ["mesh:4x4", "torus:5x4", "torus:4x4x2"])
@pytest.mark.parametrize("routing", ["dimension_order", "adaptive", "table"])
@pytest.mark.parametrize("traffic", ["uniform", "tornado"])
def test_a_flooded_network_drains(topology: str, routing: str, traffic: str) -> None:
    found = flooded(topology, 0.9, traffic, routing=routing, vcs=4, buffer=2)
    assert found.stable
    assert found.packets > 100


@pytest.mark.parametrize("topology", ["ring:9", "fat_tree:16", "switch:8", "fully_connected:6"])
def test_other_topologies_drain_by_table(topology: str) -> None:
    assert flooded(topology, 0.9, vcs=2, buffer=3).stable


def test_adaptive_ways_are_as_short_as_those_in_order() -> None:
    ordered = flooded("mesh:6x6", 0.05)
    adaptive = flooded("mesh:6x6", 0.05, routing="adaptive")
    assert adaptive.hops == ordered.hops


def test_adaptive_ways_carry_more_of_a_transpose() -> None:
    ordered = flooded("mesh:8x8", 0.5, "transpose", flits=1)
    adaptive = flooded("mesh:8x8", 0.5, "transpose", flits=1, routing="adaptive")
    assert adaptive.accepted > 1.2 * ordered.accepted


def test_a_table_of_a_mesh_is_its_dimension_order() -> None:
    ordered = flooded("mesh:4x4", 0.1)
    assert flooded("mesh:4x4", 0.1, routing="table").hops == ordered.hops


@given(st.lists(st.lists(st.integers(0, 8), min_size=1, max_size=5, unique=True), max_size=12))
@settings(max_examples=100, deadline=None)
def test_without_the_closing_waits_no_ring_is_left(routes: list[list[int]]) -> None:
    import networkx as nx

    back = closing_waits(routes)
    waits = {pair for route in routes for pair in pairwise(route)}
    assert back <= waits
    assert nx.is_directed_acyclic_graph(nx.DiGraph(sorted(waits - back)))


def test_a_ring_needs_two_classes() -> None:
    assert network_of("ring:8", {}, fidelity="cycle").wires.classes == 2
    with pytest.raises(InputError, match="wait for each other in a ring"):
        network_of("ring:8", {"vcs": 1}, fidelity="cycle")


def test_classes_of_vcs_never_fall_along_a_path() -> None:
    wires = network_of("torus:5x4", {"routing": "table", "vcs": 8}, fidelity="cycle").wires
    ends = [*wires.path_at[1:], len(wires.paths)]
    for start, end in zip(wires.path_at, ends, strict=True):
        masks = [step & 0xFFFFFFFF for step in wires.paths[start : end - 1]]
        assert masks == sorted(masks)
