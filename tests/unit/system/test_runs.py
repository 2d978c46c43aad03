"""Does a run move, compute and account for what the closed forms say?"""

import json
import random
import subprocess
import sys

import pytest

import archsim
from archsim.core.data import find
from archsim.core.errors import Infeasible, InputError, Unsupported
from archsim.core.yamlio import load_yaml

LLAMA = {"layers": 32, "hidden": 4096, "heads": 32, "kv": 8, "ffn": 14336, "vocab": 128256}


def llama_bytes(batch, context, rows):
    """Weights touched, KV read and KV written by a step of Llama-3-8B in 16 bit."""
    m = LLAMA
    kv = m["kv"] * 128
    layer = m["hidden"] * (2 * m["hidden"] + 2 * kv + 3 * m["ffn"]) + 2 * m["hidden"]
    weights = m["layers"] * layer + m["hidden"] * (1 + m["vocab"] + rows)
    read = m["layers"] * 2 * kv * batch * context
    written = m["layers"] * 2 * kv * rows
    return 2 * weights, 2 * read, 2 * written


@pytest.mark.parametrize("hardware", ["npu", "tpu-v4"])
@pytest.mark.parametrize(("batch", "context"), [(16, 2048), (1, 1), (3, 777)])
def test_decode_moves_touched_weights_and_kv_to_the_byte(hardware, batch, context):
    report = archsim.run(hardware, "llama-3-8b", phase="decode", batch=batch, context=context)
    moved = report.result["traffic"]["hbm"]
    weights, read, written = llama_bytes(batch, context, batch)
    assert moved["weight_read_bytes"] == weights
    assert moved["kv_cache_read_bytes"] == read
    assert moved["kv_cache_written_bytes"] == written
    assert moved["activation_read_bytes"] == 0
    # the logits leave the chip, and the token ids come in
    assert moved["activation_written_bytes"] == 2 * batch * LLAMA["vocab"]
    assert moved["index_read_bytes"] == 4 * batch


def test_the_answer_is_never_faster_than_physics():
    for hardware in ("npu", "tpu-v4"):
        for workload in ("llama-3-8b-decode", "llama-3-8b-prefill", "bert-base-encode"):
            result = archsim.run(hardware, workload).result
            assert result["ratio_to_bound"] >= 1
            if result["ratio_to_bound"] > 1.3:
                assert "above 1.3 because of" in result["verdict"]


def test_shares_and_parts_sum_to_the_whole():
    report = archsim.run("npu", "llama-3-8b-prefill")
    result = report.result
    assert sum(result["stalls"].values()) == pytest.approx(1, abs=1e-12)
    assert sum(c["time_ps"] for c in result["op_classes"]) == result["time_ps"]
    assert sum(row["time_ps"] for row in report.ops) == result["time_ps"]
    energy = result["metrics"]["energy_j"]
    assert sum(energy["by_component"].values()) == pytest.approx(energy["total"], rel=1e-12)
    stages = sum(row["energy_j"] for row in report.ops)
    assert stages + energy["by_component"]["leakage"] == pytest.approx(energy["total"], rel=1e-12)
    for unit in result["units"].values():
        assert sum(unit.values()) == result["time_ps"]


def shuffled(data, rng):
    """The same mapping with every key order shuffled; lists stay, their order has a meaning."""
    if isinstance(data, dict):
        keys = list(data)
        rng.shuffle(keys)
        return {key: shuffled(data[key], rng) for key in keys}
    return [shuffled(item, rng) for item in data] if isinstance(data, list) else data


def test_the_order_of_keys_in_the_yaml_changes_nothing():
    data = load_yaml(find("npu", "configs")).data
    want = archsim.run(data, "llama-3-8b-decode").to_json()
    for seed in range(3):
        again = archsim.run(shuffled(data, random.Random(seed)), "llama-3-8b-decode").to_json()
        assert again == want


def test_two_processes_with_other_hash_seeds_write_the_same_bytes():
    code = "import archsim; print(archsim.run('npu', 'gpt2-small-prefill').to_json())"
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(texts) == 1


