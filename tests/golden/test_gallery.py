"""Do the pages of `reports/` say what the commands on them say today?

The page that costs least is made again; of the others, what can be seen without running them.
"""

from __future__ import annotations

import html
import importlib.util
import re
import shlex
import sys
from pathlib import Path

import pytest

from archsim.cli import main as archsim

_spec = importlib.util.spec_from_file_location("gallery", Path(__file__).parent / "gallery.py")
assert _spec is not None
assert _spec.loader is not None
gallery = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(gallery)

PAGES: dict[str, tuple[str, ...]] = gallery.PAGES
REPORTS: Path = gallery.REPORTS
CHEAPEST = "flat-fusemax"


def words(page: str) -> list[str]:
    """A page without its drawings, whose letters are placed by whatever fonts there are."""
    text = re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL)
    return text.splitlines()


def test_a_page_is_what_its_commands_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in PAGES[CHEAPEST]:
        monkeypatch.setattr(sys, "argv", shlex.split(command))
        with pytest.raises(SystemExit) as done:
            archsim(shlex.split(command)[1:])
        assert done.value.code in (None, 0), capsys.readouterr().err
    made = (tmp_path / f"{CHEAPEST}.html").read_text()
    assert words(made) == words((REPORTS / f"{CHEAPEST}.html").read_text()), "see make golden"


def test_every_page_is_listed_small_without_a_script_and_has_its_commands() -> None:
    listed = (REPORTS / "README.md").read_text()
    assert {p.stem for p in REPORTS.glob("*.html")} == set(PAGES)
    for name, commands in PAGES.items():
        page = (REPORTS / f"{name}.html").read_text()
        assert f"({name}.html)" in listed
        assert len(page.encode()) <= gallery.MOST_BYTES
        assert "<script" not in page
        for command in commands:
            assert command in html.unescape(page)
