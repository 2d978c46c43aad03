"""How results reach the terminal: the result on stdout, everything else on stderr."""

import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import typer

if TYPE_CHECKING:
    from archsim.report.model import Report

WIDTH = 80  # columns of a pipe, and the least we count on


def width() -> int:
    """Columns to print in: those of the terminal, 80 in a pipe."""
    return max(WIDTH, shutil.get_terminal_size().columns) if sys.stdout.isatty() else WIDTH


def colour() -> bool:
    """True when the result goes to a terminal."""
    return sys.stdout.isatty()


def result(text: str) -> None:
    """Print a result on stdout."""
    typer.echo(text.removesuffix("\n"))


def note(text: str, *, quiet: bool = False) -> None:
    """Print a note on stderr, unless asked to be quiet."""
    if not quiet:
        typer.echo(text, err=True)


def json_text(data: Any) -> str:
    """JSON for people and programs: indented, keys in their own order."""
    import json

    return json.dumps(data, indent=2, ensure_ascii=False)


def show_report(report: "Report", fmt: Literal["table", "json", "csv", "yaml"]) -> None:
    """Print a report on stdout: the summary, or the text of one of its files."""
    if fmt == "json":
        result(report.to_json())
    elif fmt == "csv":
        result(report.to_csv())
    elif fmt == "yaml":
        from archsim.core.yamlio import dump_yaml

        result(dump_yaml(report.result))
    else:
        from archsim.report.render import summary

        result(summary(report, width=width(), colour=colour()))


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV, with the keys of the first as header."""
    import csv
    import io

    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def table_text(rows: Iterable[Sequence[str]], header: Sequence[str] = ()) -> str:
    """Columns of text, left aligned; the last one wraps at the width of the terminal."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=bool(header), header_style="bold")
    found = [list(row) for row in rows]
    columns = max((len(row) for row in [*found, header]), default=0)
    for i in range(columns):
        last = i == columns - 1
        table.add_column(header[i] if header else "", no_wrap=not last, overflow="fold")
    for row in found:
        table.add_row(*row)
    console = Console(width=width(), color_system=None, markup=False, highlight=False)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def emit(text: str, out: str | None) -> None:
    """Print a result, or write it to a file and say where."""
    if out is None:
        result(text)
        return
    from pathlib import Path

    from archsim.core.files import atomic_write

    atomic_write(Path(out), text if text.endswith("\n") else text + "\n")
    note(f"wrote {out}")
