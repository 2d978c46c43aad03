"""Does a floorplan cost what its links say, in time, bytes and energy, and is it told so?"""

from itertools import pairwise

import pytest

import archsim
from archsim.core.data import find
from archsim.core.yamlio import load_yaml
from archsim.report.explain import explain

ALL = {"sram": "all", "array": "all", "vector": "all"}
CORNERS = [[0, 0], [3, 0], [0, 3], [3, 3]]
FREE = {"bandwidth": "1000000 TB/s", "latency": "0 s"}
LINE = {"dims": [4], "place": {"hbm": [0], "sram": [3], "array": [3], "vector": [3]}}


def machine(noc=None, **parts):
    """An NPU of 16 arrays and 16 vector units; on a mesh of 4 x 4 unless `noc` says otherwise."""
    data = {
        "schema": "archsim.hardware/1", "name": "tiled", "clocks": {"core": "1 GHz"},
        "memory": {
            "sram": {"kind": "sram", "capacity": "16 MiB", "banks": 64, "width_bits": 512,
                     "bandwidth": "32768 B/cycle"},
            "hbm": {"kind": "dram", "capacity": "16 GiB", "bandwidth": "1 TB/s",
                    "latency": "100 ns", "energy": "hbm2"},
        },
        "engines": {
            "array": {"kind": "systolic_array", "count": 16, "rows": 64, "cols": 64},
            "vector": {"kind": "vector_unit", "count": 16, "lanes": 64},
        },
    } | parts  # fmt: skip
    if noc is not None:
        mesh = {"kind": "mesh", "dims": [4, 4], "bandwidth": "256 GB/s", "latency": "5 ns",
                "width": 2048, "medium": "chip", "place": {"hbm": CORNERS, **ALL}}  # fmt: skip
        data["interconnect"] = {"noc": mesh | noc}
    return data


def product(m=2048, n=2048, k=2048):
    op = {"name": "x", "kind": "gemm", "m": m, "n": n, "k": k}
    return {"schema": "archsim.workload/1", "name": "product",
            "model": {"config": {"architecture": "graph", "ops": [op]}}}  # fmt: skip


def run(noc=None, work=None, parts=None, fidelity="tile", **options):
    hardware = machine(noc, **(parts or {}))
    return archsim.run(hardware, work or product(), fidelity=fidelity, advice=False, **options)


def placed(**place):
    return {"place": {"hbm": CORNERS, **ALL, **place}}


@pytest.mark.parametrize("fidelity", ["analytic", "tile", "cycle"])
def test_links_without_end_take_the_time_of_a_machine_without_them(fidelity):
    with_links = run(FREE, fidelity=fidelity)
    assert with_links.result["time_ps"] == run(fidelity=fidelity).result["time_ps"]
    assert with_links.result["noc"]["bound_steps"] == 0


def test_a_flow_gets_the_least_of_bandwidth_over_share_along_its_routes():
    one = run(placed(hbm=[[0, 0]])).result["noc"]["flows"]
    # x first: of 16 slices, 12 lie behind the first link along x
    assert one["hbm>sram"]["effective_bytes_per_s"] == pytest.approx(256e9 / (12 / 16))
    # y last: of 16 slices, 12 come down the last link along y
    assert one["sram>hbm"]["effective_bytes_per_s"] == pytest.approx(256e9 / (12 / 16))
    # all to all on four columns: half of the bytes of two of four cross the middle, in four rows
    assert one["sram>array"]["effective_bytes_per_s"] == pytest.approx(256e9 / (1 / 4 / 4))
    assert one["sram>array"]["hops"] == pytest.approx(2 * 1.25)
    assert one["hbm>sram"]["hops"] == pytest.approx(3)
    assert one["hbm>sram"]["worst_latency_ps"] == 6 * 5000
    assert one["hbm>sram"]["mean_latency_ps"] == pytest.approx(3 * 5000)


