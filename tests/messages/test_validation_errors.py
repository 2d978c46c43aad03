"""Does a table that cannot be compared end in the right words and the documented status?"""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from archsim.cli import _app
from archsim.validation.suite import HERE, read_table

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

ROWS = read_table(HERE / "tables" / "scalesim_reference.csv")[:3]
NEEDED = (
    "case_id, kind, dataflow, rows, cols, M, N, K, ifmap_h, ifmap_w, filt_h, filt_w, channels, "
    "num_filters, stride, bw_mode, user_bw_words_per_cycle, ifmap_sram_kb, filter_sram_kb, "
    "ofmap_sram_kb, compute_cycles, folds, mapping_eff_pct, sram_ifmap_reads, sram_filter_reads, "
    "sram_ofmap_writes, dram_ifmap_reads, dram_filter_reads"
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def validate(*arguments: str) -> Result:
    line = ["validate", "scalesim", "--table", "t.csv", *arguments]
    return CliRunner().invoke(_app.build(), line, prog_name="archsim")


def refused(*arguments: str) -> tuple[int, str]:
    """Status and stderr of a call that must not print a result."""
    done = validate(*arguments)
    assert done.stdout == ""
    return done.exit_code, done.stderr


def write(folder: Path, rows: list[dict[str, str]]) -> None:
    with (folder / "t.csv").open("w", newline="") as text:
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def without(*columns: str) -> list[dict[str, str]]:
    return [{k: v for k, v in row.items() if k not in columns} for row in ROWS]


def changed(**values: str) -> list[dict[str, str]]:
    """The rows, the second of them with other values."""
    return [dict(ROWS[0]), {**ROWS[1], **values}, dict(ROWS[2])]


def test_a_missing_column_is_named(folder: Path) -> None:
    write(folder, without("folds"))
    assert refused() == (
        3,
        "error[E102]: t.csv: the table lacks the column folds\n"
        f"      = help: the suite needs: {NEEDED}\n",
    )


def test_all_missing_columns_are_named_at_once(folder: Path) -> None:
    write(folder, without("case_id", "rows", "sram_ifmap_reads"))
    status, text = refused()
    assert status == 3
    assert text.startswith(
        "error[E102]: t.csv: the table lacks the columns case_id, rows, sram_ifmap_reads\n"
    )


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n", "case_id,M\n"])
def test_a_table_of_no_rows_is_refused(folder: Path, text: str) -> None:
    (folder / "t.csv").write_text(text)
    assert refused() == (3, "error[E102]: t.csv: the table has no rows\n")


def test_a_table_that_is_not_there_is_refused() -> None:
    assert refused() == (
        3,
        'error[E003]: no table "t.csv"\n',
    )


def test_a_table_that_is_no_text_is_refused(folder: Path) -> None:
    (folder / "t.csv").write_bytes(b"\x89PNG\r\n\xff\xfe")
    status, text = refused()
    assert status == 3
    assert text.startswith("error[E003]: t.csv cannot be read: 'utf-8' codec can't decode")


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("value", ["", "many", "nan", "inf"])
def test_a_wanted_value_that_is_no_number_names_row_and_column(
    folder: Path, value: str, workers: str
) -> None:
    write(folder, changed(folds=value))
    assert refused("--workers", workers) == (
        3,
        f'error[E105]: {ROWS[1]["case_id"]}: column folds expects a number, got "{value}"\n',
    )


@pytest.mark.parametrize("flag", ["--limit", "--workers"])
def test_a_count_below_one_is_a_usage_error(flag: str) -> None:
    status, text = refused(flag, "0")
    assert status == 2
    assert flag in text


def test_a_row_that_is_wrong_ends_in_status_7_and_is_shown(folder: Path) -> None:
    write(folder, changed(compute_cycles="1"))
    done = validate()
    assert (done.exit_code, done.stderr) == (7, "")
    got = ROWS[1]["compute_cycles"]
    assert f"  {ROWS[1]['case_id']} compute_cycles: wanted 1, got {got}\n" in done.stdout
    assert "scalesim does not pass: 3 rows, 0 unsupported, " in done.stdout


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("dataflow", "rs", 'column dataflow expects one of os, ws, is, got "rs"'),
        ("M", "2.5", 'column M expects a whole number, got "2.5"'),
        ("rows", "0", 'column rows expects a number above 0, got "0"'),
    ],
)
def test_a_row_that_cannot_be_expressed_ends_in_status_7_with_its_reason(
    folder: Path, column: str, value: str, reason: str
) -> None:
    write(folder, changed(**{column: value}))
    done = validate("--format", "json")
    assert (done.exit_code, done.stderr) == (7, "")
    found = json.loads(done.stdout)
    assert (found["compared"], found["unsupported"], found["pass"]) == (2, 1, False)
    lost = [case for case in found["cases"] if case["status"] == "unsupported"]
    assert {(case["id"], case["reason"]) for case in lost} == {(ROWS[1]["case_id"], reason)}


def test_rows_that_all_agree_end_in_status_0(folder: Path) -> None:
    write(folder, changed())
    assert validate().exit_code == 0
