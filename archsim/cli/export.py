"""`archsim export`: a study as CSV, JSON lines or Parquet, the same bytes for equal studies."""

from typing import Annotated, Literal

import typer

from archsim.cli import _options as o
from archsim.cli import _output as out

EXAMPLES = (
    "archsim export sweeps/mine --format csv",
    "archsim export sweeps/mine --format parquet --out mine.parquet",
)
NEEDS_ARGUMENTS = True

Folder = Annotated[str, typer.Argument(metavar="DIR", help="The folder of a sweep or search.")]
Form = Annotated[
    Literal["csv", "jsonl", "parquet"],
    typer.Option("--format", help="Parquet needs --out and the extra [data]."),
]


def command(
    folder: Folder, *, fmt: Form = "csv", path: o.OutFile = None, quiet: o.Quiet = False
) -> None:
    """Print a study as a table, one row a design, sorted by key.

    Columns are key, number, fidelity, status, each setting, each metric and the error, if any.
    """
    from pathlib import Path

    from archsim.dse import export
    from archsim.dse.store import Store

    if fmt == "parquet" and path is None:
        raise typer.BadParameter("Parquet goes to a file: --out FILE", param_hint="--format")
    with Store.read(folder) as store:
        if path is None:
            for line in export.LINES[fmt](store):
                typer.echo(line, nl=False)
        else:
            export.write(store, fmt, Path(path))
            out.note(f"wrote {path}", quiet=quiet)
        if not store.complete:
            out.note(f"note: the study in {folder} has not come to its end", quiet=quiet)
