"""Does NeuPIMs gain what is published over its parts, and by what?"""

from statistics import fmean, median

import pytest

from archsim import api
from archsim.core.errors import Unsupported
from archsim.ir.pim import Product
from archsim.ir.problem import Extents
from archsim.system.build import build
from archsim.validation.adapters.neupims import (
    BATCHES,
    MEAN,
    NeuPims,
    Point,
    batches_of,
    data_of,
    models_of,
    snapshot,
    taken,
)
from archsim.validation.suite import HERE, Tolerance, read_table, rows_of

ROWS = {
    row["id"]: row
    for row in rows_of("neupims", read_table(HERE / "tables" / "pim_systems_results.csv"))
}
# the ends of the row's own batches and both sets of requests, of one of its models
SOME = {"model": "gpt3-7b", "workload": "batches 64, 512"}


@pytest.fixture(scope="module")
def adapter():
    return NeuPims()


@pytest.mark.parametrize("row", ["NP1", "NP2"])
def test_mean_gains_are_within_the_tables_tolerance_of_what_is_published(adapter, row):
    asked = ROWS[row] | SOME
    got = adapter.run(asked)["want"]
    assert Tolerance(adapter.tolerance("want", asked)).holds(float(asked["want"]), got)


def test_short_requests_gain_less_for_they_have_less_to_attend_to(adapter):
    adapter.run(ROWS["NP1"] | SOME)
    said = dict(part.split() for part in adapter.note(ROWS["NP1"]).split(", "))
    assert float(said["alpaca"]) < float(said["sharegpt"])


def test_both_processors_work_more_of_the_time_than_in_turns(adapter):
    ours, naive = (
        adapter.run(ROWS[row] | {"model": "gpt3-7b", "workload": "batch 384 ShareGPT-like"})["want"]
        for row in ("NP3", "NP4")
    )
    assert naive < ours < 100


def test_sub_batches_pay_for_large_batches_and_not_for_small_ones():
    """Each reads the weights: what attention hides must be longer than that."""
    for batch, pays in ((128, False), (512, True)):
        point = Point("gpt3-7b", "sharegpt", batch, "neupims")
        whole, parts = (
            taken(point, [change]).time_ps
            for change in ("interleave=null", "interleave.min_batch=2")
        )
        assert (parts < whole) is pays


def test_the_heads_of_a_request_lie_in_one_channel_and_the_fullest_decides():
    lengths = [900, 100, 100, 100]  # of 33 requests: in turn, two meet in one of 32 channels
    cases = tuple(Extents(8 * n, 1, k, 128) for n, k in zip((1, 8, 12, 12), lengths, strict=True))
    times = {}
    for name in ("neupims", "npu-pim-naive"):
        engine = build(api.load_hardware(name)).engines["pim"]
        asked = Product(cases, 16, 16, 16, "interleaved", dealt=True, together=8)
        longest = Product(cases[:1], 16, 16, 16, "interleaved", dealt=True, together=8)
        times[name] = engine.product(asked).banks_ps, engine.product(longest).banks_ps
    assert times["neupims"][0] == times["neupims"][1]  # short ones meet beside the longest
    assert times["npu-pim-naive"][0] >= times["npu-pim-naive"][1]


def test_a_snapshot_is_like_those_that_the_authors_drew():
    drawn = [n for seed in range(4) for n in snapshot("sharegpt", 512, seed)]
    # casys-kaist/NeuPIMs, request-traces/rr/share-gpt2-bs512-ms7B-tp4-rr-0.csv
    assert fmean(drawn) == pytest.approx(296.8, rel=0.1)
    assert median(drawn) == pytest.approx(235, rel=0.1)
    assert snapshot("alpaca", 64) == snapshot("alpaca", 64)


def test_loads_are_read_as_they_are_named():
    assert batches_of(ROWS["NP1"]["workload"]) == batches_of("the same") == BATCHES
    assert batches_of("batch 256 ShareGPT-like") == (256,)
    assert batches_of("batches 128..300 of Alpaca") == (128, 256)
    assert batches_of("batches 64 of ShareGPT") == (64,)
    both = ("sharegpt", "alpaca")
    assert data_of(ROWS["NP1"]["workload"], MEAN) == data_of("the same", MEAN) == both
    assert data_of("batch 256 ShareGPT-like", MEAN) == ("sharegpt",)
    assert data_of("batches 64 of ShareGPT-like lengths", MEAN) == ("sharegpt",)
    assert data_of(ROWS["NP1"]["workload"], "npu_utilisation_pct") == ("sharegpt",)
    assert data_of("batches 64..512 of Alpaca-like lengths", MEAN) == ("alpaca",)
    assert models_of("gpt3-7b;13b") == ["gpt3-7b", "gpt3-13b"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"model": "gpt3-7b;66b"},
         'model "gpt3-66b" is not one of gpt3-7b, gpt3-13b, gpt3-30b, gpt3-175b'),
        ({"workload": "batches 3..9"},
         '"batches 3..9" has none of the batches 64, 128, 256, 384, 512'),
        ({"metric": "energy_ratio"}, 'metric "energy_ratio" is not of the paper'),
        ({"system": "tpu"}, '"tpu" is not one of neupims, npu_only, npu_pim_naive'),
    ],
)  # fmt: skip
def test_what_the_paper_does_not_have_is_unsupported_with_the_reason(adapter, change, why):
    with pytest.raises(Unsupported) as error:
        adapter.run(ROWS["NP1"] | change)
    assert error.value.message == why
