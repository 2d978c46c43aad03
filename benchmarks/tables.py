"""What studies leave behind: a table as CSV, and a line on stderr that says how far they are."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

Row = dict[str, Any]
T = TypeVar("T")


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write rows that have the same keys, and a header of these."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def counted(name: str, cases: Sequence[T]) -> Iterator[T]:
    """The cases one by one; a terminal sees how many of them are through."""
    for i, case in enumerate(cases):
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{name}: {i} of {len(cases)}")
        yield case
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
