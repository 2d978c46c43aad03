"""What do forms of weights cost where they are multiplied: unpacking, skipping, scores at once?"""

import pytest

import archsim
from archsim.core.errors import Unsupported


def machine(**array):
    return {"extends": "npu", "engines": {"array": array}} if array else "npu"


def work(weights="bf16", k=4096, **more):
    return {
        "schema": "archsim.workload/1", "name": "one",
        "model": {"layers": [{"name": "a", "m": 256, "n": 2048, "k": k}]},
        "dtypes": {"weights": weights, "activations": "bf16", "accumulators": "fp32"}, **more,
    }  # fmt: skip


def run(hardware, workload, fidelity="tile"):
    return archsim.run(hardware, workload, fidelity=fidelity, advice=False)


def counts(report):
    return report.result["counts"]


MACS = 256 * 2048 * 4096
ELEMENTS = 2048 * 4096


@pytest.mark.parametrize("fidelity", ["analytic", "tile", "cycle"])
def test_weights_that_no_array_multiplies_pass_a_vector_unit_once(fidelity):
    report = run(machine(), work("int4g128"), fidelity)
    passes = counts(report)["dram.read.weight.weight"] / (ELEMENTS // 128 * (64 + 2.5))
    assert counts(report)["vector.mul"] == ELEMENTS * passes
    assert counts(report)["mac.bf16"] == MACS


def test_an_array_that_dequantises_needs_no_lanes_and_less_energy():
    lanes, own = (run(machine(dequantises=by), work("int4g128")) for by in (["mxfp4"], True))
    named = run(machine(dequantises=["int4g128"]), work("int4g128"))
    assert "vector.mul" not in counts(own)
    assert own.metrics["energy_j"]["total"] < lanes.metrics["energy_j"]["total"]
    assert own.result["time_ps"] == named.result["time_ps"] <= lanes.result["time_ps"]


def test_few_lanes_bound_the_time():
    few = {"extends": "npu", "engines": {"vector": {"count": 1, "lanes": 16}}}
    assert run(few, work("int4g128")).result["time_ps"] >= ELEMENTS / 16 * 1000


def test_a_form_with_a_rate_of_its_own_is_multiplied_as_it_is():
    fast = machine(rates={"bf16": 1, "mxfp4": 4})
    report = run(fast, work("mxfp4"))
    assert counts(report)["mac.mxfp4"] == MACS
    assert "vector.mul" not in counts(report)
    slow = run(machine(), work("mxfp4"), "analytic")
    assert run(fast, work("mxfp4"), "analytic").result["time_ps"] < slow.result["time_ps"]


def test_kinds_of_fp8_are_one_rate_and_need_no_unpacking():
    report = run(machine(rates={"bf16": 1, "fp8": 2}), work("fp8_e5m2"))
    assert counts(report)["mac.fp8"] == MACS
    assert "vector.mul" not in counts(report)


def test_a_machine_without_lanes_refuses_what_must_be_unpacked():
    bare = {
        "schema": "archsim.hardware/1", "name": "bare", "clocks": {"core": "1 GHz"},
        "memory": {
            "sram": {"kind": "sram", "capacity": "8 MiB", "bandwidth": "4096 B/cycle"},
            "hbm": {"kind": "dram", "capacity": "8 GiB", "bandwidth": "1 TB/s", "latency": "0 ns"},
        },
        "engines": {"array": {"kind": "systolic_array", "rows": 8, "cols": 8}},
        "energy": {"table": "7nm"},
    }  # fmt: skip
    with pytest.raises(Unsupported) as caught:
        run(bare, work("int4g128", k=64))
    assert caught.value.message == (
        "layers/a stores its weights as int4g128, engine array multiplies bf16, "
        "and no vector unit brings one to the other"
    )


def test_sparse_weights_move_fewer_bytes_and_are_multiplied_as_a_whole():
    sparse = work(sparsity={"weights": [{"tensors": "*", "pattern": "2:4"}]})
    dense, thin = run(machine(), work()), run(machine(), sparse)
    read = "dram.read.weight.weight"
    assert counts(thin)[read] == counts(dense)[read] / 2 + counts(dense)[read] / 2 / 16 * 2
    assert counts(thin)["mac.bf16"] == MACS


@pytest.mark.parametrize(
    ("skips", "share"), [("weights", 0.5), ("activations", 0.75), ("both", 0.375), ("none", 1)]
)
def test_engines_leave_out_what_they_say_they_skip(skips, share):
    zeros = {
        "weights": [{"tensors": "*", "density": 0.5}],
        "activations": [{"tensors": "*", "zeros": 0.25}],
    }
    report = run(machine(skips=skips), work(sparsity=zeros))
    assert counts(report)["mac.bf16"] == MACS * share
    assert counts(report).get("skipped.zero_macs", 0) == MACS * (1 - share)
    assert report.result["time_ps"] >= report.result["bound_ps"]


def test_skipping_takes_fewer_cycles_and_less_energy():
    zeros = {"activations": [{"tensors": "*", "zeros": 0.5}]}
    full, skipped = (run(machine(skips=s), work(sparsity=zeros)) for s in ("none", "activations"))
    assert skipped.ops[0]["compute_cycles"] < full.ops[0]["compute_cycles"]
    assert skipped.metrics["energy_j"]["total"] < full.metrics["energy_j"]["total"]
    assert (
        "W101 sparsity.activations has no effect: no engine skips activations"
        in (full.result["warnings"])
    )
    assert not any("sparsity" in text for text in skipped.result["warnings"])
