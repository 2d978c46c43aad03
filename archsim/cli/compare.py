"""`archsim compare`: runs side by side, and what makes up the difference."""

from typing import Annotated, Literal

import typer

from archsim.cli import _output as out

EXAMPLES = (
    "archsim compare runs/mine runs/other",
    "archsim compare runs/mine runs/other --output page.html",
)
NEEDS_ARGUMENTS = True

Runs = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN...", help="Folders of runs, or designs of a study: STUDY#KEY. The first is "
        "the reference.",
    ),
]  # fmt: skip
Exact = Annotated[
    bool, typer.Option("--exact", help="Results must be the same bytes; else exit status 7.")
]
Tolerance = Annotated[
    str | None,
    typer.Option(
        "--tolerance", metavar="SHARE",
        help="Metrics must be so near, such as 1%; else exit status 7.",
    ),
]  # fmt: skip
Form = Annotated[Literal["table", "json", "csv"], typer.Option("--format", help="How to print.")]
Output = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write a page of it there: HTML."),
]
Static = Annotated[
    bool, typer.Option("--static", help="A small page: drawings, and no script in it.")
]


def command(
    runs: Runs, *, exact: Exact = False, tolerance: Tolerance = None, fmt: Form = "table",
    output: Output = None, static: Static = False,
) -> None:  # fmt: skip
    """Compare runs: their metrics, and which ops and stalls make up the difference in time.

    Shares of the difference by op class, and by what the critical path waited on, sum to it to the
    picosecond; energy is divided by component; settings that differ are listed. --output writes the
    same as a page with figures.
    """
    from archsim.cli import _compared

    if len(runs) < 2:
        raise typer.BadParameter("two runs or more are compared", param_hint="RUN...")
    share = _compared.share(tolerance)
    read = [_compared.read(name) for name in runs]
    out.result(_compared.shown(read, fmt))
    if output:
        out.note(f"wrote {_compared.write(read, output, static=static)}")
    _compared.judge(read, exact=exact, tolerance=share)
