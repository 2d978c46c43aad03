"""What agents did, as a dataset: JSON lines as they come, Parquet of them, and back.

One row a step, with what was seen before and after it. Equal actions give equal bytes: no times, no
hosts. Who writes rows while an agent plays is `gym.logged`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from archsim.core.errors import InputError
from archsim.core.yamlio import canonical_json
from archsim.dse.parquet import read_parquet, write_parquet

FILE = "trajectories.jsonl"
COLUMNS = {
    "episode": "BIGINT",
    "step": "BIGINT",
    "observation": "FLOAT[]",
    "action": "DOUBLE[]",
    "action_mask": "TINYINT[]",
    "reward": "DOUBLE",
    "next_observation": "FLOAT[]",
    "terminated": "BOOLEAN",
    "truncated": "BOOLEAN",
    "status": "VARCHAR",
    "key": "VARCHAR",
    "settings": "JSON",
    "metrics": "MAP(VARCHAR, DOUBLE)",
}
"""Columns of a row and their types in Parquet. `action_mask` is empty where all actions are legal;
`status` and what follows are empty in a step that is not a whole design."""


def line_of(row: dict[str, Any]) -> str:
    """A row as a line of text."""
    return canonical_json({name: row.get(name) for name in COLUMNS}) + "\n"


def rows(path: str | Path) -> Iterator[dict[str, Any]]:
    """The rows of a dataset: a folder that was played into, or a Parquet file.

    A last line that was cut short by the end of a process is left out.

    Raises:
        InputError: E003 where there is no dataset.
        MissingExtra: for Parquet, when DuckDB is not installed.
    """
    source = Path(path)
    if source.suffix == ".parquet":
        yield from _parquet_rows(source)
        return
    yield from map(json.loads, _lines(source))


def _lines(folder: Path) -> Iterator[str]:
    """Whole lines of a folder's file, one at a time."""
    try:
        with (folder / FILE).open(encoding="utf-8", newline="\n") as file:
            yield from (line for line in file if line.endswith("\n"))
    except OSError as error:
        message = f"{folder} holds no trajectories: {error.strerror}"
        help = "play with `archsim.gym.Logged(env, folder)`"
        raise InputError(message, code="E003", help=help) from None


def to_parquet(folder: str | Path, path: str | Path) -> None:
    """A folder that was played into as a Parquet file, whole or not at all.

    Raises:
        InputError: E003 where there is no dataset.
        MissingExtra: when DuckDB is not installed.
    """
    write_parquet(Path(path), _lines(Path(folder)), COLUMNS, "jsonl")


def _parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        raise InputError(f"{path} does not exist", code="E003")
    for row in read_parquet(path):
        yield row | {"settings": json.loads(row["settings"]) if row["settings"] else None}
