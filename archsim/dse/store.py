"""The folder of a study: one row a design in SQLite, one JSON file a run, and nothing lost.

A row is written in a transaction of its own, after the file of its run where that is kept, so that
an end at any moment, even by SIGKILL, costs only the designs that ran. One process writes; any may
read. SQLite is wrong on network file systems: there each machine writes a shard to a disk of its
own and `dse.merge` joins them. Tables of other formats are the business of `dse.export`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, Self, cast

from archsim import __version__
from archsim.core.errors import InputError
from archsim.core.files import atomic_write
from archsim.core.yamlio import canonical_json
from archsim.dse import folder as place
from archsim.dse.folder import DATABASE, RUNS, VERSION
from archsim.dse.point import Outcome, Status, Task
from archsim.dse.rows import COLUMNS, Row, run_text, standing


@dataclass(frozen=True)
class Point:
    """A row: one design at one fidelity, and what came of it.

    Attributes:
        key: content hash of its task.
        number: first design of the study that asked for it; -1 is the machine as described.
        fidelity: at which it ran.
        settings: path and value, choices of whole descriptions included.
        status: whether there is an answer.
        metrics: every number of the result by dotted path; empty without an answer.
        error: code, message and help where there is no answer.
    """

    key: str
    number: int
    fidelity: str
    settings: dict[str, Any]
    status: Status
    metrics: dict[str, float]
    error: dict[str, Any] | None = None


class Store:
    """Answers of one study, by key.

    Attributes:
        folder: where they lie.
        former: rows of another description of the study found on opening; they answer again when
            asked for, and are no part of the study until then.
        readopted: those of them that were asked for since.
    """

    def __init__(self, folder: Path, database: sqlite3.Connection, *, keep: str) -> None:
        self.folder, self.former, self.readopted = folder, 0, 0
        self._keep, self._database = keep, database
        self._lock: IO[str] | None = None

    @classmethod
    def open(
        cls,
        folder: Path | str,
        *,
        fresh: bool = False,
        spec_sha: str = "",
        shard: str | None = None,
        keep: Literal["results", "metrics"] = "results",
        archsim: str = __version__,
    ) -> Self:
        """The store of a folder, to be written; made when it is not there.

        Args:
            folder: of the study.
            fresh: forget the answers that are there.
            spec_sha: hash of the resolved description of the study.
            shard: `i/n` when this is one of n parts.
            keep: whether a file of every run is kept beside its metrics.
            archsim: version that answers.

        Raises:
            InputError: E702 a store, or answers, of another version; E703 a folder of other things,
                a broken database, another shard, or a store that another process writes.
        """
        folder = Path(folder)
        place.refuse_foreign(folder)
        folder.mkdir(parents=True, exist_ok=True)
        lock = place.locked(folder)
        try:
            if fresh:
                place.forget(folder)
            store = cls(folder, place.connect(folder, write=True), keep=keep)
        except BaseException:
            lock.close()
            raise
        store._lock = lock
        try:
            store._begin(spec_sha, archsim, shard)
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def read(cls, folder: Path | str) -> Self:
        """The store of a folder, to be read, also while a study writes it.

        Raises:
            InputError: E702 a store of another version; E703 no store.
        """
        place.refuse_absent(Path(folder))
        store = cls(Path(folder), place.connect(Path(folder), write=False), keep="results")
        try:
            store._check_version()
        except BaseException:
            store.close()
            raise
        return store

    def _begin(self, spec_sha: str, archsim: str, shard: str | None) -> None:
        self._check_version()
        meta = self.meta
        if meta.get("archsim", archsim) != archsim:
            raise InputError(
                f"{self.folder} holds answers of archsim {meta['archsim']}; this is {archsim}",
                code="E702", help="choose another folder with -o, or forget them with --fresh",
            )  # fmt: skip
        if meta.get("shard", shard or "") != (shard or ""):
            held, wanted = (f"shard {s}" if s else "a whole study" for s in (meta["shard"], shard))
            raise InputError(
                f"{self.folder} holds {held}, not {wanted}",
                code="E703", help="give each shard a folder of its own with -o, or use --fresh",
            )  # fmt: skip
        with self._database:
            if meta.get("spec", spec_sha) != spec_sha:
                changed = self._database.execute("UPDATE points SET number = NULL")
                self.former = changed.rowcount
        self._note(spec=spec_sha, archsim=archsim, shard=shard or "", complete="0")

    def _check_version(self) -> None:
        found = self.meta.get("store")
        if found is None:
            raise InputError(f"{self.folder / DATABASE} says no version", code="E702")
        if found != VERSION:
            raise InputError(
                f"{self.folder / DATABASE} is {found}; this archsim reads {VERSION}",
                code="E702", help="read it with the archsim that wrote it, or use --fresh",
            )  # fmt: skip

    @property
    def meta(self) -> dict[str, str]:
        """What the store says of itself: store, spec, archsim, shard, complete."""
        return dict(self._rows("SELECT key, value FROM meta"))

    @property
    def complete(self) -> bool:
        """Whether the study came to its end."""
        return self.meta.get("complete") == "1"

    def get(self, key: str, number: int | None = None) -> Outcome | None:
        """The answer of a design that ran before, without the texts of its results.

        Args:
            key: of its task.
            number: of the design that asks; a row of a former description becomes part of the
                study by it.
        """
        query = (
            "SELECT number, status, metrics, error, wall_s FROM points LEFT JOIN timing USING (key)"
            " WHERE key = ?"
        )
        row = next(self._rows(query, key), None)
        if row is None:
            return None
        if row[0] is None and number is not None:
            with place.writing(self.folder), self._database:
                self._database.execute("UPDATE points SET number = ? WHERE key = ?", (number, key))
            self.readopted += 1
        return Outcome(
            key, cast("Status", row[1]), json.loads(row[2]),
            error=json.loads(row[3]) if row[3] else None, wall_s=row[4] or 0.0,
        )  # fmt: skip

    def put(self, task: Task, outcome: Outcome, number: int) -> None:
        """Keep an answer: the file of the run first, then the row."""
        shown = task.shown
        error = canonical_json(dict(outcome.error)) if outcome.error else None
        row = (outcome.key, number, task.fidelity, canonical_json(shown), outcome.status,
               canonical_json(dict(outcome.metrics)), error)  # fmt: skip
        with place.writing(self.folder):
            if outcome.results and self._keep == "results":
                atomic_write(self.run_path(outcome.key), run_text(shown, outcome.results))
            with self._database:
                self._write(row, outcome.wall_s)

    def absorb(self, other: Store) -> None:
        """Take in the rows of another store, all or none.

        Where one of two rows says more of its run than of the design, the other one is taken.

        Raises:
            InputError: E703 when both have a design and do not agree about it.
        """
        rows = other._rows(
            f"SELECT {COLUMNS}, wall_s FROM points LEFT JOIN timing USING (key) "
            "WHERE number IS NOT NULL ORDER BY key"
        )
        query = f"SELECT {COLUMNS} FROM points WHERE key = ?"
        with place.writing(self.folder), self._database:
            for *values, wall_s in rows:
                row = tuple(values)
                mine = next(self._rows(query, row[0]), row)
                kept = standing(mine, row)
                if kept is None:
                    raise InputError(
                        f"{other.folder} has another answer for design {row[0][:12]}",
                        code="E703", help="one of the shards was changed by hand; run it --fresh",
                    )  # fmt: skip
                number = min(mine[1], row[1])
                self._write((kept[0], number, *kept[2:]), wall_s if kept[2:] == row[2:] else None)

    def _write(self, row: Row, wall_s: float | None) -> None:
        """A row and how long it took, where that is known; inside a transaction."""
        put = "INSERT OR REPLACE INTO"
        self._database.execute(f"{put} points VALUES ({', '.join('?' * len(row))})", row)
        if wall_s is not None:
            self._database.execute(f"{put} timing VALUES (?, ?)", (row[0], wall_s))

    def _rows(self, query: str, *values: Any) -> Iterator[Row]:
        try:
            # not the cursor itself: it would be closed with the generator, after the database
            yield from map(tuple, self._database.execute(query, values))
        except sqlite3.DatabaseError as error:
            raise place.unreadable(self.folder, error) from None

    def points(self) -> Iterator[Point]:
        """Rows of the study as it is described now, sorted by key."""
        query = f"SELECT {COLUMNS} FROM points WHERE number IS NOT NULL ORDER BY key"
        for key, number, fidelity, settings, status, metrics, error in self._rows(query):
            yield Point(
                key, number, fidelity, json.loads(settings), status, json.loads(metrics),
                json.loads(error) if error else None,
            )  # fmt: skip

    def counts(self) -> dict[str, int]:
        """Designs by status."""
        query = (
            "SELECT status, COUNT(*) FROM points WHERE number IS NOT NULL "
            "GROUP BY status ORDER BY status"
        )
        return dict(self._rows(query))

    def wall_s(self) -> float:
        """Seconds that workers spent on the designs of the study, all together."""
        query = "SELECT SUM(wall_s) FROM timing JOIN points USING (key) WHERE number IS NOT NULL"
        return float(next(self._rows(query))[0] or 0.0)

    def mean_wall_s(self, fidelity: str) -> float | None:
        """Mean seconds of a worker on an answered design of a fidelity; None if none is noted."""
        query = (
            "SELECT AVG(wall_s) FROM timing JOIN points USING (key) "
            "WHERE status = 'ok' AND fidelity = ? AND number >= 0 AND wall_s > 0"
        )
        found = next(self._rows(query, fidelity))[0]
        return None if found is None else float(found)

    def run_path(self, key: str) -> Path:
        """Where the file of a run lies, if it is kept."""
        return self.folder / RUNS / key[:2] / f"{key}.json"

    def finish(self) -> None:
        """Say that the study came to its end; the database is one file from then on."""
        self._note(complete="1")
        with suppress(sqlite3.OperationalError):  # somebody reads: the write-ahead log stays
            self._database.execute("PRAGMA journal_mode = DELETE")

    def _note(self, **facts: str) -> None:
        with place.writing(self.folder), self._database:
            self._database.executemany(
                "INSERT OR REPLACE INTO meta VALUES (?, ?)", sorted(facts.items())
            )

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()
        if self._lock is not None:
            self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
