"""Are PaLM's published times on pods of TPU v4 met, and where does the time go?"""

import pytest

from archsim.validation import validate
from archsim.validation.adapters.palm import Palm

ROW = {
    "case": "decode", "chips": "64", "batch": "64", "tokens": "64", "ffn_layout": "WS 2D",
    "attention_sharding": "batch", "weights": "bf16",
}  # fmt: skip


def run(**more):
    return Palm().run({**ROW, **more})


def test_the_published_rows_are_met_and_the_fitted_one_does_not_gate():
    result = validate("palm")
    assert result.passed
    metrics = result.metrics()
    assert metrics["latency_s"]["n"] == 1
    assert metrics["latency_s"]["max_ape_pct"] < 2
    assert metrics["latency_s.ungated"]["max_ape_pct"] < 1  # one parameter, one row
    notes = [case.note for case in result.cases if case.note]
    assert [note.partition(" ")[0] for note in notes] == ["compute", "compute"]


def test_weights_of_two_bytes_come_in_twice_the_time():
    # Pope et al. 2023, section 4: 36.9 ms a token in bf16, 28.5 in int8
    assert run()["latency_s"] / 64 == pytest.approx(36.9e-3, rel=0.04)
    assert run(weights="int8")["latency_s"] / 64 == pytest.approx(28.5e-3, rel=0.04)


def test_the_best_layout_of_a_prompt_is_not_that_of_a_token():
    prompt = {"case": "prefill", "tokens": "2048"}
    token = {"tokens": "1"}
    times = {
        (phase, layout): run(**more, ffn_layout=layout)["latency_s"]
        for phase, more in (("prompt", prompt), ("token", token))
        for layout in ("WS 2D", "WG XYZ")
    }
    assert times["prompt", "WG XYZ"] < times["prompt", "WS 2D"]
    assert times["token", "WS 2D"] < times["token", "WG XYZ"]


def test_two_dimensions_move_less_than_one_where_chips_are_many():
    assert run(weights="int8")["latency_s"] < run(weights="int8", ffn_layout="WS 1D")["latency_s"]


def test_models_of_the_same_family_run_on_smaller_pods():
    small = run(case="62B decode", chips="16", batch="32", weights="int8")
    assert small["latency_s"] < run(weights="int8")["latency_s"]
    assert 0 < small["MFU_pct"] < 100


def test_what_cannot_be_expressed_is_unsupported_with_the_reason(tmp_path):
    path = tmp_path / "rows.csv"
    odd = [{"chips": "48"}, {"ffn_layout": "WS 3D"}, {"case": "training"}, {"batch": "16"}]
    columns = [*ROW, "MFU_pct", "latency_s"]
    lines = [",".join([*{**ROW, **more}.values(), "1", "1"]) for more in odd]
    path.write_text("\n".join([",".join(columns), *lines]) + "\n")
    result = validate("palm", path)
    assert (result.unsupported, result.passed) == (4, False)
    assert {case.reason for case in result.cases} == {
        "a pod of 48 chips: there are 8, 16, 32, 64, 128, 256",
        'ffn_layout "WS 3D" is not one of WS 1D, WS 2D, WG X, WG XY, WG XYZ',
        'case "training" is neither of prefill nor of decode',
        "attention: batch: tensor: 64 does not divide 16 sequences",
    }
