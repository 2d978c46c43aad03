"""Is a proxy's answer labelled, its error that of unseen designs, and the study left alone?"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import sys
from contextlib import closing
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from archsim.cli import _app
from archsim.core.errors import InputError, MissingExtra
from archsim.core.files import atomic_write
from archsim.core.yamlio import dump_yaml
from archsim.dse import surrogate, surrogate_models
from archsim.dse.folder import DATABASE, RESOLVED
from archsim.dse.point import Outcome
from archsim.dse.store import Store
from archsim.dse.surrogate import Proxy, train
from archsim.dse.surrogate_asked import designs_of
from archsim.dse.surrogate_features import features_of
from archsim.dse.surrogate_models import MODELS, Kind, one_thread
from archsim.testing.studies import plan_of

SPACE: dict[str, Any] = {
    "a": [1, 2, 3, 4, 5],
    "b": ["1 KiB", "2 KiB", "4 KiB", "8 KiB"],
    "c": ["x", "y"],
}
TIME, AREA, FIXED = "metrics.time_s", "metrics.area_mm2", "metrics.fixed"
RAN_S = 0.5


def metrics(settings: dict[str, Any]) -> dict[str, float]:
    """A time that falls with the root of b, an area that may be 0, and what never changes."""
    b = int(settings["b"].split()[0])
    slow = 2.0 if settings["c"] == "y" else 1.0
    return {TIME: slow * 8.0 / (settings["a"] * sqrt(b)), AREA: settings["a"] - 1.0, FIXED: 3.0}


def stored(folder: Path, *, most: int = 40) -> Path:
    """The folder of a grid whose designs were answered by a formula."""
    plan = plan_of(SPACE, objectives=[{"metric": TIME}, {"metric": FIXED}])
    with Store.open(folder, spec_sha=plan.sha256) as store:
        for number in range(-1, most):
            design = plan.space.numbered(max(number, 0))
            task = plan.task({} if number < 0 else design, "tile")
            outcome = Outcome(task.key, "ok", metrics(design), wall_s=RAN_S)
            store.put(task, outcome, number)
        atomic_write(folder / RESOLVED, dump_yaml(plan.spec.to_data()))
        store.finish()
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stored(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def trees(folder: Path) -> Proxy:
    return train(folder, [TIME, AREA])


def test_a_setting_is_learned_by_ratio_where_its_values_are_spaced_so() -> None:
    designs = [{"a": a, "b": b, "c": c} for a in (1, 2, 3) for b in SPACE["b"] for c in SPACE["c"]]
    features = features_of(designs, {})
    rows = features.matrix([{"a": 2, "b": "8 KiB", "c": "y"}, {"a": 1, "b": "1 KiB", "c": "x"}])
    assert rows.tolist() == [[0.5, 1.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0]]
    assert [c.log for c in features.columns] == [False, True, False]
    assert features.between({"a": 2, "b": "3 KiB", "c": "x"}) == ["b"]
    assert features.outside({"a": 2, "b": "3 KiB", "c": "x"}) == []
    assert features.outside({"a": 4, "b": "0.5 KiB", "c": "z"}) == ["a", "b", "c"]


def test_the_error_told_is_that_of_designs_it_never_saw(folder: Path) -> None:
    proxy = train(folder, [TIME], kind="gaussian")
    assert len(proxy.points) == 40  # the machine as described is no design
    (score,) = proxy.scores
    assert score.log
    assert score.error(between=False) == pytest.approx(0, abs=2e-3)
    assert score.r2.mean == pytest.approx(1, abs=1e-3)
    assert score.spearman.mean > 0.98
    (answer,) = proxy.predict([{"a": 3.5, "b": "3 KiB", "c": "y"}])
    true = 2 * 8 / (3.5 * sqrt(3))
    assert answer.between == ["a", "b"]
    assert answer.error[TIME] == score.between
    assert answer.metrics[TIME] == pytest.approx(true, rel=0.02)


def test_trees_say_that_they_know_little_between_what_they_learned(trees: Proxy) -> None:
    time, area = trees.scores
    seen, unseen = time.error(between=False), time.error(between=True)
    assert seen is not None
    assert unseen is not None
    assert unseen > 2 * seen
    assert (area.log, area.mape, area.between) == (False, None, None)  # it may be 0
    known, beyond = trees.predict([{"a": a, "b": "4 KiB", "c": "x"} for a in (2, 9)])
    assert known.error[TIME] == seen
    assert (beyond.outside, beyond.error[TIME]) == (["a"], None)


@pytest.mark.parametrize("kind", MODELS)
def test_equal_designs_teach_equal_models(kind: Kind) -> None:
    rows = np.linspace(0, 1, 60).reshape(30, 2) ** 2
    with one_thread():
        learned = [MODELS[kind](rows, rows.sum(axis=1), 7) for _ in range(2)]
    one, other = (model.predict(rows).tolist() for model in learned)
    assert one == other


def test_answers_are_labelled_and_none_enters_the_study(
    folder: Path, trees: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surrogate, "train", lambda *_, **__: trees)
    monkeypatch.setattr(surrogate, "MEASURED_S", 0.01)
    before = hashlib.sha256((folder / DATABASE).read_bytes()).hexdigest()
    line = ["surrogate", str(folder), "--ask", "b=4 KiB, c=x", "--vary", "a=2,9"]
    app, run = _app.build(), CliRunner().invoke
    found = json.loads(run(app, [*line, "--format", "json"]).stdout)
    assert [one["metric"] for one in found["cross_validated"]] == [TIME, AREA]
    answers = [(one["proxy"], one["outside"]) for one in found["answers"]]
    assert answers == [(True, []), (True, ["a"])]
    assert found["speed"]["simulated_s"] == RAN_S
    assert found["speed"]["times_faster"] == RAN_S / found["speed"]["batch_s"]
    text = run(app, line).stdout
    assert text.startswith("proxy of 40 designs at tile: boosted trees\n")
    assert text.count("\n  proxy: time_s ") == 2
    assert text.endswith("(error unknown)  (beyond what was learned: a)\n")
    assert hashlib.sha256((folder / DATABASE).read_bytes()).hexdigest() == before
    assert sorted(path.name for path in folder.iterdir()) == [".lock", RESOLVED, DATABASE]


def test_a_grid_is_crossed_with_each_design_that_is_asked_for() -> None:
    assert designs_of([], []) == []
    assert designs_of(["a=1, b=[1, 2]", "a=2"], ["c=x,y"]) == [
        {"a": 1, "b": [1, 2], "c": "x"}, {"a": 1, "b": [1, 2], "c": "y"},
        {"a": 2, "c": "x"}, {"a": 2, "c": "y"},
    ]  # fmt: skip


CASES = {
    "unknown metric": (
        ["metrics.tim_s"], {},
        'error[E701]: designs of the study have no metric "metrics.tim_s"\n'
        '      = help: did you mean "metrics.time_s"?',
    ),
    "constant metric": (
        [FIXED], {},
        "error[E705]: metrics.fixed is 3 in every design; there is nothing to learn\n"
        "      = help: choose another with --metric",
    ),
    "unknown setting": (
        [], {"a": 1, "b": "4 KiB", "cc": "x"},
        "error[E601]: the study does not vary cc\n      = help: did you mean `c`?",
    ),
    "missing setting": (
        [], {"a": 1, "b": "4 KiB"},
        'error[E102]: the design does not say c\n      = help: --ask "c=..."',
    ),
    "word for a number": (
        [], {"a": "many", "b": "4 KiB", "c": "x"},
        'error[E105]: a is learned as a quantity, got "many"\n'
        "      = help: example `64` or `16 MiB`",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_text_says_what_to_mend(
    case: tuple[list[str], dict[str, Any], str], folder: Path, trees: Proxy
) -> None:
    names, design, text = case
    with pytest.raises(InputError) as raised:
        trees.predict([design]) if design else train(folder, names)
    assert raised.value.render() == text


def test_a_design_is_typed_as_settings() -> None:
    with pytest.raises(InputError) as raised:
        designs_of(["a=1, b"], [])
    assert raised.value.render() == (
        '--ask a=1, b: error[E601]: "b" is not of the form PATH=VALUE\n'
        '      = help: example `--ask "engines.array.rows=64, memory.sram.capacity=16 MiB"`'
    )


def test_few_designs_and_stores_of_others_teach_nothing(tmp_path: Path) -> None:
    few = stored(tmp_path / "few", most=7)
    with pytest.raises(InputError) as raised:
        train(few)
    assert raised.value.render() == (
        f"error[E705]: {few} has 7 designs with an answer at tile; a proxy needs 20\n"
        "      = help: run more designs of the study"
    )
    with pytest.raises(InputError, match="is not the folder of a study"):
        train(tmp_path)
    with closing(sqlite3.connect(few / DATABASE)) as database, database:
        database.execute("UPDATE meta SET value = 'archsim.sweep/0' WHERE key = 'store'")
    with pytest.raises(InputError, match="this archsim reads archsim"):
        train(few)


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sklearn", "sklearn.ensemble"):
        monkeypatch.setitem(sys.modules, name, None)
    surrogate_models._pools.cache_clear()
    with pytest.raises(MissingExtra) as raised, one_thread():
        pass
    assert raised.value.render() == (
        'error: proxies come from scikit-learn\n      = help: pip install "archsim[dse]"'
    )
