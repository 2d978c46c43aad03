"""Are measured kernels of GPUs met within their tolerance, and better than by a roofline?"""

import pytest

from archsim.validation import validate
from archsim.validation.adapters import _gpu
from archsim.validation.suite import HERE, load_suite, read_table

EVERY = 7  # of the rows: the whole tables are run by `archsim validate`


@pytest.fixture
def sampled(tmp_path):
    """A table of one row in so many of a suite's own."""

    def table(suite):
        lines = (HERE / "tables" / load_suite(suite).table).read_text().splitlines()
        rows = [line for line in lines if not line.startswith("#")]
        path = tmp_path / f"{suite}.csv"
        path.write_text("\n".join([rows[0], *rows[1::EVERY]]) + "\n")
        return path

    return table


@pytest.mark.parametrize(
    ("suite", "rows"), [("gpu-gemm", 546), ("gpu-prefill", 624), ("gpu-decode", 626)]
)
def test_measured_kernels_are_met_and_better_than_by_a_fitted_roofline(suite, rows, sampled):
    assert len(read_table(HERE / "tables" / load_suite(suite).table)) == rows
    result = validate(suite, sampled(suite))
    assert result.passed, [c for c in result.cases if c.status != "pass"][:5]
    metrics = result.metrics()
    for gpu in ("A100", "H100"):
        assert metrics[f"latency_us.{gpu}"]["beats_scaled_roofline"], metrics[f"latency_us.{gpu}"]
        assert abs(metrics[f"latency_us.{gpu}"]["bias_pct"]) < 4


def prefill_row(**more):
    row = {
        "gpu": "H100-SXM", "attn_dtype": "bfloat16", "kv_dtype": "bfloat16", "batch": "1",
        "q_heads": "32", "kv_heads": "8", "head_dim": "128", "seq": "1024", "step": "0",
    }  # fmt: skip
    return row | {key: str(value) for key, value in more.items()}


def latency_us(suite, row):
    from archsim.validation.base import adapters

    return adapters.get(suite)().run(row)["latency_us"]


def test_a_chunk_after_a_cached_prefix_takes_longer_than_the_prompt_alone():
    alone, after = (latency_us("gpu-prefill", prefill_row(step=step)) for step in (0, 4096))
    assert alone * 2 < after


@pytest.mark.parametrize("gpu", ["H200-SXM", "B200-SXM"])
def test_machines_known_by_their_datasheets_alone_are_predicted(gpu):
    row = prefill_row(gpu=gpu) | {"context": "8192", "batch": "32"}
    assert latency_us("gpu-decode", row) < latency_us("gpu-decode", row | {"gpu": "H100-SXM"})


def test_an_effect_that_is_switched_off_shows_in_every_row_of_a_suite(sampled):
    table = sampled("gpu-prefill")
    whole = validate("gpu-prefill", table, limit=3)
    bare = validate(
        "gpu-prefill", table, limit=3,
        set_=("engines.tensor.attention.prefill.bf16.launch=0 us",),
    )  # fmt: skip
    for case, less in zip(whole.cases, bare.cases, strict=True):
        assert case.got - less.got == pytest.approx(11.6, abs=1.0)


def test_every_row_has_a_class_and_a_gpu_that_is_not_shipped_is_unsupported(tmp_path):
    for suite, beside in (
        ("gpu-gemm", _gpu.gemm_beside),
        ("gpu-prefill", _gpu.prefill_beside),
        ("gpu-decode", _gpu.decode_beside),
    ):  # fmt: skip
        for row in read_table(HERE / "tables" / load_suite(suite).table):
            assert beside(row).groups[0] in beside(row).groups[1]
    path = tmp_path / "other.csv"
    row = prefill_row(gpu="L40S") | {"latency_us": "10"}
    path.write_text(",".join(row) + "\n" + ",".join(row.values()) + "\n")
    result = validate("gpu-prefill", path)
    assert (result.unsupported, result.passed) == (1, False)
