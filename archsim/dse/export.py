"""A study as a table: one row a design, sorted by key, the same bytes for equal studies.

What differs between equal studies (times, hosts, workers) is in no column. CSV and Parquet have a
column for each setting and for each metric that any design has, by dotted path; JSON lines keep
the nesting of a row. Rows are made one at a time.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Literal

from archsim.core.files import atomic_write
from archsim.core.yamlio import canonical_json
from archsim.dse.parquet import write_parquet
from archsim.dse.store import Point, Store

Format = Literal["csv", "jsonl", "parquet"]
FIRST: Final = {"key": "VARCHAR", "number": "BIGINT", "fidelity": "VARCHAR", "status": "VARCHAR"}
LAST: Final = {"error.code": "VARCHAR", "error.message": "VARCHAR"}
LARGEST = 2**63  # integers from here on are floats in Parquet


def csv_lines(store: Store) -> Iterator[str]:
    """The table as CSV, names first; empty where a design has no such setting or metric."""
    yield from _csv_lines(store, list(_columns(store.points())))


def jsonl_lines(store: Store) -> Iterator[str]:
    """The table as JSON lines: key, number, fidelity, settings, status, metrics, error."""
    for point in store.points():
        yield canonical_json(vars(point)) + "\n"


LINES: Final[dict[str, Callable[[Store], Iterator[str]]]] = {
    "csv": csv_lines, "jsonl": jsonl_lines,
}  # fmt: skip


def write(store: Store, form: Format, path: Path) -> None:
    """The table as a file, whole or not at all.

    Raises:
        MissingExtra: for Parquet, when DuckDB is not installed.
    """
    if form == "parquet":
        columns = _columns(store.points())
        write_parquet(path, _csv_lines(store, list(columns)), columns, "csv")
    else:
        atomic_write(path, LINES[form](store))


def _csv_lines(store: Store, columns: list[str]) -> Iterator[str]:
    writer = csv.writer(_Handed(), lineterminator="\n")
    yield writer.writerow(columns)
    for point in store.points():
        cells = _cells(point)
        yield writer.writerow([_written(cells.get(name)) for name in columns])


class _Handed:
    """A file that keeps nothing: `csv.writer` hands back what its `write` says."""

    def write(self, text: str) -> str:
        return text


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
