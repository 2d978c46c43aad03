"""Does a memory with banks cost a whole model what its layouts, refreshes and conflicts cost?"""

import pytest

import archsim
from archsim.core.errors import InputError

DECODE = {"phase": "decode", "batch": 64, "context": 1024}


def run(workload="llama-3-8b", set_=(), **options):
    phase = options.pop("phase_", DECODE)
    return archsim.run("npu-hbm2", workload, set_=[*set_], **phase, **options)


def banks(report):
    return report.result["banks"]["hbm"]


def test_a_streaming_decode_reaches_what_the_controller_reaches_on_a_stream():
    report = run(phase_={"phase": "decode", "batch": 1, "context": 128})
    weights = banks(report)["stages"]["layer/ffn.down"]["tensors"]["ffn.down.weight"]
    assert weights["efficiency"] == pytest.approx(0.8735, abs=0.005)  # of `archsim memory`
    moved = report.result["traffic"]["hbm"]["total_bytes"]
    assert report.metrics["time_s"] == pytest.approx(moved / 1.024e12 / 0.8735, rel=0.01)


def test_without_banks_the_same_standard_is_bandwidth_and_latency():
    tile, cycle = run(fidelity="tile"), run()
    assert tile.result["banks"] == {}
    assert cycle.result["fidelity_notes"][0].startswith("hbm bank by bank, ")
    assert tile.result["time_ps"] != cycle.result["time_ps"]
    assert tile.result["traffic"] == cycle.result["traffic"]


def test_a_cache_in_scattered_pages_of_a_token_costs_time_and_energy():
    whole = run(set_=["layout.kv_cache.order=token_major"])
    torn = run(set_=["layout.kv_cache.page=1"])
    score = "layer/attn.score"
    good, bad = (banks(r)["stages"][score] for r in (whole, torn))
    assert good["row_hit_rate"] > 0.9
    assert bad["row_hit_rate"] < 0.1
    assert good["efficiency"] > 2 * bad["efficiency"]
    assert whole.metrics["time_s"] < torn.metrics["time_s"]
    energy = [r.metrics["energy_j"]["by_component"]["hbm"] for r in (whole, torn)]
    assert energy[0] < energy[1]
    assert whole.result["traffic"] == torn.result["traffic"]


@pytest.mark.parametrize("phase", [{"phase": "decode", "batch": 8, "context": 512}])
def test_a_bounded_stream_stands_for_all_bursts(phase):
    bounded = archsim.run("npu-hbm2", "gpt2-small", **phase)
    whole = archsim.run("npu-hbm2", "gpt2-small", exact=True, **phase)
    assert bounded.result["time_ps"] == pytest.approx(whole.result["time_ps"], rel=0.01)
    assert banks(whole)["simulated_bursts"] >= banks(bounded)["simulated_bursts"]


def test_both_engines_agree_on_a_machine_with_banks():
    phase = {"phase": "decode", "batch": 2, "context": 128}
    compiled = archsim.run("npu-hbm2", "gpt2-small", **phase)
    simpy = archsim.run("npu-hbm2", "gpt2-small", engine="simpy", **phase)
    assert compiled.to_json() == simpy.to_json()


def test_a_worse_mapping_and_no_refresh_are_seen():
    plain = run().metrics["time_s"]
    clustered = run(set_=["memory.hbm.mapping=RoBaRaCoCh"]).metrics["time_s"]
    resting = run(set_=["memory.hbm.controller={refresh: none}"]).metrics["time_s"]
    assert resting < plain < clustered


def test_advice_on_the_memory_is_what_a_run_with_it_gives():
    before = run()
    advice = before.result["advice"]
    assert advice["set"] == ["memory.hbm.stacks=8"]
    assert run(set_=advice["set"]).result["time_ps"] == advice["time_ps"]


def test_a_mapping_that_drops_a_bit_is_refused_at_its_place():
    with pytest.raises(InputError) as caught:
        run(set_=["memory.hbm.mapping=row:15 bank:2 bank_group:2 column:4"])
    assert "drops bits" in str(caught.value)


def test_a_controller_without_a_standard_is_refused():
    with pytest.raises(InputError) as caught:
        archsim.run("npu", "gpt2-small", set_=["memory.hbm.controller={refresh: none}"], **DECODE)
    assert "controller is of the banks of a standard, and this dram has none" in str(caught.value)


def test_options_of_banks_that_are_not_simulated_are_named():
    options = ["memory.hbm.mapping=RoBaRaCoCh", "layout.kv_cache.page=16"]
    assert run(set_=options).warnings == []
    assert run(set_=options, fidelity="tile").warnings == [
        "W101 memory.hbm.mapping has no effect: its banks are not simulated in this run",
        "W101 layout has no effect: no memory's banks are simulated in this run",
    ]


def test_interleave_of_a_memory_that_only_kernels_read_is_named():
    options = ["memory.l2.interleave=word", "memory.l2.banks=160"]
    report = archsim.run("h100", "gpt2-small", set_=options, **DECODE)
    assert report.warnings == [
        "W101 memory.l2.interleave has no effect: kernels do not count bank conflicts"
    ]


def test_more_than_the_banks_hold_is_named():
    phase = {"phase": "decode", "batch": 8, "context": 64}
    report = run("mixtral-8x7b", ["memory.hbm.capacity=2 TiB"], phase_=phase)
    assert report.warnings == [
        "W205 memory.hbm holds 87.05 GiB, and its banks 32.00 GiB: their addresses begin again"
    ]


def test_a_report_leaves_out_no_more_than_the_run_did():
    cycle, tile = (run(fidelity=f).result["not_modelled"] for f in ("cycle", "tile"))
    flat = (
        "banks, refresh and command timing of hbm: bandwidth, latency and efficiency stand for them"
    )
    assert flat in tile
    assert flat not in cycle
    assert "when in absolute time hbm refreshes; the energy of refresh and standby" in cycle
