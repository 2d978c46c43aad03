"""`archsim report`: the figures of a run, from what it stored; nothing is simulated."""

from pathlib import Path
from typing import Annotated

import typer

from archsim.cli import _output as out

EXAMPLES = (
    "archsim report runs/mine",
    "archsim report runs/mine --output figures",
)
NEEDS_ARGUMENTS = True

Run = Annotated[str, typer.Argument(metavar="RUN", help="Folder of a run.")]
Output = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="DIR", help="Default: RUN/figures."),
]


def command(run: Run, *, output: Output = None) -> None:
    """Draw the figures of a run: SVG and PNG for a paper's column, and their data as CSV.

    Roofline, op breakdown, stalls of each unit, occupancy of each memory, energy and area.
    """
    from archsim.report.figures import draw
    from archsim.report.stored import read_run

    report = read_run(run)
    written = draw(report, Path(output) if output else Path(run) / "figures")
    for path in written:
        out.result(str(path))
    if not written:
        out.note("nothing to draw: the run was not timed")
