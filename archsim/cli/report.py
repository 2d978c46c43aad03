"""`archsim report`: the page of a run or of a study, and its figures for a paper."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from archsim.cli import _output as out

if TYPE_CHECKING:
    from collections.abc import Callable

    from archsim.report.html.page import Page

EXAMPLES = (
    "archsim report runs/mine",
    "archsim report runs/mine --static --output page.html",
)
NEEDS_ARGUMENTS = True
PAGE = "report.html"

Subject = Annotated[
    str,
    typer.Argument(metavar="RUN|SWEEP", help="Folder of a run, a study or a composition."),
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output", "-o", metavar="PATH",
        help="Page to write, or folder. Default: report.html, or figures, in that folder.",
    ),
]  # fmt: skip
Static = Annotated[
    bool, typer.Option("--static", help="A small page: drawings, and no script in it.")
]
Figures = Annotated[
    bool, typer.Option("--figures", help="Figures as SVG, PDF, PNG and CSV instead of the page.")
]
Width = Annotated[
    Literal["column", "page"], typer.Option("--width", help="Of figures: 3.35 or 7 inches.")
]


def command(
    subject: Subject, *, output: Output = None, static: Static = False, figures: Figures = False,
    width: Width = "column",
) -> None:  # fmt: skip
    """Write the page of a run, a study or a composition: one file that needs no network.

    All is drawn from what was stored. Only what memories did over time is simulated again where the
    run did not keep it.
    """
    root = Path(subject)
    of = _page_of(root)
    if not figures:
        from archsim.core.files import atomic_write
        from archsim.report.html.page import render, with_command

        words = ["archsim", "report", subject, *(["--static"] if static else [])]
        made_by = shlex.join([*words, *(["--output", output] if output else [])])
        found = with_command(of(root), made_by)
        out.result(str(atomic_write(_file(root, output), render(found, static=static))))
        return
    from archsim.report.figures import draw_all
    from archsim.report.style import PAGE_IN, WIDTH_IN

    folder = Path(output) if output else root / "figures"
    drawings = (figure for section in of(root).sections for figure in section.figures)
    written = draw_all(drawings, folder, PAGE_IN if width == "page" else WIDTH_IN)
    for path in written:
        out.result(str(path))
    out.note(f"look into {folder}" if written else "nothing to draw: the run was not timed")


def _file(root: Path, output: str | None) -> Path:
    """Where the page goes: into the folder it is of, a named folder, or a named file."""
    path = Path(output) if output else root
    return path if output and path.suffix.lower() in (".html", ".htm") else path / PAGE


def _read(root: Path) -> tuple[Any, list[dict[str, Any]]]:
    """The report of a run, and what its memories did over time."""
    from archsim import api
    from archsim.report.stored import read_moments

    report = api.open_run(root)
    moments = read_moments(root)
    if not moments and report.tracer:
        moments = report.timeline().moments()
    return report, moments


def _page_of(root: Path) -> "Callable[[Path], Page]":
    """What makes the page of a folder, by what it holds."""
    from archsim.core.errors import InputError
    from archsim.dse import page as study
    from archsim.serving import page as composition

    if study.is_study(root):
        return study.page
    if composition.is_composition(root):
        return composition.page
    if not (root / "result.json").is_file():
        what = "is the folder of no run, study or composition" if root.is_dir() else "is no folder"
        raise InputError(
            f"{root} {what}", code="E003", help="archsim run, sweep, explore or compose write one"
        )
    return _page


def _page(root: Path) -> "Page":
    from archsim.report.html.run import page

    report, moments = _read(root)
    return page(report, root, moments)
