"""Is it said what a page needs that is not there?"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from archsim.cli import _app
from archsim.core.errors import InputError, MissingExtra
from archsim.dse.folder import connect
from archsim.dse.stored import read_study
from archsim.report.html.page import Page, render

EMPTY = Page("title", "verdict", (), ())


@pytest.mark.parametrize(
    ("library", "message"),
    [
        ("jinja2", "a page needs the library jinja2"),
        ("plotly.offline", "an interactive page needs the library plotly; --static needs none"),
    ],
)
def test_a_missing_library_is_named_with_the_line_that_brings_it(
    library: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtra) as caught:
        render(EMPTY)
    assert caught.value.message == message
    assert caught.value.help == 'pip install "archsim[report]"'
    assert caught.value.exit_code == 8


def test_a_page_of_nothing_is_refused_with_what_writes_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("junk").mkdir()
    for name, what in (("junk", "is the folder of no run, study or composition"),
                       ("nosuch", "is no folder")):  # fmt: skip
        done = CliRunner().invoke(_app.build(), ["report", name], prog_name="archsim")
        assert (done.exit_code, done.stderr) == (
            3, f"error[E003]: {name} {what}\n"
               "      = help: archsim run, sweep, explore or compose write one\n",
        )  # fmt: skip


def test_a_folder_with_answers_and_no_description_is_refused(tmp_path: Path) -> None:
    connect(tmp_path, write=True).close()
    with pytest.raises(InputError) as caught:
        read_study(tmp_path)
    assert str(caught.value) == (
        f"error[E703]: {tmp_path} is not the folder of a study: explore.resolved.yaml is missing "
        "or damaged\n      = help: run the study again: answers that are there are kept"
    )
