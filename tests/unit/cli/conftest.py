"""The program as tests call it: in this process, with its streams apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from archsim.cli import _app

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class Done:
    """How a call of the program ended."""

    status: int
    stdout: str
    stderr: str


@pytest.fixture
def archsim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """Call the program from an empty folder."""
    monkeypatch.chdir(tmp_path)
    app = _app.build()

    def call(*arguments: str) -> Done:
        done = CliRunner().invoke(app, list(arguments), prog_name="archsim")
        return Done(done.exit_code, done.stdout, done.stderr)

    return call