def test_equal_runs_write_equal_results_and_whole_folders(tmp_path):
    one, two = (archsim.run("npu", "gpt2-small-prefill") for _ in range(2))
    paths = one.write(tmp_path / "a")
    two.write(tmp_path / "b")
    assert sorted(paths) == ["config.resolved.yaml", "manifest.json", "ops.csv", "result.json"]
    for name in ("result.json", "ops.csv", "config.resolved.yaml"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert json.loads(paths["result.json"].read_text())["key"] == one.key


def test_what_was_resolved_runs_again_to_the_same_answer(tmp_path):
    first = archsim.run("npu", "llama-3-8b-decode", set_=["memory.hbm.bandwidth=2 TB/s"])
    again = archsim.run(first.resolved["hardware"], first.resolved["workload"])
    assert again.to_json() == first.to_json()


def test_a_model_that_does_not_fit_says_by_how_much():
    with pytest.raises(Infeasible, match=r"needs .* GiB, hbm holds 32.00 GiB \(short by") as error:
        archsim.run("tpu-v4", "llama-3-70b-decode")
    assert error.value.exit_code == 5


def test_a_dtype_without_a_rate_is_refused_by_name():
    workload = load_yaml(find("llama-3-8b-decode", "workloads")).data
    workload["dtypes"]["weights"] = "fp8"
    with pytest.raises(Unsupported, match=r"attn\.qkv computes in fp8, and engine array"):
        archsim.run("npu", workload)


def test_a_dangling_name_is_refused_with_the_names_that_exist():
    data = load_yaml(find("npu", "configs")).data
    data["dispatch"] = [{"ops": "*", "run_on": "arry"}]
    with pytest.raises(InputError, match=r'run_on names engine "arry", which does not exist'):
        archsim.run(data, "llama-3-8b-decode")


def test_a_rule_that_never_matches_is_a_warning_that_names_it():
    data = load_yaml(find("npu", "configs")).data
    data["mapping"].insert(0, {"ops": "conv", "dataflow": "output_stationary"})
    report = archsim.run(data, "llama-3-8b-decode")
    assert report.warnings == ["W204 mapping[0] never matched an op of this workload"]


def test_more_bandwidth_and_more_arrays_pay_where_they_bound():
    base = archsim.run("npu", "llama-3-8b-decode").result["time_ps"]
    wide = archsim.run("npu", "llama-3-8b-decode", set_=["memory.hbm.bandwidth=2 TB/s"])
    assert base / wide.result["time_ps"] == pytest.approx(2, rel=0.03)
    slow = archsim.run("npu", "llama-3-8b-prefill").result["time_ps"]
    fast = archsim.run("npu", "llama-3-8b-prefill", set_=["clocks.core=2 GHz"])
    assert 1.4 < slow / fast.result["time_ps"] < 2


def test_fusion_saves_the_traffic_it_should():
    data = load_yaml(find("npu", "configs")).data
    fused = archsim.run(data, "llama-3-8b-prefill").result["traffic"]["hbm"]
    data["mapping"] = [{"ops": "*", "fuse": "none"}]
    apart = archsim.run(data, "llama-3-8b-prefill").result["traffic"]["hbm"]
    scores = 2 * 32 * 32 * 2048 * 2048 * 2  # written and read again, all layers, 16 bit
    saved = apart["total_bytes"] - fused["total_bytes"]
    assert saved > scores


def test_a_dma_of_one_slot_cannot_load_behind_the_array_and_chunks_pay_their_setup():
    base = archsim.run("npu", "llama-3-8b-decode").result["time_ps"]
    single = archsim.run("npu", "llama-3-8b-decode", set_=["interconnect.dma.depth=1"])
    assert single.result["time_ps"] > 1.01 * base
    slow = ["interconnect.dma.setup=100 ns", "interconnect.dma.chunk=64 KiB"]
    chunked = archsim.run("npu", "llama-3-8b-decode", set_=slow).result
    chunks = chunked["traffic"]["hbm"]["total_bytes"] / 65536
    assert chunked["time_ps"] >= base + chunks * 100_000 * 0.9


def test_no_class_of_ops_uses_more_than_a_peak():
    for workload in ("llama-3-8b-decode", "llama-3-8b-prefill", "resnet-50-infer"):
        for op_class in archsim.run("npu", workload).result["op_classes"]:
            assert 0 <= op_class["mfu"] <= 1
            assert 0 <= op_class["mbu"] <= 1


def test_what_would_have_no_effect_is_refused():
    data = load_yaml(find("npu", "configs")).data
    data["placement"]["weights"] = ["sram"]
    with pytest.raises(InputError, match=r"placement\.weights names sram, but weights lie in a"):
        archsim.run(data, "llama-3-8b-decode")
    data = load_yaml(find("npu", "configs")).data
    data["memory"]["l2"] = data["memory"]["sram"]
    with pytest.raises(InputError, match=r"memory has 2 srams \(l2, sram\)"):
        archsim.run(data, "llama-3-8b-decode")


def test_a_slower_on_chip_memory_delays_results():
    slow = archsim.run("npu", "gpt2-small-prefill", set_=["memory.sram.latency_cycles=500"])
    assert slow.result["time_ps"] > archsim.run("npu", "gpt2-small-prefill").result["time_ps"]


def test_activations_that_may_only_lie_on_chip_must_fit_there():
    only = ["placement.activations=[sram]"]
    archsim.run("npu", "llama-3-8b-decode", set_=only)
    with pytest.raises(Infeasible, match=r"activations do not fit sram, the largest is"):
        archsim.run("npu", "llama-3-8b-prefill", set_=only)


def test_a_clock_in_millihertz_is_taken_for_a_typo():
    with pytest.raises(InputError, match=r"clocks\.core is slower than 1 Hz"):
        archsim.run("npu", "gpt2-small-prefill", set_=["clocks.core=1 mHz"])
