"""Do PIM-GPT and HBM-PIM gain what is published, and from what?"""

import pytest

from archsim import api
from archsim.core.errors import Unsupported
from archsim.ir.pim import Product
from archsim.ir.problem import Extents
from archsim.system.build import build
from archsim.validation.adapters import _pim_systems, pimgpt
from archsim.validation.adapters.hbm_pim import LARGE, HbmPim
from archsim.validation.adapters.pimgpt import PimGpt
from archsim.validation.suite import HERE, Tolerance, read_table, rows_of

TABLE = read_table(HERE / "tables" / "pim_systems_results.csv")
ROWS = {row["id"]: row for row in TABLE}
# the smallest model, the one of most layers, and the largest layers
MODELS = "gpt2-small;gpt2-xl;gpt3-xl"


@pytest.fixture(scope="module")
def adapter():
    return PimGpt()


def test_every_model_gains_over_a_gpu_under_a_framework_what_is_published(adapter):
    row = ROWS["PG1"] | {"model": MODELS}
    found = adapter.run(row)
    assert all(adapter.inside(m, row, float(row[m]), got) for m, got in found.items())


def test_most_of_the_gain_is_the_framework(adapter):
    row = ROWS["PG1"] | {"model": MODELS, "baseline": "gpu_t4"}
    bare = adapter.run(row)
    # 4.1 TB/s in the banks over 0.22 TB/s, and half the bits: 37 at most, of which rows cost a part
    assert 15 < bare["want"] <= bare["want_high"] < 2 * 4096 / (0.688 * 320)
    assert bare["want_high"] < float(row["want"])


def test_four_steps_stand_for_a_generation(adapter, monkeypatch):
    few = adapter._of(pimgpt.SYSTEMS["pim_gpt"], "gpt2-small", 1024).seconds
    monkeypatch.setattr(pimgpt, "STEPS", 32)
    many = PimGpt()._of(pimgpt.SYSTEMS["pim_gpt"], "gpt2-small", 1024).seconds
    assert few == pytest.approx(many, rel=0.005)


def test_a_gpu_with_hbm_pim_gains_within_the_tables_tolerance_of_what_is_measured():
    row = ROWS["HP1"]
    adapter = HbmPim()
    got = adapter.run(row)["want"]
    assert Tolerance(adapter.tolerance("want", row)).holds(float(row["want"]), got)


def test_four_times_the_bandwidth_and_an_idle_half_of_the_pins_make_the_gain():
    # in the banks: 4 x the rate of the pins, less rows and refresh; over the pins: what the library
    # takes of them
    got = HbmPim(["engines.tensor.launch=0 us"]).run(ROWS["HP1"])["want"]
    product = Product((Extents(1, 1, *LARGE),), 16, 16, 16, "interleaved")
    machine = build(api.load_hardware("hbm-pim"))
    work = machine.engines["pim"].product(product)
    assert got == pytest.approx(4 * work.bound_ps / work.banks_ps / 0.391, rel=0.15)


def test_models_are_named_one_by_one_or_as_a_range():
    assert _pim_systems.names("gpt2-small..large; gpt3-xl") == [
        "gpt2-small", "gpt2-medium", "gpt2-large", "gpt3-xl",
    ]  # fmt: skip
    with pytest.raises(Unsupported, match=r'"a-1\.\.b" is no range of small, medium'):
        _pim_systems.names("a-1..b")


def test_a_row_is_judged_by_its_own_share_band_or_bound():
    judge, row = HbmPim(), ROWS["HP1"]
    assert judge.tolerance("want", row) == "40%"
    assert judge.inside("want", row, 8.9, 5.9) is None  # so that its error is told
    for text, metric, got, good in (
        ("band", "want", 9.0, True), ("band", "want_high", 9.0, False),
        ("bound", "want", 8.8, False), ("bound", "want", 9.0, True),
    ):  # fmt: skip
        asked = row | {"tolerance_pct": text}
        assert not judge.tolerance(metric, asked)
        assert judge.inside(metric, asked, 8.9, got) is good
    assert not judge.gates("want", row | {"tolerance_pct": "report"})


def test_a_suite_sees_its_own_rows_of_a_shared_table():
    assert [row["id"] for row in rows_of("pimgpt", TABLE)] == ["PG1", "PG2"]
    assert [row["id"] for row in rows_of("hbm_pim", TABLE)] == ["HP1"]
    assert rows_of("noc", [{"x": "1"}]) == [{"x": "1"}]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": "area_ratio"}, 'metric "area_ratio" is not of the paper'),
        ({"baseline": "tpu"}, '"tpu" is not one of gpu_t4, cpu_xeon'),
        ({"workload": "batch 4 generation 64 tokens"}, "the paper's loads are of one sequence"),
        ({"workload": "generation"}, '"generation" has no number with batch'),
    ],
)
def test_what_the_paper_does_not_have_is_told(adapter, change, message):
    with pytest.raises(Unsupported, match=message):
        adapter.run(ROWS["PG1"] | change)
