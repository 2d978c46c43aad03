"""Is the error helpful when a store, a shard or a cluster is not what it should be?"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from archsim import __version__
from archsim.cli import _app
from archsim.core.errors import ArchsimError
from archsim.dse.executors import dask
from archsim.dse.executors.base import How, executors
from archsim.dse.merge import merge
from archsim.dse.point import Outcome, Task
from archsim.dse.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(refused: Callable[[], object]) -> str:
    with pytest.raises(ArchsimError) as caught:
        refused()
    return caught.value.render()


def study(folder: str, *, spec: str = "s", shard: str | None = None, ends: bool = True) -> Path:
    one = Task({}, (), {}, "tile", 0, (1.0,), "base")
    with Store.open(folder, spec_sha=spec, shard=shard) as store:
        store.put(one, Outcome(one.key, "ok", {"x": 1}), 0)
        if ends:
            store.finish()
        return store.folder


def changed(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "sweep.db")) as database:
        database.execute(statement)
        database.commit()


def test_a_folder_that_holds_no_study_is_neither_read_nor_written(here: Path) -> None:
    assert said(lambda: Store.read("mine")) == (
        "error[E703]: mine is not the folder of a study: it has no sweep.db\n"
        "      = help: `archsim sweep` and `archsim explore` make one"
    )
    (here / "notes").mkdir()
    (here / "notes" / "thesis.tex").touch()
    assert said(lambda: Store.open("notes", fresh=True)) == (
        "error[E703]: notes is not the folder of a study, and not empty\n"
        "      = help: choose another with -o"
    )


def test_a_store_of_another_version_is_not_read() -> None:
    folder = study("mine")
    changed(folder, "UPDATE meta SET value = 'archsim.sweep/9' WHERE key = 'store'")
    for refused in (Store.read, Store.open):
        assert said(lambda refused=refused: refused(folder)) == (  # type: ignore[misc]
            "error[E702]: mine/sweep.db is archsim.sweep/9; this archsim reads archsim.sweep/1\n"
            "      = help: read it with the archsim that wrote it, or use --fresh"
        )
    with Store.open(folder, fresh=True) as store:
        assert store.counts() == {}


def test_answers_of_another_version_are_not_mixed_with_those_of_this_one() -> None:
    folder = study("mine")
    changed(folder, "UPDATE meta SET value = '0.1' WHERE key = 'archsim'")
    assert said(lambda: Store.open(folder, spec_sha="s")) == (
        f"error[E702]: mine holds answers of archsim 0.1; this is {__version__}\n"
        "      = help: choose another folder with -o, or forget them with --fresh"
    )
    with Store.read(folder) as store:
        assert store.counts() == {"ok": 1}


def test_a_database_that_is_damaged_somewhere_is_named_by_whatever_meets_it() -> None:
    folder = study("mine")
    with closing(sqlite3.connect(folder / "sweep.db")) as database:
        page = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'points'")
        first = (page.fetchone()[0] - 1) * database.execute("PRAGMA page_size").fetchone()[0]
    with (folder / "sweep.db").open("r+b") as file:
        file.seek(first)
        file.write(b"\xff" * 400)
    with Store.read(folder) as store:
        for reads in (lambda: list(store.points()), store.counts, store.wall_s):
            assert said(reads).startswith(
                "error[E703]: mine/sweep.db is not a readable database: database disk image is"
            )


def test_a_broken_database_is_named() -> None:
    folder = study("mine")
    (folder / "sweep.db").write_bytes(b"half of something else" * 99)
    for refused in (Store.read, Store.open):
        assert said(lambda refused=refused: refused(folder)) == (  # type: ignore[misc]
            "error[E703]: mine/sweep.db is not a readable database: file is not a database\n"
            "      = help: a copy made while it was written? copy it again, or use --fresh"
        )


def test_a_full_disk_costs_no_answer_that_was_there() -> None:
    with Store.open(study("mine"), spec_sha="s") as store:
        store._database.execute("PRAGMA max_page_count = 1")
        large = Outcome("large", "ok", {"x" * 9999: 1})
        assert said(lambda: store.put(Task({}, (), {}, "", 0, (1.0,), ""), large, 1)) == (
            "error[E703]: mine cannot be written: database or disk is full\n"
            "      = help: answers that are there are kept: the same command goes on"
        )
        assert store.counts() == {"ok": 1}


def test_two_writers_and_two_shards_in_one_folder_are_refused() -> None:
    with Store.open("mine", shard="1/2"):
        assert said(lambda: Store.open("mine")) == (
            "error[E703]: another process is writing mine\n"
            "      = help: wait for it to end, or choose another folder with -o"
        )
    assert said(lambda: Store.open("mine", shard="2/2")) == (
        "error[E703]: mine holds shard 1/2, not shard 2/2\n"
        "      = help: give each shard a folder of its own with -o, or use --fresh"
    )


def merged(*folders: Path, into: str = "whole", partial: bool = False) -> str:
    return said(lambda: merge(folders, Path(into), partial=partial))


def test_shards_that_do_not_make_a_study_are_not_merged() -> None:
    first, half = study("a", shard="1/2"), study("b", shard="2/2", ends=False)
    assert merged(first, half) == (
        "error[E703]: b is half-written: 1 points, and it did not come to its end\n"
        "      = help: run the same command again to finish it, or use --partial"
    )
    assert merged(first) == (
        "error[E703]: shard 2/2 of the study is not among the folders\n"
        "      = help: give all of them, or use --partial"
    )
    assert merged(first, study("c", shard="1/2")) == "error[E703]: c and a are both shard 1/2"
    assert merged(first, study("d", shard="2/3")) == (
        "error[E703]: the folders are of different divisions: 1/2, 2/3\n"
        "      = help: shards of one study say the same n in --shard i/n"
    )
    assert merged(first, study("e", shard="2/2", spec="t")) == (
        "error[E703]: e and a are not of the same study\n"
        "      = help: shards of one study have the same explore.resolved.yaml"
    )
    assert merged(first, into="a") == (
        "error[E703]: a is one of the folders to be merged\n"
        "      = help: give another folder with -o"
    )
    assert merged(first, into="b") == (
        "error[E703]: b holds a study already\n"
        "      = help: give another folder with -o, or replace it with --fresh"
    )
    changed(half, "UPDATE points SET metrics = '{}'")
    assert merged(first, half, partial=True).startswith(
        "error[E703]: b has another answer for design "
    )


def test_a_cluster_must_be_named_and_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    start = "dask scheduler --port 8786, and dask worker tcp://HOST:8786 --nthreads 1"
    assert said(executors.get("dask")) == (
        "error[E706]: the executor dask needs the address of a scheduler\n"
        f"      = help: --scheduler tcp://HOST:8786; to start a cluster: {start}"
    )
    monkeypatch.setattr(dask, "CONNECT_S", 0.05)
    how = How(scheduler="tcp://127.0.0.1:9")
    assert said(lambda: executors.get("dask")(how)) == (
        f"error[E706]: no Dask scheduler answers at tcp://127.0.0.1:9\n      = help: {start}"
    )


def test_parquet_does_not_go_to_the_terminal() -> None:
    study("mine")
    arguments = ["export", "mine", "--format", "parquet"]
    done = CliRunner().invoke(_app.build(), arguments, prog_name="archsim")
    assert done.exit_code == 2
    assert "Parquet goes to a file: --out FILE" in done.stderr
