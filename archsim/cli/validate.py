"""`archsim validate`: archsim against numbers that others measured, published or simulated."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from archsim.cli import _options as o
from archsim.cli import _output as out

EXAMPLES = (
    "archsim validate",
    "archsim validate scalesim --limit 10",
)

Suite = Annotated[
    str | None, typer.Argument(metavar="SUITE", help="Suite to run; without one, list them.")
]
Table = Annotated[
    str | None, typer.Option("--table", metavar="CSV", help="Another table of the same columns.")
]
Limit = Annotated[
    int | None, typer.Option("--limit", min=1, metavar="N", help="Rows to run at most.")
]
Workers = Annotated[
    int, typer.Option("--workers", "-j", min=1, metavar="N", help="Processes to run rows in.")
]
Form = Annotated[Literal["text", "json", "csv"], typer.Option("--format", help="How to print.")]


def command(
    suite: Suite = None,
    *,
    table: Table = None,
    limit: Limit = None,
    workers: Workers = 1,
    fmt: Form = "text",
    out_file: o.OutFile = None,
) -> None:
    """Compare archsim with published or measured numbers.

    Without a suite, list the suites. Exit status 7 when a gating metric is outside its tolerance.
    """
    from archsim import validation
    from archsim.cli import _served
    from archsim.core.errors import EXIT_TOLERANCE
    from archsim.validation.text import render

    if suite is None:
        _list(fmt, out_file)
        return
    found = validation.validate(
        suite, Path(table) if table else None, limit, workers,
        progress=_served.progress(quiet=False, what="point"),
    )  # fmt: skip
    texts = {"json": lambda: out.json_text(found.to_dict()), "csv": found.to_csv}
    out.emit(texts.get(fmt, lambda: render(found))(), out_file)
    if not found.passed:
        raise typer.Exit(EXIT_TOLERANCE)


def _list(fmt: str, out_file: str | None) -> None:
    from archsim import validation

    rows = [info.to_dict() for info in validation.list_suites()]
    if fmt == "json":
        out.emit(out.json_text(rows), out_file)
    elif fmt == "csv":
        out.emit(out.csv_text(rows), out_file)
    else:
        parts = [
            [(key.replace("_", " "), str(value)) for key, value in row.items()] for row in rows
        ]
        out.emit("\n\n".join(out.table_text(part) for part in parts), out_file)
