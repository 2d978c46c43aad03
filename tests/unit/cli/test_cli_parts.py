"""Do the parts that verbs share do what they say: folders, time limits, tables?"""

from __future__ import annotations

import io
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest
import typer

from archsim.cli import _output
from archsim.cli._folder import refuse_to_replace, run_folder
from archsim.cli._timeout import at_most
from archsim.core.errors import InputError, SimulationStopped

if TYPE_CHECKING:
    from pathlib import Path


def test_a_run_folder_is_named_by_day_and_content() -> None:
    folder = run_folder("runs", "9f31c2ab" + "0" * 56)
    assert folder.parent.name == "runs"
    assert folder.name == f"{time.strftime('%Y%m%d')}-9f31c2ab"


def test_a_folder_with_content_is_not_replaced_unasked(tmp_path: Path) -> None:
    refuse_to_replace(str(tmp_path), force=False)
    (tmp_path / "notes.txt").write_text("keep me")
    with pytest.raises(typer.BadParameter, match="not empty; --force replaces its files"):
        refuse_to_replace(str(tmp_path), force=False)
    refuse_to_replace(str(tmp_path), force=True)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    with pytest.raises(typer.BadParameter, match="is a file"):
        refuse_to_replace(str(tmp_path / "f"), force=False)


def test_a_time_limit_stops_what_runs_longer() -> None:
    with (
        pytest.raises(SimulationStopped, match="not finished after 20 ms") as caught,
        at_most("20 ms"),
    ):
        signal.pause()
    assert caught.value.exit_code == 6


def test_a_time_limit_leaves_no_alarm_behind() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with at_most("100 s"):
        pass
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    assert signal.getsignal(signal.SIGALRM) is before


def test_no_limit_is_no_alarm() -> None:
    with at_most(None):
        assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_a_limit_without_a_unit_is_refused() -> None:
    with pytest.raises(InputError, match="needs a unit"), at_most("60"):
        pass


def test_a_table_in_a_pipe_is_80_columns_wide_and_has_no_colour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    text = _output.table_text([("name", "word " * 40), ("longer", "x")], ("A", "B"))
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert text.splitlines()[0] == "A       B"
    assert text.splitlines()[-1] == "longer  x"


def test_csv_has_the_keys_as_header() -> None:
    assert _output.csv_text([{"a": 1, "b": "x,y"}]) == 'a,b\n1,"x,y"\n'


def test_json_keeps_the_order_of_keys() -> None:
    assert _output.json_text({"b": 1, "a": [2]}).split() == [
        "{",
        '"b":',
        "1,",
        '"a":',
        "[",
        "2",
        "]",
        "}",
    ]


def test_emit_writes_a_file_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _output.emit("text", str(tmp_path / "new" / "f.json"))
    assert (tmp_path / "new" / "f.json").read_text() == "text\n"
    assert capsys.readouterr() == ("", f"wrote {tmp_path}/new/f.json\n")
