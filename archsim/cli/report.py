"""`archsim report`: the figures of a run, from what it stored."""

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

    Roofline, op breakdown, stalls of each unit, occupancy and bandwidth of each memory, energy and
    area. What memories did over time is simulated again where the run did not store it.
    """
    from archsim import api
    from archsim.report.figures import draw
    from archsim.report.stored import read_moments

    report = api.open_run(run)
    moments = read_moments(run)
    if not moments and report.tracer:
        moments = report.timeline().moments()
    folder = Path(output) if output else Path(run) / "figures"
    written = draw(report, folder, moments)
    for path in written:
        out.result(str(path))
    out.note(f"look into {folder}" if written else "nothing to draw: the run was not timed")
