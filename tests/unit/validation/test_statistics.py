"""Are a metric's tolerance, statistics and verdict those that a reader would work out by hand?"""

import json

import pytest

from archsim.core.errors import InputError
from archsim.validation.runner import Case, ValidationResult
from archsim.validation.suite import Suite, Tolerance
from archsim.validation.text import render

FIELDS = {
    "schema": "archsim.suite/1", "suite": "hand", "proves": "nothing", "table": "none.csv",
    "source": "a test", "measured": "never",
}  # fmt: skip


def suite(**metrics):
    return Suite.model_validate({**FIELDS, "metrics": metrics})


def result(tolerance, *pairs, gates=True):
    """One metric `x` of rows of (wanted, got)."""
    limit = Tolerance(tolerance)
    cases = tuple(
        Case(f"r{i}", "x", want, got,
             "pass" if not gates or limit.holds(want, got) else "fail", gates and limit.gating)
        for i, (want, got) in enumerate(pairs)
    )  # fmt: skip
    return ValidationResult(suite(x=tolerance), len(pairs), cases, 0.5)


@pytest.mark.parametrize(
    ("text", "want", "near", "far"),
    [
        ("exact", 100, 100, 100.0000001),
        ("5%", 100, 105, 105.1),
        ("5%", -100, -95, -94.9),
        ("0.5%", 200, 201, 201.1),
        ("5%", 0, 0, 1e-9),
        ("abs 0.25", 1, 1.25, 1.26),
        ("abs 1e-3", 0, -0.001, -0.0011),
    ],
)
def test_a_tolerance_of_every_row_holds_up_to_its_edge(text, want, near, far):
    assert result(text, (want, near)).passed
    assert not result(text, (want, want), (want, far)).passed


@pytest.mark.parametrize(
    ("printed", "near", "far"), [("2.0", 2.07, 2.0701), ("4.16", 4.2066, 4.2067), ("3", 3.53, 3.54)]
)
def test_half_a_digit_is_that_of_the_last_one_that_is_printed(printed, near, far):
    limit = Tolerance("1% + half digit")
    assert limit.gating
    assert limit.holds(float(printed), near, printed)
    assert limit.holds(float(printed), 2 * float(printed) - near, printed)
    assert not limit.holds(float(printed), far, printed)
    assert suite(x=limit.text).metrics == {"x": "1% + half digit"}


def test_a_mean_tolerance_judges_the_mean_of_all_rows():
    # errors of 0, 2 and 13 %: 5 % on average
    assert result("mape 5%", (100, 100), (100, 98), (100, 113)).passed
    assert not result("mape 4.9%", (100, 100), (100, 98), (100, 113)).passed


def test_a_reported_metric_is_measured_and_never_fails():
    found = result("report", (100, 300), (100, 100))
    assert found.passed
    assert list(found.metrics()) == ["x"]
    metric = found.metrics()["x"]
    assert (metric["n"], metric["gating"], metric["pass"]) == (2, False, True)
    assert metric["mape_pct"] == pytest.approx(100)


def test_rows_that_do_not_gate_are_told_apart():
    sound, loose = result("exact", (1, 1)), result("exact", (2, 4), gates=False)
    found = ValidationResult(sound.suite, 2, sound.cases + loose.cases, 0.0)
    assert found.passed
    metrics = found.metrics()
    assert (metrics["x"]["n"], metrics["x"]["max_ape_pct"]) == (1, 0)
    assert (metrics["x.ungated"]["n"], metrics["x.ungated"]["max_ape_pct"]) == (1, 100)
    assert not metrics["x.ungated"]["gating"]


@pytest.mark.parametrize("text", ["", "5", "exactly", "mean 5%", "abs", "abs x", "5 %", "-5%"])
def test_another_form_of_tolerance_is_refused(text):
    with pytest.raises(ValueError, match="is no tolerance"):
        suite(x=text)


def test_statistics_are_those_worked_out_by_hand():
    # errors in percent: +1, -2, +3, -4, +5, -6, +7, -8, +9, -10, 0
    signed = [0, *((-1) ** (i + 1) * i for i in range(1, 11))]
    metric = result("5%", *((200, 200 + 2 * e) for e in signed)).metrics()["x"]
    assert {k: v for k, v in metric.items() if not k.endswith("_pct")} == {
        "n": 11, "exact": 1, "gating": True, "tolerance": "5%", "within_tolerance": 6,
        "pass": False,
    }  # fmt: skip
    assert metric["mape_pct"] == pytest.approx(5)  # 55 / 11
    assert metric["median_ape_pct"] == pytest.approx(5)
    assert metric["p90_ape_pct"] == pytest.approx(9)  # the tenth of eleven
    assert metric["max_ape_pct"] == pytest.approx(10)
    assert metric["bias_pct"] == pytest.approx(-5 / 11)


def test_the_ninetieth_percentile_lies_between_two_rows():
    assert result("5%", (100, 100), (100, 110)).metrics()["x"]["p90_ape_pct"] == pytest.approx(9)
    assert result("5%", (100, 103)).metrics()["x"]["p90_ape_pct"] == pytest.approx(3)


def test_a_wanted_zero_is_met_or_missed_whole():
    found = result("exact", (0, 0), (0, 7))
    assert [c.ape_pct for c in found.cases] == [0, 100]
    assert found.metrics()["x"]["bias_pct"] == 0


def test_an_error_is_relative_to_the_size_of_what_was_wanted():
    (case,) = result("report", (-50, -40)).cases
    assert case.ape_pct == pytest.approx(20)


def test_unsupported_rows_have_no_error_and_fail_the_suite():
    lost = [
        Case("same", metric, None, None, "unsupported", True, "no such op")
        for _ in range(2)
        for metric in ("x", "y")
    ]
    kept = [Case("kept", metric, 1, 1, "pass", True) for metric in ("x", "y")]
    found = ValidationResult(suite(x="exact", y="5%"), 3, (*kept, *lost), 0.0)
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert (data["rows"], data["compared"], data["unsupported"]) == (3, 1, 2)
    assert not data["pass"]
    assert data["metrics"]["x"]["pass"]
    assert data["cases"][-1] == {
        "id": "same", "metric": "y", "want": None, "got": None, "ape_pct": None,
        "status": "unsupported", "reason": "no such op",
    }  # fmt: skip


def test_the_text_form_shows_the_five_worst_rows_and_the_verdict():
    found = result("exact", *((100, 100 + e) for e in (0, 3, 1, 6, 2, 5, 4)))
    lines = render(found).splitlines()
    assert lines[3] == "furthest off, of the rows that gate"
    assert [line.split()[0] for line in lines[4:9]] == ["r3", "r5", "r6", "r1", "r4"]
    assert lines[-2] == "gates: 1 of 1 metrics, of which x missed"
    assert lines[-1] == "hand does not pass: 7 rows, 0 unsupported, 0.5 s"
    assert render(result("exact", (1, 1))).splitlines()[-1].startswith("hand passes: 1 rows")


def test_the_text_form_says_which_metrics_gate():
    lines = render(result("report", (100, 120))).splitlines()
    assert lines[1].split()[-2:] == ["report", "none"]
    assert lines[-2] == "gates: 0 of 1 metrics, none missed; reported only: x"
    lines = render(result("5%", (100, 101))).splitlines()
    assert lines[1].split()[-2:] == ["5%", "ok"]
    assert lines[-2] == "gates: 1 of 1 metrics, none missed"


def test_a_suite_without_a_source_is_refused():
    with pytest.raises((InputError, ValueError), match="source"):
        Suite.model_validate({k: v for k, v in FIELDS.items() if k != "source"} | {"metrics": {}})
