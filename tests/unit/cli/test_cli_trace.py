"""Do `trace`, `report` and the flags of `run` leave the files they name, and refuse the rest?"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Done

    Archsim = Callable[..., Done]

RUN = ("run", "npu", "gpt2-small-prefill", "--quiet", "--output")
FIGURES = [
    "time_by_class", "stalls", "roofline", "occupancy", "energy", "area", "memory_held",
    "memory_bandwidth", "power",
]  # fmt: skip


def test_a_plain_run_writes_neither_figures_nor_a_timeline(archsim: Archsim) -> None:
    assert archsim(*RUN, "mine").status == 0
    names = sorted(p.name for p in Path("mine").iterdir())
    assert names == ["config.resolved.yaml", "manifest.json", "ops.csv", "result.json"]


def test_run_writes_a_timeline_when_asked(archsim: Archsim) -> None:
    assert archsim(*RUN, "mine", "--timeline").status == 0
    assert json.loads(Path("mine/timeline.json").read_text())["traceEvents"]
    assert not Path("mine/figures").exists()


def test_trace_writes_what_run_would_have_written(archsim: Archsim) -> None:
    archsim(*RUN, "mine", "--timeline")
    archsim(*RUN, "other")
    done = archsim("trace", "other", "--format", "chrome")
    assert (done.status, done.stdout) == (0, "other/timeline.json\n")
    assert done.stderr == "open it at ui.perfetto.dev\n"
    assert Path("other/timeline.json").read_text() == Path("mine/timeline.json").read_text()


def test_trace_writes_perfettos_own_format_where_it_can(archsim: Archsim) -> None:
    archsim(*RUN, "mine")
    done = archsim("trace", "mine")
    assert (done.status, done.stdout) == (0, "mine/timeline.pftrace\n")
    assert archsim("trace", "mine", "--out", "far.pftrace").status == 0
    assert Path("far.pftrace").read_bytes() == Path("mine/timeline.pftrace").read_bytes()
    assert not Path("mine/timeline.json").exists()
    archsim(*RUN, "mine", "--force")
    assert not Path("mine/timeline.pftrace").exists()


def test_without_the_extra_the_trace_is_chromes(
    archsim: Archsim, monkeypatch: pytest.MonkeyPatch
) -> None:
    archsim(*RUN, "mine")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert archsim("trace", "mine").stdout == "mine/timeline.json\n"
    monkeypatch.setitem(sys.modules, "perfetto.trace_builder.proto_builder", None)
    done = archsim("trace", "mine", "--format", "perfetto")
    assert (done.status, done.stdout) == (8, "")
    assert done.stderr == (
        "error: a trace in Perfetto's format needs the library perfetto\n"
        '      = help: pip install "archsim[trace]"\n'
    )
    assert not Path("mine/timeline.pftrace").exists()


def test_trace_writes_where_it_is_told(archsim: Archsim) -> None:
    archsim(*RUN, "mine")
    assert archsim("trace", "mine", "--out", "far/t.json").stdout == "far/t.json\n"
    assert not Path("mine/timeline.json").exists()
    archsim("trace", "mine", "--format", "chrome")
    assert archsim("trace", "mine", "--out", "copy.json").status == 0
    assert Path("copy.json").read_text() == Path("far/t.json").read_text()


def test_report_draws_the_same_figures_as_run(archsim: Archsim) -> None:
    archsim(*RUN, "mine", "--figures")
    done = archsim("report", "mine", "--figures", "--output", "again")
    assert sorted(done.stdout.splitlines()) == sorted(f"again/{name}.png" for name in FIGURES)
    assert done.stderr == "look into again\n"
    archsim(*RUN, "other")
    archsim("report", "other", "--figures")
    for name in FIGURES:
        data = {Path(p, f"{name}.csv").read_text()
                for p in ("mine/figures", "again", "other/figures")}  # fmt: skip
        assert len(data) == 1, name


def test_a_run_that_was_not_simulated_has_no_timeline(archsim: Archsim) -> None:
    done = archsim(*RUN, "mine", "--fidelity", "analytic", "--timeline")
    assert done.status == 2
    assert "a run at fidelity analytic has no timeline" in done.stderr
    assert not Path("mine").exists()
    archsim(*RUN, "mine", "--fidelity", "analytic", "--figures")
    done = archsim("trace", "mine")
    assert done.status == 3
    assert done.stderr == (
        "error: a run at fidelity analytic has no timeline\n"
        "      = help: run at fidelity tile or cycle\n"
    )


def test_a_folder_that_is_no_run_is_refused_by_name(archsim: Archsim) -> None:
    Path("empty").mkdir()
    assert archsim("trace", "nowhere").stderr == (
        'error[E003]: no run folder "nowhere"\n      = help: a run writes one: see -o\n'
    )
    done = archsim("trace", "empty")
    assert (done.status, done.stdout) == (3, "")
    assert done.stderr == (
        "error[E003]: empty is not the folder of a run: result.json is missing or damaged\n"
        "      = help: run again with -o and --force\n"
    )
