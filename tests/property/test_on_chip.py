"""Laws of floorplans: bytes go where they are said to go, over no more links than they must."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import archsim
from archsim.interconnect.base import links
from archsim.interconnect.floorplan import flow

NETWORKS = (
    {"kind": "mesh", "dims": [4, 3]},
    {"kind": "torus", "dims": [4, 3]},
    {"kind": "ring", "devices": 12},
    {"kind": "switch", "devices": 12},
    {"kind": "crossbar", "devices": 12},
    {"kind": "fully_connected", "devices": 12},
)
WIRE = {"bandwidth": "64 GB/s", "latency": "3 ns", "medium": "chip"}
nodes = st.lists(st.integers(0, 11), min_size=1, max_size=12, unique=True).map(tuple)


def fabric_of(data):
    cls = links.get(data["kind"])
    return cls("net", cls.Spec.model_validate_json(json.dumps(data | WIRE))).fabric()


networks = st.sampled_from(NETWORKS).map(fabric_of)


@given(networks, nodes, nodes)
def test_what_enters_a_node_and_is_not_for_it_leaves_it(fabric, sources, targets):
    one = flow(fabric, sources, targets)
    left = np.zeros(fabric.nodes)
    np.add.at(left, fabric.src, one.share)
    np.subtract.at(left, fabric.dst, one.share)
    wanted = np.zeros(fabric.nodes)
    np.add.at(wanted, list(sources), 1 / len(sources))
    np.subtract.at(wanted, list(targets), 1 / len(targets))
    assert left == pytest.approx(wanted, abs=1e-9)


@given(networks, nodes, nodes)
def test_hops_and_latency_are_means_over_all_pairs(fabric, sources, targets):
    one = flow(fabric, sources, targets)
    ways = [fabric.route(a, b) for a in sources for b in targets]
    assert one.hops == pytest.approx(np.mean([len(way) for way in ways]))
    times = [int(fabric.latency_ps[list(way)].sum()) for way in ways]
    assert one.mean_ps == pytest.approx(np.mean(times))
    assert one.worst_ps == max(times)


@given(networks, nodes, nodes, st.integers(2, 12))
def test_multicast_saves_links_but_reaches_every_receiver(fabric, sources, targets, together):
    apart, tree = flow(fabric, sources, targets), flow(fabric, sources, targets, together)
    assert (tree.share <= apart.share + 1e-12).all()
    assert (tree.share >= apart.share / together - 1e-12).all()
    assert tree.bytes_per_s >= apart.bytes_per_s * (1 - 1e-12)
    # the last link to a receiver is its own, unless the sender is there already
    into = np.zeros(fabric.nodes)
    np.add.at(into, fabric.dst, tree.share)
    away = [sum(s != t for s in sources) / len(sources) / len(targets) for t in targets]
    assert (into[list(targets)] >= np.array(away) - 1e-9).all()


@given(networks, nodes, nodes)
def test_bandwidth_is_that_at_which_the_fullest_link_is_full(fabric, sources, targets):
    one = flow(fabric, sources, targets)
    if not one.hops:
        assert one.bytes_per_s == float("inf")
        return
    use = one.share * one.bytes_per_s / fabric.bytes_per_s
    assert use.max() == pytest.approx(1)
    assert use[one.hottest] == pytest.approx(1)


@given(networks, nodes, nodes, st.permutations(range(12)))
def test_the_order_of_nodes_does_not_matter_without_multicast(fabric, sources, targets, order):
    again = flow(fabric, [n for n in order if n in sources], [n for n in order if n in targets])
    assert again.share == pytest.approx(flow(fabric, sources, targets).share)


parts = st.fixed_dictionaries({
    "hbm": nodes, "sram": nodes, "vector": st.integers(0, 11).map(lambda n: (n,)),
    "array": st.lists(st.integers(0, 11), min_size=2, max_size=2, unique=True),
})  # fmt: skip


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(NETWORKS), parts, st.booleans(), st.sampled_from(["full", "half"]))
def test_no_link_of_a_chip_is_busier_than_the_run(network, place, multicast, duplex):
    plan = {part: list(at) for part, at in place.items()}
    net = network | WIRE | {"place": plan, "multicast": multicast, "duplex": duplex}
    hardware = {
        "schema": "archsim.hardware/1", "name": "chip", "clocks": {"core": "1 GHz"},
        "memory": {
            "sram": {"kind": "sram", "capacity": "256 KiB", "bandwidth": "1024 B/cycle"},
            "hbm": {"kind": "dram", "capacity": "1 GiB", "bandwidth": "100 GB/s",
                    "latency": "50 ns", "energy": "hbm2"},
        },
        "engines": {
            "array": {"kind": "systolic_array", "count": 2, "rows": 16, "cols": 16},
            "vector": {"kind": "vector_unit", "lanes": 16},
        },
        "interconnect": {"noc": net},
    }  # fmt: skip
    op = {"name": "x", "kind": "gemm", "m": 256, "n": 384, "k": 512}
    work = {"schema": "archsim.workload/1", "name": "product",
            "model": {"config": {"architecture": "graph", "ops": [op]}}}  # fmt: skip
    found = archsim.run(hardware, work, fidelity="tile", advice=False).result
    noc = found["noc"]
    assert all(link["utilization"] <= 1 + 1e-9 for link in noc["links"])
    moved = {name: one["bytes"] for name, one in noc["flows"].items()}
    read = found["traffic"]["hbm"]["weight_read_bytes"]
    read += found["traffic"]["hbm"]["activation_read_bytes"]
    assert moved["hbm>sram"] == read
    over = sum(moved[name] * one["hops"] for name, one in noc["flows"].items())
    assert sum(link["bytes"] for link in noc["links"]) == pytest.approx(over, abs=len(noc["links"]))
