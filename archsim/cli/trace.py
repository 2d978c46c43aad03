"""`archsim trace`: the timeline of a run, as a file that Perfetto opens."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from archsim.cli import _output as out

EXAMPLES = (
    "archsim trace runs/mine",
    "archsim trace runs/mine --format chrome --out mine.json",
)
NEEDS_ARGUMENTS = True

Run = Annotated[str, typer.Argument(metavar="RUN", help="Folder of a run.")]
Form = Annotated[
    Literal["perfetto", "chrome"] | None,
    typer.Option("--format", help="Default: by FILE; else perfetto where it can be written."),
]
OutFile = Annotated[
    str | None,
    typer.Option("--out", metavar="FILE", help="Default: RUN/timeline.pftrace, or .json."),
]
Open = Annotated[bool, typer.Option("--open", help="Show it in a browser of this machine.")]


def command(run: Run, *, form: Form = None, out_file: OutFile = None, open_: Open = False) -> None:
    """Write what each unit did when: a timeline that ui.perfetto.dev opens.

    Tracks of engines, memories and links, with work and waits; what each memory held and moved. A
    Perfetto trace has arrows from producers to consumers too, and needs the extra trace; chrome is
    Chrome's JSON. The run is simulated again, unless it has stored this timeline.
    """
    from archsim import api
    from archsim.core.files import atomic_write
    from archsim.report.model import TIMELINES

    form = form or _form(out_file)
    stored = Path(run) / TIMELINES[form]
    report = api.open_run(run)
    if out_file is None and not stored.is_file():
        report.write_timeline(run, form)
    elif out_file is not None and stored.is_file():
        atomic_write(Path(out_file), stored.read_bytes())
    elif out_file is not None:
        report.timeline().save(out_file, form)
    out.result(out_file or str(stored))
    if open_:
        from archsim.cli._viewer import show

        show(Path(out_file or stored).read_bytes())
    else:
        out.note("open it at ui.perfetto.dev")


def _form(out_file: str | None) -> Literal["perfetto", "chrome"]:
    """What a file's name says, else the better of what can be written here."""
    from importlib.util import find_spec

    if out_file is not None and Path(out_file).suffix in {".json", ".pftrace"}:
        return "chrome" if Path(out_file).suffix == ".json" else "perfetto"
    return "perfetto" if find_spec("perfetto") else "chrome"
