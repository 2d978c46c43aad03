"""Is a collective in the machine what its network says, in time, bytes, energy, area and words?"""

import pytest

import archsim
from archsim.report.explain import explain

SWITCH = "{kind: switch, devices: 8, bandwidth: 100 GB/s, latency: 1 us, energy: 2 pJ/bit}"
TORUS = "{kind: torus, dims: [4, 2], bandwidth: 45 GB/s, latency: 1 us, energy: 1.5 pJ/bit}"
MODEL = {
    "architecture": "transformer", "layers": 4, "hidden": 256, "heads": 8, "kv_heads": 8,
    "head_dim": 32, "ffn": 512, "ffn_matrices": 2, "activation": "relu", "norm": "rms",
    "position": "none", "vocab": 512,
}  # fmt: skip


def workload(plan=None, config=None, **phase):
    phase = phase or {"kind": "decode", "batch": 8, "context": 64}
    data = {"schema": "archsim.workload/1", "name": "small", "model": {"config": config or MODEL}}
    return data | {"phase": phase} | ({"parallel": plan} if plan else {})


def run(plan=None, hardware="npu", node=SWITCH, set_=(), config=None, phase=None, **options):
    net = [f"interconnect.node={node}"] if node else []
    work = workload(plan, config, **(phase or {}))
    options = {"fidelity": "tile", "advice": False, **options}
    return archsim.run(hardware, work, set_=[*net, *set_], **options)


def exchange(pattern="all_reduce", elements=1 << 20, **options):
    """A run of one op: an exchange among eight devices."""
    line = {"kind": "collective", "name": "x", "pattern": pattern, "devices": 8,
            "elements": elements}  # fmt: skip
    config = {"architecture": "graph", "ops": [line]}
    phase = {"kind": "infer", "batch": 1}
    return run({"tensor": 8}, config=config, phase=phase, **options)


def test_one_exchange_takes_the_time_of_its_algorithm_and_nothing_else():
    found = exchange(elements=1 << 25).result  # 64 MiB at 100 GB/s: longer than memory takes
    (one,) = found["collectives"]
    assert found["time_ps"] == one["time_ps"] == one["latency_ps"] + one["transfer_ps"]
    assert one["transfer_ps"] == 2 * 7 * 2 * (1 << 25) // 8 * 10  # ps: 10 a byte
    assert found["breakdown"]["communication"] == 1


def test_a_device_exchanges_no_faster_than_its_memory_gives_and_takes():
    fast = exchange(elements=1 << 25, set_=["interconnect.node.bandwidth=100 TB/s"]).result
    moved = 2 * 2 * (1 << 25)  # read and written, 2 bytes an element
    assert fast["time_ps"] >= moved * 10**12 // fast["machine"]["bandwidth_bytes_per_s"] * 8
    assert fast["traffic"]["hbm"]["total_bytes"] == 8 * moved


@pytest.mark.parametrize("node", [SWITCH, TORUS])
@pytest.mark.parametrize("pattern", ["all_reduce", "all_gather", "reduce_scatter", "all_to_all"])
def test_bytes_on_links_are_priced_once_for_the_whole_pod(pattern, node):
    found = exchange(pattern, node=node).result
    (one,) = found["collectives"]
    net = found["metrics"]["network"]
    assert net["sent_bytes"] == one["sent_bytes"] >= one["least_bytes"] > 0
    assert net["bytes"]["total"] >= net["sent_bytes"]
    pj = {SWITCH: 2, TORUS: 1.5}[node]
    joules = found["metrics"]["energy_j"]["by_component"]["node"]
    assert joules == pytest.approx(net["bytes"]["total"] * 8 * pj * 1e-12)
    assert 0 < net["busiest_link"] <= 1


def test_area_and_static_power_are_of_all_devices_and_the_network():
    one, all_ = (run(node=node).result for node in (None, SWITCH))
    areas = [r["metrics"]["area_mm2"]["by_component"] for r in (one, all_)]
    assert {k: v for k, v in areas[1].items() if k != "node"} == pytest.approx(
        {k: 8 * v for k, v in areas[0].items()}
    )
    assert areas[1]["node"] > 0
    watts = [
        r["metrics"]["energy_j"]["by_component"]["leakage"] / r["time_ps"] for r in (one, all_)
    ]
    assert watts[1] > 8 * watts[0]


def test_all_devices_together_do_the_work_of_one():
    one, all_ = (run(node=node) for node in (None, SWITCH))
    macs = [sum(op["macs"] for op in report.ops) for report in (one, all_)]
    assert macs[0] == macs[1]
    read = [r.result["traffic"]["hbm"]["weight_read_bytes"] for r in (one, all_)]
    assert read[1] >= read[0]  # norms and embeddings are held by all


@pytest.mark.parametrize(
    "plan",
    [{"tensor": 8}, {"tensor": 2, "data": 4}, {"pipeline": 2, "tensor": 4, "microbatches": 4},
     {"tensor": 8, "overlap_chunks": 2}, {"data": 8}],
)  # fmt: skip
def test_shares_of_the_time_sum_to_one_and_no_bound_is_beaten(plan):
    found = run(plan).result
    assert sum(found["breakdown"].values()) == pytest.approx(1)
    assert sum(found["stalls"].values()) == pytest.approx(1)
    assert found["time_ps"] >= found["bound"]["communication_ps"] > 0 or plan == {"data": 8}
    assert found["devices"] == 8
    assert (found["breakdown"]["bubble"] > 0) == ("pipeline" in plan)
    assert found["metrics"]["utilization"]["mfu"] <= 1