def test_a_transfer_lasts_as_long_as_its_link_and_begins_after_its_way():
    work = product(m=16, n=4096, k=4096)  # weights once, over one link of the line
    slow = run({**LINE, "bandwidth": "100 GB/s"}, work).result
    weights = 4096 * 4096 * 2
    assert slow["time_ps"] >= weights * 10
    assert slow["time_ps"] == pytest.approx(weights * 10, rel=0.02)
    assert next(iter(slow["stalls"])) == "noc_bandwidth"
    near, far = (run({**LINE, **FREE, "latency": ns}, work).result for ns in ("0 s", "1 us"))
    # once: three links to the SRAM; later tiles are on their way before
    assert far["time_ps"] - near["time_ps"] >= 3_000_000


def test_ports_at_the_middles_of_edges_beat_corners_and_corners_beat_one_corner():
    work = product(m=64, n=8192, k=8192)
    middles = [[1, 0], [3, 1], [2, 3], [0, 2]]
    plans = [placed(hbm=nodes) for nodes in (middles, CORNERS, [[0, 0]])]
    found = [run(plan, work) for plan in plans]
    flows = [one.result["noc"]["flows"]["hbm>sram"] for one in found]
    for better, worse in pairwise(flows):
        assert better["effective_bytes_per_s"] >= worse["effective_bytes_per_s"]
    assert flows[0]["hops"] < flows[1]["hops"] == flows[2]["hops"]
    times = [one.result["time_ps"] for one in found]
    assert times[0] <= times[1] < 0.5 * times[2]
    energies = [one.metrics["energy_j"]["by_component"]["noc"] for one in found]
    assert energies[0] < energies[1]


def test_engines_far_from_their_memory_cost_time_and_energy():
    plans = ({"dims": [8], "place": {**LINE["place"], "array": [node]}} for node in (4, 7))
    near, far = (run(plan).result for plan in plans)
    assert near["time_ps"] < far["time_ps"]
    hops = [one["noc"]["flows"]["sram>array"]["hops"] for one in (near, far)]
    assert hops == [1, 4]
    energy = [one["metrics"]["energy_j"]["by_component"]["noc"] for one in (near, far)]
    assert energy[0] < 0.5 * energy[1]


def test_parts_on_one_node_cross_nothing():
    plan = {"place": {part: [5] for part in ("hbm", "sram", "array", "vector")}}
    found, without = run(plan), run()
    assert found.result["time_ps"] == without.result["time_ps"]
    assert found.result["noc"]["hottest_link"] is None
    assert found.metrics["energy_j"]["by_component"]["noc"] == 0


def test_multicast_passes_a_link_once_for_all_instances_behind_it():
    work = product(m=64, n=16384, k=64)  # all arrays read the same inputs
    each, once = (run({"multicast": is_on}, work).result["noc"] for is_on in (False, True))
    assert once["mean_hops"] < each["mean_hops"]
    shared = next(name for name in once["flows"] if "*" in name)
    assert shared == "sram>array*16"
    # a tree over x, then y: the first and the last row are behind 12 of 16 slices
    rate = once["flows"][shared]["effective_bytes_per_s"]
    assert rate == pytest.approx(16 * 256e9 / (12 / 16))
    assert once["flows"][shared]["hops"] == pytest.approx(15 / 16)


def test_reduction_leaves_out_the_way_back_of_sums():
    work = product(m=512, n=512, k=8192)
    mapping = {"mapping": [{"ops": "*", "dataflow": "weight_stationary"}]}
    both = [run({"reduction": is_on}, work, mapping).result for is_on in (False, True)]
    back, added = (one["noc"]["flows"]["sram>array"]["bytes"] for one in both)
    assert added < back
    assert both[1]["time_ps"] <= both[0]["time_ps"]


def test_all_that_a_stage_moves_over_a_link_fits_its_time():
    # loads, feeds and results all pass the link in the middle of the line
    plan = {"dims": [4], "bandwidth": "200 GB/s",
            "place": {"hbm": [0], "sram": [2], "array": [1], "vector": [1]}}  # fmt: skip
    for work in (product(), product(m=64), product(n=256, k=512)):
        noc = run(plan, work).result["noc"]
        assert 0.5 < noc["hottest_link"]["utilization"] <= 1


