"""Is what `compare` and `explain --sensitivity` refuse told in the right words, with its status?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from archsim import api
from archsim.cli import _app
from archsim.core.yamlio import dump_yaml
from archsim.dse.store import Store

WORKLOAD = {
    "schema": "archsim.workload/1", "name": "fc",
    "model": {"layers": [{"name": "fc", "m": 8, "n": 64, "k": 64}]},
}  # fmt: skip


def called(*arguments: str) -> tuple[int, str, str]:
    """Status, stdout and stderr of a call."""
    done = CliRunner().invoke(_app.build(), list(arguments), prog_name="archsim")
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs `a`, its twin, one of a slower memory, and one of the bound."""
    root = tmp_path_factory.mktemp("runs")
    for name, bandwidth, fidelity in (
        ("a", "1 TB/s", "tile"), ("twin", "1 TB/s", "tile"), ("b", "999 GB/s", "tile"),
        ("least", "1 TB/s", "bound"),
    ):  # fmt: skip
        set_ = [f"memory.hbm.bandwidth={bandwidth}"]
        api.run("npu", WORKLOAD, set_=set_, fidelity=fidelity, advice=False).write(root / name)
    return root


@pytest.fixture(autouse=True)
def _there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def test_equal_runs_are_equal_and_one_that_differs_says_where_first() -> None:
    status, shown, said = called("compare", "a", "twin", "--exact", "--tolerance", "1%")
    assert (status, said) == (0, "")
    assert "B takes as long as A\nB spends the same energy" in shown
    status, shown, said = called("compare", "a", "twin", "b", "--exact")
    assert "C takes " in shown
    slower, faster = (json.loads(Path(n, "result.json").read_text())["time_ps"] for n in "ba")
    assert (status, said) == (7, f"error: b differs from a: time_ps is {slower}, not {faster}\n")


def test_a_run_that_was_asked_what_to_change_is_the_same_as_one_that_was_not() -> None:
    asked = api.run("npu", WORKLOAD, set_=["memory.hbm.bandwidth=1 TB/s"], fidelity="tile")
    asked.write("asked")
    assert asked.result["advice"] is not None
    for pair in (("a", "asked"), ("asked", "a")):
        status, _, said = called("compare", *pair, "--exact")
        assert (status, said) == (0, "what to change first is left out: asked alone says it\n")
    assert called("compare", "asked", "b", "--exact")[0] == 7


def test_a_metric_outside_the_tolerance_is_named_the_furthest_first() -> None:
    assert called("compare", "a", "b", "--tolerance", "1%", "--format", "csv")[0] == 0
    status, _, said = called("compare", "a", "b", "--tolerance", "0.0001")
    assert status == 7
    assert said.startswith("error: b is further from a than 0.0001: ")
    assert "; ratio_to_bound is " in said


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (
            ("compare", "a", "nowhere"), 3,
            'error[E003]: no run folder "nowhere"\n      = help: a run writes one: see -o\n',
        ),
        (
            ("compare", "a", "least"), 3,
            "error[E708]: least is a run at fidelity bound, which says not where its time goes\n"
            "      = help: run at fidelity analytic, tile or cycle\n",
        ),
        (
            ("compare", "a", "b", "--tolerance", "2"), 3,
            "error[E107]: --tolerance must be in (0, 1], got 2\n      = help: `85 %` or `0.85`\n",
        ),
        (
            ("compare", "a", "a#9f31"), 3,
            "error[E703]: a is not the folder of a study: it has no sweep.db\n"
            "      = help: `archsim sweep` and `archsim explore` make one\n",
        ),
        (
            ("explain", "least", "--sensitivity"), 3,
            "error[E708]: a run at fidelity bound has nothing that a setting could relieve\n"
            "      = help: run at fidelity analytic, tile or cycle\n",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_what_to_do(
    arguments: tuple[str, ...], status: int, said: str
) -> None:
    assert called(*arguments) == (status, "", said)


def test_one_run_alone_and_a_metric_beside_sensitivity_are_usage_errors() -> None:
    status, _, said = called("compare", "a")
    assert (status, "two runs or more are compared" in said) == (2, True)
    status, _, said = called("explain", "a", "metrics.time_s", "--sensitivity")
    assert (status, "is of a whole run: name no METRIC" in said) == (2, True)


def test_designs_of_a_study_are_compared_by_key_and_a_key_of_none_is_refused() -> None:
    Path("fc.yaml").write_text(dump_yaml(WORKLOAD))
    varied = ("memory.hbm.bandwidth=999 GB/s", "memory.hbm.capacity=1 KiB,80 GiB")
    vary = [flag for path in varied for flag in ("--vary", path)]
    flags = ("--fidelity", "tile", "--executor", "serial", "-o", "study")
    swept = called("sweep", "npu", "fc.yaml", *vary, *flags)
    assert swept[0] == 0, swept[2]  # that one does not fit is an answer
    with Store.read("study") as store:
        keys = {point.number: point.key for point in store.points()}
        lost = store.run_path(keys[1])
    status, shown, _ = called("compare", "a", "study#baseline", f"study#{keys[1][:8]}")
    assert status == 0
    assert "B takes as long as A\nB spends the same energy\n\nC takes" in shown
    assert "  hardware.memory.hbm.bandwidth  1 TB/s -> 999 GB/s" in shown
    assert called("compare", "a", "study#baseline", "--exact")[0] == 0
    assert called("compare", "a", "study#zz") == (
        3, "",
        'error[E003]: no design of study has a key that begins with "zz"\n'
        "      = help: `archsim export study` lists the keys\n",
    )  # fmt: skip
    assert called("compare", "a", "study") == (
        3, "",
        "error[E003]: study is the folder of a study, and one of its designs is compared\n      = "
        "help: study#KEY, or study#baseline: as described; `archsim export study` lists keys\n",
    )  # fmt: skip
    said = called("compare", "a", f"study#{keys[0]}")[2]
    assert said.startswith(f"error[E003]: study#{keys[0]} has no result: it is infeasible; ")
    lost.unlink()
    assert called("compare", "a", f"study#{keys[1]}")[2] == (
        f"error[E003]: study#{keys[1]} has no results beside its metrics: {keys[1]}.json is "
        "missing or damaged\n      = help: a study keeps them with `execution: {keep: results}`\n"
    )
