"""What the folder of a study holds, and who may write there: one process, and only in its own.

Rows and what they mean are the business of `dse.store`.
"""

from __future__ import annotations

import fcntl
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from archsim.core.errors import InputError

VERSION = "archsim.sweep/1"
DATABASE, RUNS, LOCK, MANIFEST = "sweep.db", "runs", ".lock", "manifest.json"
RESOLVED = "explore.resolved.yaml"
TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE points (
    key TEXT PRIMARY KEY, number INTEGER, fidelity TEXT NOT NULL, settings TEXT NOT NULL,
    status TEXT NOT NULL, metrics TEXT NOT NULL, error TEXT);
CREATE TABLE timing (key TEXT PRIMARY KEY, wall_s REAL NOT NULL);
"""


def refuse_foreign(folder: Path) -> None:
    """Leave alone what is no study.

    Raises:
        InputError: E703 when there is something, and it is neither empty nor of a study.
    """
    if folder.is_dir() and not (folder / DATABASE).exists():
        # an end before the database was made leaves a description, and nothing else
        found = {path.name for path in folder.iterdir()} - {RESOLVED, MANIFEST, LOCK}
        if not found:
            return
    elif not folder.exists() or (folder / DATABASE).is_file():
        return
    raise InputError(
        f"{folder} is not the folder of a study, and not empty",
        code="E703", help="choose another with -o",
    )  # fmt: skip


def refuse_absent(folder: Path) -> None:
    """Read nothing but a study.

    Raises:
        InputError: E703 when there is none.
    """
    if not (folder / DATABASE).is_file():
        raise InputError(
            f"{folder} is not the folder of a study: it has no {DATABASE}",
            code="E703", help="`archsim sweep` and `archsim explore` make one",
        )  # fmt: skip


def locked(folder: Path) -> IO[str]:
    """The lock of a folder, held until the file is closed or the process ends in any way.

    Raises:
        InputError: E703 when another process holds it.
    """
    lock = (folder / LOCK).open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise InputError(
            f"another process is writing {folder}",
            code="E703", help="wait for it to end, or choose another folder with -o",
        ) from None  # fmt: skip
    return lock


def forget(folder: Path) -> None:
    """Remove every answer of a study; reports beside them stay."""
    for name in (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm"):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / RUNS, ignore_errors=True)


def connect(folder: Path, *, write: bool) -> sqlite3.Connection:
    """The database of a folder; made, with its version, when it is to be written and not there.

    Raises:
        InputError: E703 when it is not a database.
    """
    path = folder / DATABASE
    if not write:
        return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    database = sqlite3.connect(path)
    try:
        # readers do not stop the writer, and an end by SIGKILL leaves whole transactions
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        made = database.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone()
        if not made:
            database.executescript(
                f"BEGIN; {TABLES} INSERT INTO meta VALUES ('store', '{VERSION}'); COMMIT;"
            )
    except sqlite3.DatabaseError as error:
        database.close()
        raise unreadable(folder, error) from None
    return database


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """While the block writes, a disk that is full or gone is an error of the folder.

    Raises:
        InputError: E703 with what the system says.
    """
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"{folder} cannot be written: {said}",
            code="E703", help="answers that are there are kept: the same command goes on",
        ) from None  # fmt: skip
    except sqlite3.DatabaseError as error:
        raise unreadable(folder, error) from None


def unreadable(folder: Path, error: sqlite3.DatabaseError) -> InputError:
    """What to say when the file is there and is no database."""
    return InputError(
        f"{folder / DATABASE} is not a readable database: {error}",
        code="E703", help="a copy made while it was written? copy it again, or use --fresh",
    )  # fmt: skip
