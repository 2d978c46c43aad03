"""Does the runner compare as the documented interface says?"""

import csv
import json

import pytest

from archsim.core.errors import InputError
from archsim.validation import list_suites, validate
from archsim.validation.suite import HERE, read_table
from archsim.validation.text import render

TABLE = HERE / "tables" / "scalesim_reference.csv"


def table(path, rows, comment="# made for a test\n"):
    with path.open("w", newline="") as text:
        text.write(comment)
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_the_json_form_has_the_documented_keys():
    found = json.loads(json.dumps(validate("scalesim", limit=2).to_dict(), allow_nan=False))
    assert list(found) == [
        "schema", "suite", "rows", "compared", "unsupported", "pass", "wall_s", "metrics", "cases",
    ]  # fmt: skip
    assert (found["schema"], found["suite"]) == ("archsim.validation/1", "scalesim")
    assert (found["rows"], found["compared"], found["unsupported"]) == (2, 2, 0)
    assert found["pass"] is True
    assert list(found["metrics"]["folds"]) == [
        "n", "exact", "gating", "tolerance", "within_tolerance", "pass", "mape_pct",
        "median_ape_pct", "p90_ape_pct", "max_ape_pct", "bias_pct",
    ]  # fmt: skip
    assert found["cases"][0] == {
        "id": "ss0000", "metric": "compute_cycles", "want": 37, "got": 37, "ape_pct": 0.0,
        "status": "pass", "reason": None,
    }  # fmt: skip


def test_the_csv_form_has_a_line_a_case():
    found = validate("scalesim", limit=2)
    head, first, *rest = found.to_csv().splitlines()
    assert head == "id,metric,want,got,ape_pct,status,reason"
    assert first == "ss0000,compute_cycles,37,37,0.0,pass,"
    assert len(rest) + 1 == len(found.cases)


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


def test_a_row_given_twice_counts_twice(tmp_path):
    rows = [dict(row) for row in read_table(TABLE)[:2]]
    rows[0]["M"] = "2.5"
    found = validate("scalesim", table(tmp_path / "t.csv", [rows[0], rows[1], rows[0]]))
    assert (found.rows, found.unsupported) == (3, 2)
    assert found.to_dict()["compared"] == 1


def test_lines_of_comment_are_skipped_wherever_they_stand(tmp_path):
    lines = TABLE.read_text().splitlines()
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["# one", *lines[1:3], "# two", "", lines[3], "# three"]))
    found = validate("scalesim", path)
    assert (found.rows, found.passed) == (2, True)


def test_a_limit_runs_the_first_rows():
    found = validate("scalesim", limit=3)
    assert found.rows == 3
    assert list(dict.fromkeys(c.id for c in found.cases)) == [
        row["case_id"] for row in read_table(TABLE)[:3]
    ]
    assert validate("scalesim", limit=3).cases == found.cases


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_of_no_rows_proves_nothing_and_is_refused(limit):
    with pytest.raises(InputError) as error:
        validate("scalesim", limit=limit)
    assert str(error.value) == f"error[E107]: limit must be 1 or more, got {limit}"


def test_two_workers_say_what_one_says(tmp_path):
    rows = [dict(row) for row in read_table(TABLE)[:6]]
    rows[1]["folds"], rows[4]["dataflow"] = "9999", "rs"
    path = table(tmp_path / "t.csv", rows)
    one, two = (validate("scalesim", path, workers=n) for n in (1, 2))
    assert one.cases == two.cases
    assert {c.status for c in one.cases} == {"pass", "fail", "unsupported"}


def test_an_unknown_suite_is_refused_with_the_closest_one():
    with pytest.raises(InputError, match="is not one of") as error:
        validate("scalesym")
    assert error.value.help == 'did you mean "scalesim"?'


def test_the_list_says_what_each_suite_proves_and_how_it_went():
    (info,) = [s for s in list_suites() if s.suite == "scalesim"]
    assert info.rows == 195
    assert "exact" in info.last_measured