@pytest.mark.parametrize("plan", [{"tensor": 8}, {"pipeline": 2, "tensor": 4, "microbatches": 4}])
def test_a_report_of_every_device_is_that_of_their_classes(plan):
    folded, exact = (run(plan, exact=how) for how in (False, True))
    same = {
        "time_ps",
        "metrics",
        "breakdown",
        "collectives",
        "counts",
        "traffic",
        "bound",
        "checks",
    }
    for key in same - {"metrics"}:
        assert folded.result[key] == exact.result[key], key
    energies = [r.result["metrics"]["energy_j"]["total"] for r in (folded, exact)]
    assert energies[0] == pytest.approx(energies[1], rel=1e-12)
    assert [op["op"] for op in folded.ops] == [op["op"] for op in exact.ops]


@pytest.mark.parametrize("hardware", ["npu", "h100"])
def test_chunks_on_their_way_while_others_are_computed_save_time_within_what_can_be(hardware):
    wide = MODEL | {"hidden": 1024, "head_dim": 128, "ffn": 4096}
    phase = {"kind": "prefill", "batch": 8, "tokens": 256}
    whole, cut = (
        run({"tensor": 8, "overlap_chunks": n}, hardware, config=wide, phase=phase).result
        for n in (1, 2)
    )
    talk = [sum(c["repeats"] * c["time_ps"] for c in r["collectives"]) for r in (whole, cut)]
    assert cut["time_ps"] < whole["time_ps"]
    assert cut["time_ps"] >= max(talk[1], whole["time_ps"] - talk[0])


def test_where_kernels_are_launched_an_exchange_has_the_chip_to_itself():
    from archsim.api import place_only

    for chunks, alone in ((1, True), (2, False)):
        plan = place_only(
            "h100", workload({"tensor": 8, "overlap_chunks": chunks}),
            set_=[f"interconnect.node={SWITCH}"],
        )  # fmt: skip
        found = [s for b in plan.blocks for s in b.stages if s.ops[0].collective]
        assert {stage.exclusive for stage in found} == {alone}


def test_a_pod_of_one_device_less_is_another_pod_and_a_lone_chip_says_nothing_of_pods():
    alone = run(node=None).result
    assert not {"devices", "parallel", "breakdown", "collectives"} & set(alone)
    assert "communication_ps" not in alone["bound"]
    assert "network" not in alone["metrics"]


def test_each_device_holds_its_share():
    one, all_ = (run(node=node).result for node in (None, SWITCH))
    held = [r["metrics"]["memory_peak_bytes"]["hbm"] for r in (one, all_)]
    assert held[0] / 8 <= held[1] < held[0] / 4
    assert all_["parallel"]["groups"] == {"tensor": {"groups": 1, "devices": 8}}
    assert all_["warnings"][0] == "W112 no parallel plan was given: tensor 8 was chosen"


def test_microbatches_under_way_hold_their_caches_at_once():
    plan = {"pipeline": 2, "tensor": 4, "microbatches": 4}
    found = run(plan).result["parallel"]["shares"]
    assert [share["devices"] for share in found] == [4, 4]
    cache = [share["held_bytes"]["kv_cache"] for share in found]
    alone = run({"tensor": 8}).result["parallel"]["shares"][0]["held_bytes"]["kv_cache"]
    assert cache == [alone, alone]  # a quarter of the batch four times, half of the layers


def test_a_pod_that_waits_for_its_network_is_told_to_change_it():
    report = run(set_=["interconnect.node.bandwidth=1 GB/s", "interconnect.node.latency=1 ns"],
                 advice=True)  # fmt: skip
    assert report.result["advice"]["settings"][0]["path"] == "interconnect.node.bandwidth"
    assert report.result["advice"]["gain"] > 1.5
    assert report.result["bound_by"] == "communication"
    slow = run(set_=["interconnect.node.latency=100 us"], advice=True).result
    assert slow["advice"]["settings"][0]["path"] == "interconnect.node.latency"


def test_numbers_of_a_pod_are_explained():
    report = run({"pipeline": 2, "tensor": 4, "microbatches": 4})
    found = explain(report.result, report.ops, "collectives[0].time_ps")
    assert found.formula.startswith("all_reduce over tensor (4 devices, ")
    assert {p.name for p in found.parts} == {"latency_ps", "transfer_ps", "least_ps", "repeats"}
    bubble = explain(report.result, report.ops, "breakdown.bubble")
    assert "waited for" in bubble.formula
    text = report.summary()
    assert "Devices      8" in text
    assert "tensor 4, pipeline 2, 4 microbatches (1f1b)" in text
    assert "Exchanges between devices" in text


@pytest.mark.parametrize("fidelity", ["bound", "analytic", "cycle"])
def test_every_fidelity_knows_pods(fidelity):
    found = run({"pipeline": 2, "tensor": 4, "microbatches": 4}, fidelity=fidelity).result
    assert found["time_ps"] >= found["bound_ps"]
    assert found["bound"]["communication_ps"] > 0


def test_a_graph_without_a_network_cannot_exchange():
    with pytest.raises(archsim.core.errors.ArchsimError):
        exchange(node=None)
