"""Does a store keep what it was told, once, and only what belongs to the study?"""

from __future__ import annotations

import json
import sqlite3
import string
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.dse.export import Format, csv_lines, jsonl_lines, write
from archsim.dse.merge import merge
from archsim.dse.point import Outcome, Task
from archsim.dse.store import Store

NAMES = st.text(string.ascii_lowercase + ".", min_size=1, max_size=6)
VALUES = st.one_of(st.integers(-5, 10**20), st.floats(allow_nan=False, allow_infinity=False))
TEXTS = st.text(string.printable, max_size=6)


def task(seed: int, **changed: Any) -> Task:
    return Task({}, (), changed, "tile", seed, (1.0,), "base")


@st.composite
def designs(draw: st.DrawFn) -> list[tuple[Task, Outcome]]:
    """Designs that are told apart by their seed, answered or not."""
    found = []
    for seed in range(draw(st.integers(0, 7))):
        one = task(seed, **draw(st.dictionaries(NAMES, st.one_of(VALUES, TEXTS), max_size=3)))
        if draw(st.booleans()):
            metrics = draw(st.dictionaries(NAMES.map("metrics.{}".format), VALUES, max_size=3))
            outcome = Outcome(one.key, "ok", metrics, (json.dumps({"n": seed}),))
        else:
            said = {"code": "E401", "message": draw(TEXTS), "help": None}
            outcome = Outcome(one.key, "infeasible", {}, error=said)
        found.append((one, outcome))
    return found


def filled(folder: Path, found: list[tuple[Task, Outcome]], shard: str | None = None) -> Path:
    with Store.open(folder, spec_sha="s", shard=shard) as store:
        for number, (one, outcome) in enumerate(found):
            if shard is None or number % 3 == int(shard[0]) - 1:
                store.put(one, outcome, number)
        store.finish()
    return folder


def table(folder: Path) -> str:
    with Store.read(folder) as store:
        return "".join([*csv_lines(store), *jsonl_lines(store)])


@settings(max_examples=15, deadline=None)
@given(designs(), st.randoms(use_true_random=False))
def test_what_goes_in_comes_out_in_whatever_order_and_from_however_many_shards(
    found: list[tuple[Task, Outcome]], chance: Any
) -> None:
    with TemporaryDirectory() as name:
        here = Path(name)
        whole = table(filled(here / "whole", found))
        with Store.open(here / "mixed", spec_sha="s") as store:
            for number, (one, outcome) in chance.sample([*enumerate(found)], len(found)):
                store.put(one, outcome, number)
            for one, outcome in found:
                kept = store.get(one.key)
                assert kept is not None
                assert (kept.status, kept.metrics, kept.error) == (
                    outcome.status, outcome.metrics, outcome.error,
                )  # fmt: skip
        assert table(here / "mixed") == whole
        shards = [filled(here / str(i), found, f"{i}/3") for i in (1, 2, 3)]
        merge(shards, here / "merged")
        assert table(here / "merged") == whole
        with Store.read(here / "merged") as store:
            runs = [json.loads(store.run_path(p.key).read_text()) for p in store.points()
                    if p.status == "ok"]  # fmt: skip
            settings_ = [p.settings for p in store.points() if p.status == "ok"]
        assert [run["settings"] for run in runs] == settings_
        assert all(run["schema"] == "archsim.point/1" for run in runs)


ROWS = [
    (task(0, size="16 MiB", n=1), {"metrics.time_s": 0.1 + 0.2, "time_ps": 2**53 + 1}),
    (task(1, size="8 MiB, twice", n=2.5), {"metrics.time_s": 1, "metrics.x": 3}),
]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    answered: list[tuple[Task, Outcome]] = [
        (one, Outcome(one.key, "ok", metrics)) for one, metrics in ROWS
    ]
    failed = task(2, size="1 B")
    said = {"code": "E401", "message": 'no "room"', "help": None}
    return filled(
        tmp_path / "study", [*answered, (failed, Outcome(failed.key, "infeasible", {}, (), said))]
    )


def test_a_table_has_a_column_for_every_setting_and_metric_and_exact_numbers(study: Path) -> None:
    with Store.read(study) as store:
        lines = "".join(csv_lines(store)).splitlines()
        keys = [point.key for point in store.points()]
    assert lines[0] == (
        "key,number,fidelity,status,n,size,metrics.time_s,metrics.x,time_ps,"
        "error.code,error.message"
    )
    assert sorted(line.partition(",")[2] for line in lines[1:]) == [
        "0,tile,ok,1,16 MiB,0.30000000000000004,,9007199254740993,,",
        '1,tile,ok,2.5,"8 MiB, twice",1,3,,,',
        '2,tile,infeasible,,1 B,,,,E401,"no ""room"""',
    ]
    assert [line.partition(",")[0] for line in lines[1:]] == keys == sorted(keys)


def test_parquet_holds_the_same_table_and_equal_tables_have_equal_bytes(
    study: Path, tmp_path: Path
) -> None:
    import duckdb

    form: Format = "parquet"
    with Store.read(study) as store:
        write(store, form, tmp_path / "a.parquet")
        write(store, form, tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    read = 'SELECT number, n, size, "metrics.time_s", time_ps, "error.message" FROM '
    assert duckdb.sql(f"{read} '{tmp_path / 'a.parquet'}' ORDER BY number").fetchall() == [
        (0, 1.0, "16 MiB", 0.1 + 0.2, 2**53 + 1, None),
        (1, 2.5, "8 MiB, twice", 1.0, None, None),
        (2, None, "1 B", None, None, 'no "room"'),
    ]
    assert not list(tmp_path.glob(".export*"))


def test_answers_of_another_description_count_once_they_are_asked_for(study: Path) -> None:
    first, second = (one.key for one, _ in ROWS)
    with Store.open(study, spec_sha="another") as store:
        assert (store.former, store.readopted) == (3, 0)
        assert store.get(second, 7) is not None
        assert store.get(second, 8) is not None
        assert [(p.key, p.number) for p in store.points()] == [(second, 7)]
        assert (store.readopted, store.complete) == (1, False)
        assert store.get(first) is not None
        assert store.counts() == {"ok": 1}
    with Store.open(study, spec_sha="another") as store:
        assert store.former == 0
    with Store.open(study, spec_sha="another", fresh=True) as store:
        assert store.get(second) is None


def test_a_file_without_a_row_is_written_again_and_metrics_alone_leave_no_file(
    tmp_path: Path,
) -> None:
    one = task(0)
    outcome = Outcome(one.key, "ok", {"x": 1}, ('{"whole": true}',))
    with Store.open(tmp_path / "a") as store:
        path = store.run_path(one.key)
        path.parent.mkdir(parents=True)
        path.write_text('{"half')
        store.put(one, outcome, 0)
        assert json.loads(path.read_text())["results"] == [{"whole": True}]
    with Store.open(tmp_path / "b", keep="metrics") as store:
        store.put(one, outcome, 0)
        assert not store.run_path(one.key).exists()
    with closing(sqlite3.connect(tmp_path / "b" / "sweep.db")) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
