"""Does a DGX with AttAccs gain what its paper says, and are GPUs derated as its authors do?"""

import pytest

import archsim
from archsim.core.errors import Unsupported
from archsim.validation.adapters.attacc import AttAcc, Point, described, largest_batch, point_of
from archsim.validation.suite import HERE, read_table, rows_of

ROWS = {
    row["id"]: row
    for row in rows_of("attacc", read_table(HERE / "tables" / "pim_systems_results.csv"))
}
LLAMA = Point("llama-65b", "fp16", 2048, 2048)
GPT = Point("gpt3-175b", "fp16", 2048, 2048)
GIB = 2**30


@pytest.fixture(scope="module")
def adapter():
    return AttAcc()


def test_throughput_of_llama_is_that_of_the_paper(adapter):
    row = ROWS["AA1"]
    got = adapter.run(row)
    assert got["want"] == pytest.approx(float(row["want"]), rel=0.2)
    assert got["derated"] == pytest.approx(float(row["want"]), rel=0.1)
    assert got["built"] < got["want"]  # where caches must lie in AttAccs fewer are held
    assert adapter.note(row).startswith("batch 115 over 51, fp16")
    assert adapter.tolerance("want", row) == "20%"
    assert not adapter.tolerance("built", row)


@pytest.mark.parametrize(("point", "weights", "a_token"), [
    (LLAMA, 2 * 65_285_660_672, 2_621_440), (GPT, 2 * 174_604_259_328, 4_718_592),
], ids=["llama-65b", "gpt3-175b"])  # fmt: skip
def test_the_batch_is_what_weights_leave_over_a_cache_at_its_longest(point, weights, a_token):
    for machine, room in (("dgx-a100-hbm3", 640 * GIB), ("dgx-attacc", 1280 * GIB)):
        assert largest_batch(machine, point) == (room - weights) // (4095 * a_token)


def test_derated_gpus_take_the_published_time_of_an_exchange_and_of_weights():
    # seven steps of 6.06 us and 9 ps a byte of an eighth; weights at 0.85 of 3352 GB/s over waves
    result = archsim.run("dgx-a100-derated", described(GPT, 17, 3072), fidelity="tile",
                         advice=False).result  # fmt: skip
    times = {one["op_class"]: one["time_ps"] for one in result["op_classes"]}
    exchange_ps = 7 * (6.06e6 + 9 * 17 * 12288 * 2 / 8)
    assert times["comm_tensor"] == pytest.approx(2 * 96 * exchange_ps, rel=0.02)
    qkv_ps = 96 * 12288 * 4608 * 2 / (0.85 * 3.352)
    assert qkv_ps <= times["qkv_proj"] <= qkv_ps * 108 / 96  # their tiles leave 12 cores idle


def test_eight_bits_are_read_off_a_row_or_its_model():
    row = {**ROWS["AA1"], "workload": "Lin 512 Lout 128 INT8"}
    assert point_of(row) == Point("llama-65b", "int8", 512, 128)
    assert point_of({**ROWS["AA1"], "model": "mt-530b"}).dtype == "int8"


def test_what_the_paper_does_not_have_is_told(adapter):
    for key, text, said in (
        ("metric", "latency_ratio", 'metric "latency_ratio" is not of the paper'),
        ("system", "tpu", 'system "tpu" is not one of dgx_a100_hbm3, dgx_attacc'),
        ("model", "llama-66b", 'no model is called "llama-66b"'),
        ("workload", "batch 1", '"batch 1" does not say Lin and Lout'),
    ):
        with pytest.raises(Unsupported, match=said):
            adapter.run({**ROWS["AA1"], key: text})
