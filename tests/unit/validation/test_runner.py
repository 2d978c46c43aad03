"""Does the runner compare as the documented interface says?"""

import csv

import pytest

from archsim.core.errors import InputError
from archsim.validation import list_suites, validate
from archsim.validation.runner import Case, _statistics
from archsim.validation.suite import HERE, Tolerance, read_table
from archsim.validation.text import render

TABLE = HERE / "tables" / "scalesim_reference.csv"


def table(path, rows, comment="# made for a test\n"):
    with path.open("w", newline="") as text:
        text.write(comment)
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.mark.parametrize(
    ("text", "want", "near", "far"),
    [("exact", 100, 100, 100.5), ("5%", 100, 104, 106), ("abs 0.1", 1, 1.09, 1.2)],
)
def test_a_tolerance_holds_up_to_its_edge(text, want, near, far):
    assert Tolerance(text).holds(want, near)
    assert not Tolerance(text).holds(want, far)


def test_a_mean_tolerance_judges_all_rows_and_a_report_none():
    assert Tolerance("mape 5%").holds(100, 300)
    assert Tolerance("mape 5%").holds_mean(4.9)
    assert not Tolerance("mape 5%").holds_mean(5.1)
    assert not Tolerance("report").gating


def test_statistics_are_those_of_the_errors():
    cases = [Case(str(i), "x", 100.0, 100.0 + e, "pass", True) for i, e in enumerate((0, -2, 10))]
    found = _statistics(cases, Tolerance("20%"))
    assert found["n"] == 3
    assert found["exact"] == 1
    assert found["mape_pct"] == pytest.approx(4)
    assert found["median_ape_pct"] == pytest.approx(2)
    assert found["max_ape_pct"] == pytest.approx(10)
    assert found["bias_pct"] == pytest.approx(8 / 3)


def test_the_json_form_has_the_documented_keys():
    found = validate("scalesim", limit=2).to_dict()
    assert found["schema"] == "archsim.validation/1"
    assert {"suite", "rows", "compared", "unsupported", "pass", "wall_s", "metrics",
            "cases"} <= set(found)  # fmt: skip
    assert set(found["metrics"]["folds"]) == {
        "n", "exact", "gating", "tolerance", "within_tolerance", "pass", "mape_pct",
        "median_ape_pct", "p90_ape_pct", "max_ape_pct", "bias_pct",
    }  # fmt: skip
    assert set(found["cases"][0]) == {
        "id", "metric", "want", "got", "ape_pct", "status", "reason",
    }  # fmt: skip


def test_columns_may_come_in_any_order_with_others_beside_them(tmp_path):
    rows = [dict(reversed({**row, "mine": "x"}.items())) for row in read_table(TABLE)[:3]]
    assert validate("scalesim", table(tmp_path / "t.csv", rows)).passed


def test_a_missing_column_is_an_input_error_that_names_it(tmp_path):
    rows = [{k: v for k, v in row.items() if k != "folds"} for row in read_table(TABLE)[:1]]
    with pytest.raises(InputError, match="lacks the column folds") as error:
        validate("scalesim", table(tmp_path / "t.csv", rows))
    assert error.value.exit_code == 3


def test_one_wrong_number_fails_the_suite_and_is_shown(tmp_path):
    rows = [dict(row) for row in read_table(TABLE)[:2]]
    rows[0]["compute_cycles"] = "1"
    result = validate("scalesim", table(tmp_path / "t.csv", rows))
    assert not result.passed
    assert f"{rows[0]['case_id']} compute_cycles: wanted 1, got" in render(result)


def test_a_row_that_cannot_be_expressed_counts_against_the_suite(tmp_path):
    rows = [dict(row) for row in read_table(TABLE)[:2]]
    rows[1] |= {"ifmap_sram_kb": "0", "filter_sram_kb": "0", "ofmap_sram_kb": "0"}
    result = validate("scalesim", table(tmp_path / "t.csv", rows))
    assert result.unsupported == 1
    assert not result.passed
    assert result.cases[-1].reason


def test_two_workers_say_what_one_says():
    one, two = (validate("scalesim", limit=6, workers=n) for n in (1, 2))
    assert one.cases == two.cases


def test_an_unknown_suite_is_refused_with_the_closest_one():
    with pytest.raises(InputError, match="is not one of") as error:
        validate("scalesym")
    assert error.value.help == 'did you mean "scalesim"?'


def test_the_list_says_what_each_suite_proves_and_how_it_went():
    (info,) = [s for s in list_suites() if s.suite == "scalesim"]
    assert info.rows == 195
    assert "exact" in info.last_measured