def test_both_directions_of_a_half_duplex_link_share_its_wire():
    full, half = (run({"duplex": duplex}).result["noc"] for duplex in ("full", "half"))
    rates = [one["flows"]["sram>array"]["effective_bytes_per_s"] for one in (full, half)]
    assert rates[0] == pytest.approx(2 * rates[1])
    assert half["hottest_link"]["utilization"] <= 1


def test_routers_reach_less_of_their_links_than_ideal_ones_carry():
    ideal, real = (run(fidelity=f, noc={}).result for f in ("tile", "cycle"))
    flows = real["noc"]["flows"]
    assert all(0.3 < one["reached"] < 1 for one in flows.values())
    assert all(one["reached"] == 1 for one in ideal["noc"]["flows"].values())
    assert real["time_ps"] > ideal["time_ps"]
    shares = sorted(100 * one["reached"] for one in flows.values())
    tail = (
        "steps that overlap share links within a stage; stages that overlap, and several memories "
        "behind the chip, do not wait for each other's bytes"
    )
    assert real["fidelity_notes"] == [
        "memory is bandwidth and latency behind one port",
        f"routers of noc reach {shares[0]:.0f} to {shares[-1]:.0f} % of their links, flit by flit "
        f"for each flow alone: {tail}",
    ]
    assert ideal["fidelity_notes"][1] == f"links of noc are ideal: {tail}"


def test_energy_is_that_of_the_bytes_of_all_links():
    found = run({"energy": "0.25 pJ/bit"})
    links = found.result["noc"]["links"]
    moved = sum(link["bytes"] for link in links)
    spent = found.metrics["energy_j"]["by_component"]["noc"]
    assert spent == pytest.approx(moved * 8 * 0.25e-12, rel=1e-6)
    hops = found.result["noc"]["flows"]["hbm>sram"]["hops"]
    row = found.result["energy_rows"]["flow.noc.hbm>sram"]
    assert row["pj"] == pytest.approx(8 * 0.25 * hops)
    assert (
        row["count"]
        == found.result["traffic"]["hbm"]["weight_read_bytes"]
        + (found.result["traffic"]["hbm"]["activation_read_bytes"])
    )


def test_routers_and_links_have_area_and_static_power():
    found, without = run({}), run()
    area = found.metrics["area_mm2"]["by_component"]
    assert area["noc"] > 0
    assert found.metrics["area_mm2"]["total"] == pytest.approx(
        without.metrics["area_mm2"]["total"] + area["noc"]
    )
    watts = [one.metrics["energy_j"]["by_component"]["leakage"] / one.metrics["time_s"]
             for one in (found, without)]  # fmt: skip
    assert watts[0] > watts[1]


def test_explain_names_the_hottest_link():
    found = run(placed(hbm=[[0, 0]]), product(m=64, n=8192, k=8192))
    stall = explain(found.result, found.ops, "stalls.noc_bandwidth")
    assert stall.formula.endswith("; its hottest link leads from [0, 0] to [1, 0]")
    assert "[0, 0] to [1, 0]" in [part.name for part in stall.parts]
    hottest = explain(found.result, found.ops, "noc.hottest_link.utilization")
    assert hottest.value == found.result["noc"]["hottest_link"]["utilization"]
    rate = explain(found.result, found.ops, "noc.flows.hbm>sram.effective_bytes_per_s")
    assert rate.unit == "B/s"
    assert "[0, 0] to [1, 0]" in found.summary()
    assert explain(found.result, found.ops, "noc.mean_hops").components == ("noc",)


def test_a_wider_link_is_the_first_change_where_links_take_the_time():
    plan = machine(placed(hbm=[[0, 0]]))
    found = archsim.run(plan, product(m=64, n=8192, k=8192), fidelity="tile")
    assert found.result["advice"]["set"] == ["interconnect.noc.bandwidth=512 GB/s"]
    assert found.result["advice"]["gain"] > 1.5


def test_both_engines_and_every_repeat_give_the_same_picosecond():
    times = {
        run({}, "bert-base-encode", fidelity="cycle", **options).result["time_ps"]
        for options in ({}, {"engine": "simpy"}, {"exact": True})
    }
    assert len(times) == 1


