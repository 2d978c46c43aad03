"""A study as a table: one row a design, sorted by key, the same bytes for equal studies.

What differs between equal studies (times, hosts, workers) is in no column. CSV and Parquet have a
column for each setting and for each metric that any design has, by dotted path; JSON lines keep
the nesting of a row.
"""

from __future__ import annotations

import csv
import io
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, Literal

from archsim.core.errors import MissingExtra
from archsim.core.files import atomic_write
from archsim.core.yamlio import canonical_json
from archsim.dse.store import Point, Store

Format = Literal["csv", "jsonl", "parquet"]
FIRST: Final = {"key": "VARCHAR", "number": "BIGINT", "fidelity": "VARCHAR", "status": "VARCHAR"}
LAST: Final = {"error.code": "VARCHAR", "error.message": "VARCHAR"}
GROUP = 20_480  # rows of a Parquet row group: a multiple of DuckDB's vectors of 2,048
DOUBLE = '"'  # what CSV quotes with
LARGEST = 2**63  # integers from here on are floats in Parquet


def csv_text(store: Store) -> str:
    """The table as CSV; empty where a design has no such setting or metric."""
    columns = _columns(store.points())
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for point in store.points():
        cells = _cells(point)
        writer.writerow([_written(cells.get(name)) for name in columns])
    return text.getvalue()


def jsonl_text(store: Store) -> str:
    """The table as JSON lines: key, number, fidelity, settings, status, metrics, error."""
    return "".join(canonical_json(vars(point)) + "\n" for point in store.points())


def write_parquet(store: Store, path: Path) -> None:
    """The table as Parquet, by DuckDB from the same text as CSV.

    Raises:
        MissingExtra: when DuckDB is not installed.
    """
    try:
        import duckdb
    except ImportError:
        raise MissingExtra("Parquet is written by DuckDB", extra="data") from None
    columns = _columns(store.points())
    types = ", ".join(f"{_quoted(name)}: {_quoted(kind)}" for name, kind in columns.items())
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
        source, target = Path(folder, "table.csv"), Path(folder, "table.parquet")
        source.write_text(csv_text(store))
        # one thread and fixed groups: the bytes then depend on the rows alone
        with duckdb.connect(config={"threads": 1, "preserve_insertion_order": True}) as database:
            database.execute(
                f"COPY (SELECT * FROM read_csv({_quoted(str(source))}, header = true, delim = ',', "
                f"quote = {_quoted(DOUBLE)}, escape = {_quoted(DOUBLE)}, columns = {{{types}}})) "
                f"TO {_quoted(str(target))} (FORMAT parquet, ROW_GROUP_SIZE {GROUP})"
            )
        os.replace(target, path)


TEXTS: Final[dict[str, Callable[[Store], str]]] = {"csv": csv_text, "jsonl": jsonl_text}


def write(store: Store, form: Format, path: Path) -> None:
    """The table as a file, whole or not at all."""
    if form == "parquet":
        write_parquet(store, path)
    else:
        atomic_write(path, TEXTS[form](store))


def _columns(points: Iterable[Point]) -> dict[str, str]:
    """Name and type of every column: of the row, of settings, of metrics, of errors."""
    settings: dict[str, str] = {}
    metrics: dict[str, str] = {}
    for point in points:
        for name, value in point.settings.items():
            settings[name] = _joined(settings.get(name), _type(value))
        for name, value in point.metrics.items():
            metrics[name] = _joined(metrics.get(name), _type(value))
    return {**FIRST, **dict(sorted(settings.items())), **dict(sorted(metrics.items())), **LAST}


def _type(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "VARCHAR"
    return "BIGINT" if isinstance(value, int) and abs(value) < LARGEST else "DOUBLE"


def _joined(one: str | None, other: str) -> str:
    """The type that holds what both hold."""
    if one is None or one == other:
        return other
    return "VARCHAR" if "VARCHAR" in (one, other) else "DOUBLE"


def _cells(point: Point) -> dict[str, Any]:
    own = {name: getattr(point, name) for name in FIRST}
    error = {f"error.{name}": value for name, value in (point.error or {}).items()}
    return {**own, **point.settings, **point.metrics, **error}


def _written(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else canonical_json(value)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
