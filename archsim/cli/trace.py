"""`archsim trace`: the timeline of a run, as a file that Perfetto opens."""

from pathlib import Path
from typing import Annotated

import typer

from archsim.cli import _output as out

EXAMPLES = (
    "archsim trace runs/mine",
    "archsim trace runs/mine --out mine.json",
)
NEEDS_ARGUMENTS = True

Run = Annotated[str, typer.Argument(metavar="RUN", help="Folder of a run.")]
OutFile = Annotated[
    str | None, typer.Option("--out", metavar="FILE", help="Default: RUN/timeline.json.")
]


def command(run: Run, *, out_file: OutFile = None) -> None:
    """Write what each unit did when: a timeline that ui.perfetto.dev opens.

    One track a unit, with its work and its waits; what each memory held and moved. The run is
    simulated again, unless it has stored its timeline.
    """
    from archsim import api
    from archsim.core.files import atomic_write
    from archsim.report.model import TIMELINE

    stored = Path(run) / TIMELINE
    report = api.open_run(run)
    if out_file is None and not stored.is_file():
        report.write_timeline(run)
    elif out_file is not None and stored.is_file():
        atomic_write(Path(out_file), stored.read_text("utf-8"))
    elif out_file is not None:
        report.timeline().save(out_file)
    out.result(out_file or str(stored))
    out.note("open it at ui.perfetto.dev")