def test_several_instances_may_share_a_node():
    plan = placed(array=[[1, 1], [2, 1], [1, 2], [2, 2]], vector=[[1, 1]])
    flows = run(plan, "bert-base-encode").result["noc"]["flows"]
    middle = (0 + 1 + 2 + 3 + 1 + 0 + 1 + 2) / 8  # along either dimension from 1 and from 2
    assert flows["sram>vector"]["hops"] == pytest.approx(2 * 1.0)
    assert flows["sram>array"]["hops"] == pytest.approx(2 * (middle / 1.25))


def test_what_lies_further_away_crosses_between_the_ports_of_memories():
    data = load_yaml(find("npu-host", "configs")).data
    del data["provenance"]
    data["memory"]["hbm"]["capacity"] = "192 MiB"
    place = {"hbm": [0], "host": [3], "sram": [1], "array": [2], "vector": [2]}
    mesh = {"kind": "mesh", "dims": [4], "bandwidth": "256 GB/s", "latency": "5 ns", "place": place}
    data["interconnect"]["noc"] = mesh
    found = archsim.run(data, "gpt2-small-prefill", fidelity="tile", advice=False).result
    staged = found["noc"]["flows"]["host>hbm"]
    assert staged["bytes"] == found["traffic"]["host"]["total_bytes"] > 0
    assert staged["hops"] == 3


def test_a_chip_with_a_network_may_stand_on_one_between_chips():
    node = {"kind": "ring", "devices": 4, "bandwidth": "50 GB/s", "latency": "1 us"}
    hardware = machine({})
    hardware["interconnect"]["node"] = node
    one = run({}, "bert-base-encode").result
    four = archsim.run(hardware, "bert-base-encode", fidelity="tile", advice=False).result
    assert four["devices"] == 4
    assert 0 < four["noc"]["hottest_link"]["utilization"] <= 1
    assert four["metrics"]["area_mm2"]["by_component"]["noc"] == pytest.approx(
        4 * one["metrics"]["area_mm2"]["by_component"]["noc"]
    )


def test_options_without_effect_are_named():
    plan = {"multicast": True, "place": {**ALL, "hbm": CORNERS, "array": [[0, 0]]}}
    one = {"array": {"kind": "systolic_array", "rows": 64, "cols": 64},
           "vector": {"kind": "vector_unit", "count": 16, "lanes": 64}}  # fmt: skip
    assert run(plan, parts={"engines": one}).warnings == [
        "W101 interconnect.noc.multicast has no effect: no array has instances that read together"
    ]
    assert not run({"multicast": True}).warnings


@pytest.mark.parametrize(("name", "work"), [
    ("wafer-mesh", "llama-3-8b-prefill"), ("chiplet-package", "edge-vision"),
])  # fmt: skip
def test_shipped_chips_are_bound_by_their_links_only_where_they_are_full(name, work):
    found = archsim.run(name, work, fidelity="tile", advice=False).result
    noc = found["noc"]
    assert 0.2 < noc["hottest_link"]["utilization"] <= 1
    assert found["stalls"][f"{noc['network']}_bandwidth"] > 0.03
    rates = [one["effective_bytes_per_s"] for one in noc["flows"].values()]
    assert min(rates) > 25e9


def test_buffers_that_leave_long_links_idle_are_warned_of():
    long = {"latency": "50 ns"}
    short = run(long, fidelity="cycle")
    said = (
        "W206 interconnect.noc: a credit is away for 100 cycles, and 8 VCs of 8 flits, each with "
        "one packet, fill 0.4 of a link at most: router.buffer: 13 with wait_for_tail_credit: "
        "false fills it"
    )
    assert said in short.warnings
    router = {"buffer": 13, "wait_for_tail_credit": False}
    enough = run(long | {"router": router}, fidelity="cycle")
    assert not [text for text in enough.warnings if "W206" in text]
    assert enough.result["time_ps"] < short.result["time_ps"]
    assert not [text for text in run(long, fidelity="tile").warnings if "W206" in text]
