"""Does the report of a pod say what was waited for: latency, bytes, bubbles, and unlike devices?"""

import pytest

import archsim
from archsim.report import pod
from archsim.report.degraded import UNLIKE
from archsim.report.explain import explain

DECODE = {"kind": "decode", "batch": 8, "context": 64}
SLOW = "45 GB/s", "100 us"
NARROW = "100 MB/s", "1 ns"


def run(plan, network=SLOW, fidelity="tile", **options):
    devices = plan.get("tensor", 1) * plan.get("pipeline", 1)
    bandwidth, latency = network
    node = f"{{kind: switch, devices: {devices}, bandwidth: {bandwidth}, latency: {latency}}}"
    work = {"schema": "archsim.workload/1", "name": "w", "model": {"preset": "gpt2-small"},
            "phase": DECODE, "parallel": plan}  # fmt: skip
    return archsim.run("npu", work, fidelity=fidelity, advice=False,
                       set_=[f"interconnect.node={node}", *options.get("set_", ())])  # fmt: skip


@pytest.mark.parametrize("fidelity", ["analytic", "tile"])
def test_latency_of_exchanges_is_not_called_bandwidth(fidelity):
    found = run({"tensor": 4}, fidelity=fidelity).result
    waited = sum(c["repeats"] * c["latency_ps"] for c in found["collectives"])
    moved = sum(c["repeats"] * (c["time_ps"] - c["latency_ps"]) for c in found["collectives"])
    shares = found["stalls"]
    assert shares["node_latency"] * found["time_ps"] == pytest.approx(waited, rel=1e-6)
    assert shares["node_bandwidth"] * found["time_ps"] == pytest.approx(moved, rel=1e-6)
    assert "goes to node_latency" in found["verdict"]
    narrow = run({"tensor": 4}, NARROW, fidelity).result
    assert "goes to node_bandwidth" in narrow["verdict"]
    assert sum(narrow["stalls"].values()) == pytest.approx(1)


def test_what_is_not_simulated_has_no_bubbles():
    plan = {"pipeline": 2, "microbatches": 2}
    analytic, tile = (run(plan, fidelity=fidelity) for fidelity in ("analytic", "tile"))
    assert "bubble" not in analytic.result["breakdown"]
    assert tile.result["breakdown"]["bubble"] > 0
    for report in (analytic, tile):
        assert sum(report.result["breakdown"].values()) == pytest.approx(1)
    said = explain(tile.result, tile.ops, "breakdown.bubble").formula
    assert "another stage of the pipeline" in said
    said = explain(analytic.result, analytic.ops, "breakdown.memory").formula
    assert said == "share of the critical path"
    plain = run({"tensor": 2})
    assert "pipeline" not in explain(plain.result, plain.ops, "breakdown.bubble").formula


def test_receives_are_not_listed_and_paths_end_lines_at_a_word():
    report = run({"pipeline": 2, "tensor": 2, "microbatches": 2}, fidelity="analytic")
    rows = pod.lines(report.result)
    assert [row for row in rows if "receive" in row[0]] == []
    assert [row for row in rows if row[0].startswith("send over pipeline (2 devices, ")]
    assert "layer/ffn.down.all_reduce\n" in report.summary()
    assert "nothing sent" not in report.summary()


def test_the_note_of_a_pod_does_not_deny_its_network():
    (note, other) = run({"tensor": 2}, fidelity="cycle").result["fidelity_notes"]
    assert note == "cycle equals tile here: no bank-level DRAM or network on the chip is described"
    assert other.startswith("devices exchange messages")


def test_a_narrow_memory_among_banks_is_said_to_be_flat():
    options = {"set_": ["memory.hbm={kind: dram, standard: HBM2_2.0Gbps, stacks: 4}",
                        "faults=[{device: 1, memory_bandwidth: 0.5}]"]}  # fmt: skip
    assert UNLIKE in run({"tensor": 2}, fidelity="cycle", **options).result["fidelity_notes"]
    assert UNLIKE not in run({"tensor": 2}, fidelity="tile", **options).result["fidelity_notes"]


def test_links_of_a_stage_carry_what_that_stage_alone_exchanges():
    found = run({"tensor": 2, "pipeline": 2}, NARROW).result
    (last,) = (c for c in found["collectives"] if "lm_head" in c["path"])
    least = last["transfer_ps"] / found["time_ps"]
    assert found["metrics"]["network"]["busiest_link"] > least
