"""Tables as Parquet, written and read by DuckDB: equal rows in equal order give equal bytes.

Which rows and columns there are is the business of who has them; they come as lines of text, so
that no table has to fit into memory.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from archsim.core.errors import MissingExtra

GROUP = 20_480  # rows of a row group: a multiple of DuckDB's vectors of 2,048
AT_ONCE = 2_048  # rows that are read together
DOUBLE = '"'  # what CSV quotes with


def write_parquet(
    path: Path, lines: Iterable[str], columns: Mapping[str, str], form: Literal["csv", "jsonl"]
) -> None:
    """A table as a Parquet file, whole or not at all.

    Args:
        path: of the file; its folder is made.
        lines: the rows as text, each with its end of line; of CSV the line of names first.
        columns: type of each, in the words of DuckDB, in the order of the table.
        form: of the lines.

    Raises:
        MissingExtra: when DuckDB is not installed.
    """
    duckdb = _duckdb()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
        source, target = Path(folder, f"table.{form}"), Path(folder, "table.parquet")
        with source.open("w", encoding="utf-8", newline="") as text:
            text.writelines(lines)
        read = READS[form].format(source=_quoted(str(source)), columns=_struct(columns))
        # one thread and fixed groups: the bytes then depend on the rows alone
        with duckdb.connect(config={"threads": 1, "preserve_insertion_order": True}) as database:
            database.execute(
                f"COPY (SELECT * FROM {read}) "
                f"TO {_quoted(str(target))} (FORMAT parquet, ROW_GROUP_SIZE {GROUP})"
            )
        os.replace(target, path)


def read_parquet(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file, by name of column.

    Raises:
        MissingExtra: when DuckDB is not installed.
    """
    with _duckdb().connect() as database:
        found = database.execute(f"SELECT * FROM read_parquet({_quoted(str(path))})")
        names = [column[0] for column in found.description]
        while rows := found.fetchmany(AT_ONCE):
            for values in rows:
                yield dict(zip(names, values, strict=True))


def _duckdb() -> Any:
    try:
        import duckdb
    except ImportError:
        raise MissingExtra("Parquet is read and written by DuckDB", extra="data") from None
    return duckdb


def _struct(columns: Mapping[str, str]) -> str:
    inside = ", ".join(f"{_quoted(name)}: {_quoted(kind)}" for name, kind in columns.items())
    return f"{{{inside}}}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


READS: Final = {
    "csv": f"read_csv({{source}}, header = true, delim = ',', quote = {_quoted(DOUBLE)}, "
    f"escape = {_quoted(DOUBLE)}, columns = {{columns}})",
    "jsonl": "read_json({source}, format = 'newline_delimited', columns = {columns})",
}
"""How DuckDB reads lines of each form."""
