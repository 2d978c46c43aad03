"""Does every way a verb can end become the right message, on the right stream, with its status?"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

from archsim.cli import _app
from archsim.core.errors import (
    ArchsimError,
    Diagnostic,
    Infeasible,
    InputError,
    LawViolation,
    MissingExtra,
    OutsideTolerance,
    SimulationStopped,
    Unsupported,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Done

PLACE = Diagnostic("E101", "", "m.yaml", 2, 3, "a.b", None, "  bandwith: 1", 8)


def ending(raises: BaseException | None, *arguments: str) -> tuple[int, str, str]:
    """Status, stdout and stderr of a verb that ends by raising something."""
    app = typer.Typer()

    def verb(fmt: str = typer.Option("table", "--format")) -> None:
        typer.echo("part of the result")
        if raises is not None:
            raise raises

    app.command()(_app.guarded(verb))
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ArchsimError("x"), 1),
        (LawViolation("x"), 1),
        (InputError("x"), 3),
        (Unsupported("x"), 4),
        (Infeasible("x"), 5),
        (SimulationStopped("x"), 6),
        (OutsideTolerance("x"), 7),
        (MissingExtra("x", extra="fast"), 8),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_kind_of_error_has_its_exit_status(error: ArchsimError, status: int) -> None:
    assert ending(error)[0] == status


def test_an_error_is_printed_on_stderr_with_its_place_and_help() -> None:
    error = InputError('unknown key "bandwith" in a', where=PLACE, help='did you mean "bandwidth"?')
    status, _, stderr = ending(error)
    assert status == 3
    assert stderr == (
        'm.yaml:2:3: error[E101]: unknown key "bandwith" in a\n'
        "    2 |   bandwith: 1\n"
        "      |   ^^^^^^^^\n"
        '      = help: did you mean "bandwidth"?\n'
    )


def test_with_format_json_stdout_holds_the_errors_as_objects() -> None:
    status, stdout, stderr = ending(InputError("bad", where=PLACE), "--format", "json")
    assert (status, stderr) == (3, "")
    document = json.loads(stdout.removeprefix("part of the result\n"))
    (error,) = document["errors"]
    assert document["exit_code"] == 3
    assert error == {
        "code": "E101", "file": "m.yaml", "line": 2, "column": 3, "path": "a.b",
        "message": "bad", "help": None,
    }  # fmt: skip


def test_a_missing_extra_prints_the_line_that_brings_it() -> None:
    _, _, stderr = ending(MissingExtra("numba is needed above 10 M steps", extra="fast"))
    assert 'pip install "archsim[fast]"' in stderr


def test_an_unexpected_exception_is_one_line_and_a_saved_traceback() -> None:
    status, _, stderr = ending(ZeroDivisionError("boom"))
    assert status == 1
    assert stderr.count("\n") == 1
    found = re.fullmatch(
        r"archsim: internal fault: ZeroDivisionError: boom \(traceback in (.+)\)\n", stderr
    )
    assert found
    saved = Path(found[1])
    assert "raise raises" in saved.read_text()
    saved.unlink()


def test_a_folder_that_cannot_be_written_is_an_input_error() -> None:
    status, _, stderr = ending(PermissionError(13, "Permission denied", "/there"))
    assert (status, stderr) == (3, "error: /there: Permission denied\n")


def test_ctrl_c_ends_with_130() -> None:
    status, _, stderr = ending(KeyboardInterrupt())
    assert (status, stderr) == (130, "archsim: interrupted; no file is half written\n")


def test_a_usage_error_inside_a_verb_stays_a_usage_error() -> None:
    status, _, stderr = ending(typer.BadParameter("no", param_hint="--output"))
    assert status == 2
    assert "--output" in stderr


def test_success_ends_with_0() -> None:
    assert ending(None) == (0, "part of the result\n", "")


def test_every_public_file_is_a_verb_with_help_and_two_examples(
    archsim: Callable[..., Done],
) -> None:
    for name, module in _app.verbs().items():
        done = archsim(name, "--help")
        assert done.status == 0
        assert len(module.EXAMPLES) == 2
        assert all(line.startswith(f"archsim {name}") for line in module.EXAMPLES)
        assert all(line in done.stdout for line in module.EXAMPLES)
        assert max(map(len, done.stdout.splitlines())) <= 100


def test_help_is_80_columns_wide(archsim: Callable[..., Done]) -> None:
    text = archsim("--help").stdout
    assert max(map(len, text.splitlines())) <= 80


def test_every_verb_explains_itself_in_one_line_of_the_help(
    archsim: Callable[..., Done],
) -> None:
    text = archsim("--help").stdout
    for name in _app.verbs():
        assert re.search(rf"^  {name} +\w", text, re.MULTILINE)


def test_a_mistyped_verb_is_a_usage_error_with_a_suggestion(
    archsim: Callable[..., Done],
) -> None:
    done = archsim("lits")
    assert done.status == 2
    assert "Did you mean 'list'?" in done.stderr


def test_an_unknown_flag_is_a_usage_error(archsim: Callable[..., Done]) -> None:
    done = archsim("run", "npu", "gpt2-small", "--fidelty", "bound")
    assert done.status == 2
    assert "--fidelity" in done.stderr


def test_version_is_one_line(archsim: Callable[..., Done]) -> None:
    done = archsim("--version")
    assert done.status == 0
    assert re.fullmatch(r"archsim \d+\.\d+\.\d+\n", done.stdout)
