"""Does a row of measured kernels name its machine, its class and its rooflines?"""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.core.errors import Unsupported
from archsim.validation.adapters import _gpu
from archsim.validation.base import Beside
from archsim.validation.rooflines import ape_pct, fit
from archsim.validation.runner import Case, ValidationResult
from archsim.validation.suite import Suite
from archsim.validation.text import render


def gemm(gpu="H100-SXM", dtype="bfloat16", m=128, n=4096, k=4096):
    return {"gpu": gpu, "dtype": dtype, "M": str(m), "N": str(n), "K": str(k)}


def decode(context, batch=1, kv_heads=8, gpu="A100-SXM4-80GB", kv_dtype="bfloat16"):
    return {
        "gpu": gpu, "attn_dtype": "bfloat16", "kv_dtype": kv_dtype, "batch": str(batch),
        "q_heads": "32", "kv_heads": str(kv_heads), "head_dim": "128", "context": str(context),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("gpu", "name"),
    [("A100-SXM4-80GB", "a100"), ("H100-SXM", "h100"), ("h200_sxm", "h200"), ("B200-SXM", "b200")],
)
def test_a_gpu_column_names_a_shipped_machine(gpu, name):
    assert _gpu.machine(gpu) == name


def test_a_gpu_that_is_not_shipped_is_refused_with_the_closest():
    with pytest.raises(Unsupported) as caught:
        _gpu.machine("H300-SXM")
    assert caught.value.diagnostics[0].message == (
        'no shipped machine is a "H300-SXM": there are A100, H100, H200, B200'
    )


@pytest.mark.parametrize(
    ("row", "group"),
    [
        (gemm(m=1), "H100.memory"),
        (gemm(m=1, k=1024), "H100.launch"),
        (gemm(m=4096), "H100.wave"),
        (gemm(m=8192, n=16384), "H100.compute"),
        (gemm("A100-SXM4-80GB", m=2048), "A100.wave"),
        (gemm(dtype="fp8_block", m=8192, n=16384), "H100-fp8_block.compute"),
    ],
)
def test_a_product_is_in_the_class_that_its_plain_roofline_says(row, group):
    assert _gpu.gemm_beside(row).groups[-1] == group


@pytest.mark.parametrize(
    ("row", "group"),
    [
        (decode(1024), "A100.under_5MB"),
        (decode(2048), "A100.to_L2"),
        (decode(2048, batch=8), "A100.to_4L2"),
        (decode(2048, batch=64), "A100.above_4L2"),
        (decode(2048, gpu="H100-SXM", kv_dtype="fp8"), "H100-fp8-cache.under_5MB"),
    ],
)
def test_a_decode_row_is_in_the_class_of_its_cache(row, group):
    assert _gpu.decode_beside(row).groups[-1] == group


@settings(max_examples=15, deadline=None)
@given(
    t0=st.floats(0, 20),
    shares=st.tuples(st.floats(0.3, 1.0), st.floats(0.3, 1.0)),
    seed=st.integers(0, 99),
)
def test_a_scaled_roofline_finds_the_constants_that_made_the_rows(t0, shares, seed):
    rng = np.random.default_rng(seed)
    compute, memory = rng.uniform(1, 500, 40), rng.uniform(1, 500, 40)
    want = t0 + np.maximum(compute / shares[0], memory / shares[1])
    roof = fit(compute, memory, want)
    assert ape_pct(roof.us(compute, memory), want).mean() < 1.0


def result():
    """Four rows of two machines, ours exact, rooflines not."""
    rows = [("r0", 10.0, "A.big", 4.0), ("r1", 30.0, "A.small", 9.0), ("r2", 20.0, "B.big", 5.0)]
    cases = tuple(
        Case(name, "x", want, want * 1.01, "pass", True, None,
             Beside((group[0], group), group[0], us, us / 2))
        for name, want, group, us in rows
    )  # fmt: skip
    suite = Suite.model_validate({
        "schema": "archsim.suite/1", "suite": "hand", "proves": "nothing", "table": "none.csv",
        "source": "a test", "measured": "never", "fit": "all rows", "metrics": {"x": "mape 5%"},
    })  # fmt: skip
    return ValidationResult(suite, 3, cases, 0.5)


def test_metrics_are_told_by_machine_and_class_beside_the_rooflines():
    metrics = result().metrics()
    assert list(metrics) == ["x", "x.A", "x.A.big", "x.A.small", "x.B", "x.B.big"]
    assert metrics["x.A"]["n"] == 2
    assert not metrics["x.A"]["gating"]
    assert metrics["x.B"]["plain_roofline_mape_pct"] == pytest.approx(75.0)
    assert metrics["x.B"]["scaled_roofline_mape_pct"] < 1e-6
    assert metrics["x.B"]["beats_scaled_roofline"] is False
    assert json.dumps(result().to_dict())


def test_the_text_says_where_a_roofline_does_as_well_and_what_was_fitted():
    text = render(result())
    assert "plain roof %" in text
    assert "no better than the scaled roofline" in text
    assert "fitted: all rows" in text
    assert "  r1 x: wanted 30, got 30.3" in text
