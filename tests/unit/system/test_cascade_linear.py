"""Do linear layers beside a cascade move and take what their closed form says?"""

import pytest

import archsim
from archsim import api
from archsim.core.errors import ArchsimError

BYTES_PER_S = 400 * 2**30


def work(m, n, k, kind="gemm"):
    line = {"name": "a", "kind": kind, "m": m, "n": n, "k": k}
    return {
        "schema": "archsim.workload/1",
        "name": "a",
        "model": {"config": {"architecture": "graph", "ops": [line]}},
        "dtypes": dict.fromkeys(("weights", "activations", "accumulators"), "bf16"),
    }


@pytest.mark.parametrize(
    ("m", "n", "k", "again"),
    [
        (65536, 768, 768, 1),
        (65536, 512, 512, 1),
        (65536, 2048, 8192, 65536 // 512),  # 32 MiB of weights, 512 rows of inputs stay
        (65536, 8192, 2048, 65536 // 2048),
    ],
)
def test_time_is_the_longer_of_array_and_memory_and_weights_that_do_not_fit_pass_again(
    m, n, k, again
):
    report = archsim.run("fusemax", work(m, n, k), advice=False)
    moved = 2 * (m * k + m * n + k * n * again)
    assert report.result["traffic"]["dram"]["total_bytes"] == moved
    least = max(moved / BYTES_PER_S, m * n * k / 65536 / 940e6)
    assert report.result["metrics"]["time_s"] == pytest.approx(least, rel=4e-3)
    assert report.ops[0]["sram_write_bytes"] == moved - 2 * m * n


def test_a_layer_says_what_stays():
    few = api.place_only("fusemax", work(65536, 2048, 8192)).blocks[0].stages[0].mapping
    assert few.keep == {"in"}
    assert "hold 512 rows of the input" in few.render()
    all_of_them = api.place_only("flat", work(65536, 768, 768)).blocks[0].stages[0].mapping
    assert all_of_them.keep == {"weight"}
    assert "hold all weights" in all_of_them.render()


def test_a_reduction_whose_columns_do_not_fit_is_refused():
    with pytest.raises(ArchsimError) as error:
        api.place_only("fusemax", work(256, 512, 65536))
    assert error.value.message == (
        "a: a row of 65536 inputs and 256 columns of weights do not fit the 16777216 B that are "
        "free on chip"
    )


def test_another_array_is_told_so():
    machine = {"extends": "npu", "mapping": [{"ops": "*", "dataflow": "fusemax_linear"}]}
    with pytest.raises(ArchsimError) as error:
        api.place_only(machine, work(64, 64, 64))
    assert error.value.message == (
        "a: fusemax_linear is a dataflow of a spatial_array, and array is none"
    )
