"""Do the example notebooks run, and still show what they show?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from archsim.testing.notebooks import executed

FOLDER = Path(__file__).parents[2] / "docs" / "examples"
BOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.mark.parametrize("path", BOOKS, ids=[p.stem for p in BOOKS])
def test_a_notebook_runs_and_shows_what_is_stored(path: Path) -> None:
    stored = json.loads(path.read_text("utf-8"))
    assert all(cell["outputs"] for cell in stored["cells"] if cell["cell_type"] == "code")
    assert json.loads(executed(path)) == stored
