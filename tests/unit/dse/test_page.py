"""Does the page of a study show the front, what it is made of, and what did not work?"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsim.core.errors import InputError
from archsim.dse import figure_front, figure_search
from archsim.dse.page import again, figures, page
from archsim.dse.pareto import front
from archsim.dse.plan import prepare
from archsim.dse.point import Task
from archsim.dse.run import run
from archsim.dse.spec import ExploreSpec, load_explore
from archsim.dse.store import Point
from archsim.dse.stored import StoredStudy, judged, read_study
from archsim.report.html.interactive import plot
from archsim.report.html.page import render

AREA = "metrics.area_mm2.total"
SPEC = f"""schema: archsim.explore/1
name: small
hardware: npu
workloads: [gpt2-small-prefill]
fidelity: analytic
space:
  memory.hbm.bandwidth: [500 GB/s, 2 TB/s]
  memory.hbm.capacity: [1 MiB, 80 GiB]
  engines.array.count: [2, 8]
objectives: [{{metric: metrics.time_s}}, {{metric: {AREA}}}]
constraints: ["{AREA} <= 30 mm^2"]
screen: {{fidelity: bound, keep: 1}}
search: {{sampler: grid}}
execution: {{executor: serial}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("study")
    (root / "study.yaml").write_text(SPEC)
    run(prepare(*load_explore(root / "study.yaml")), root / "out")
    return root / "out"


def told(folder: Path) -> str:
    found = page(folder)
    return " ".join([
        found.verdict, *(text for s in found.sections for text in s.says),
        *(cell for s in found.sections for t in s.tables for row in t.rows for cell in row),
    ])  # fmt: skip


def test_the_page_of_a_study_has_a_figure_for_each_question(folder: Path) -> None:
    found = {one.name: one for one in figures(folder)}
    assert list(found) == ["pareto", "hypervolume", "parallel", "importance", "failures",
                           "fidelity_bound_analytic"]  # fmt: skip
    for one in found.values():
        assert go.Figure(json.loads(_coloured(plot(one)))).data
    assert render(page(folder)).count("data-plot=") == len(found)


def _coloured(data: Any) -> str:
    """The data of a plot with a real colour wherever the style sheet would give one."""
    return re.sub(r'"@\w+"', '"#123456"', json.dumps(data))


def test_the_front_of_the_page_is_that_of_the_study(folder: Path) -> None:
    summary = json.loads((folder / "summary.json").read_text())
    study = read_study(folder)
    rows = next(one.rows for one in figures(folder) if one.name == "pareto")
    best = {row["design"] for row in rows if row["kind"] == "front"}
    assert best >= {one["number"] for one in summary["front"]}
    assert {row["kind"] for row in rows} >= {"front", "broken", "described"}
    for row in rows:
        assert (row["kind"] == "broken") <= (row[AREA] > 30)
    volumes = next(one.rows for one in figures(folder) if one.name == "hypervolume")
    last = summary["hypervolume"]["by_batch"][-1]
    assert volumes[-1]["hypervolume"] == pytest.approx(last)
    assert [v["hypervolume"] for v in volumes] == sorted(v["hypervolume"] for v in volumes)
    assert len(study.front) == len(best)


def test_each_best_design_comes_with_the_command_that_runs_it(folder: Path) -> None:
    study = read_study(folder)
    designs, commands = page(folder).sections[0].tables
    keys = [row[designs.head.index("Key")] for row in designs.rows]
    assert keys == [design.point.key[:8] for design in study.front]
    for row, design in zip(commands.rows, study.front, strict=True):
        words = shlex.split(row[-1])
        assert words[:4] == ["archsim", "run", "hardware.yaml", "workload.yaml"]
        assert [w for w in words if "=" in w] == [
            f"{path}={value}" for path, value in design.point.settings.items()
        ]


def test_the_command_of_a_design_says_lists_and_truth_values_as_yaml_reads_them(
    folder: Path,
) -> None:
    study = read_study(folder)
    settings = {"mapping": [{"ops": "*", "fuse": None}], "memory.hbm.shared": True}
    point = replace(study.front[0].point, settings=settings)
    words = shlex.split(again(study, replace(study.front[0], point=point)))
    task = Task({}, (), settings, "tile", 0, (), "")
    assert [word for word in words if "=" in word] == list(task.overrides)
    assert list(task.overrides) == [
        'mapping=[{"ops": "*", "fuse": null}]', "memory.hbm.shared=true",
    ]  # fmt: skip


def test_designs_without_an_answer_are_counted_by_reason(folder: Path) -> None:
    rows = next(one.rows for one in figures(folder) if one.name == "failures")
    study = read_study(folder)
    assert sum(r["designs"] for r in rows) == sum(p.status != "ok" for p in study.points) > 0
    assert "hbm holds 1.00 MiB (short by" in told(folder)


def test_a_study_that_was_cut_short_says_so_and_one_that_is_none_is_refused(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "sweep.db").write_bytes((folder / "sweep.db").read_bytes())
    with pytest.raises(InputError) as caught:
        read_study(tmp_path)
    assert caught.value.code == "E703"
    assert caught.value.message == (
        f"{tmp_path} is not the folder of a study: explore.resolved.yaml is missing or damaged"
    )
    assert "come to its end" not in told(folder)
    study = read_study(folder)
    assert study.described is not None


def of(values: Sequence[tuple[float, float]], tmp: Path = Path("none")) -> StoredStudy:
    """A study of designs with the given objectives."""
    spec = ExploreSpec.model_validate({
        "schema": "archsim.explore/1", "name": "drawn", "hardware": "npu",
        "workloads": ("gpt2-small-prefill",), "space": {"clocks.core": ("1 GHz", "2 GHz")},
        "objectives": ({"metric": "metrics.time_s"}, {"metric": AREA}),
    })  # fmt: skip
    points = tuple(
        Point(f"{i:08d}", i, "tile", {"clocks.core": f"{1 + i % 2} GHz"}, "ok",
              {"metrics.time_s": t, AREA: a})
        for i, (t, a) in enumerate(values)
    )  # fmt: skip
    return StoredStudy(tmp, spec, (), points, tuple(judged(spec, (), points)), {}, {}, {})


pair = st.tuples(st.floats(1e-6, 1.0), st.floats(1.0, 1e3))


@given(st.lists(pair, min_size=1, max_size=30))
def test_the_staircase_has_every_design_above_or_on_it(values: list[tuple[float, float]]) -> None:
    study = of(values)
    steps = [design.less for design in study.front]
    assert {d.point.number for d in study.designs if d.best} == set(front(values))
    assert steps == sorted(steps)
    for value in values:
        assert any(s[0] <= value[0] and s[1] <= value[1] for s in steps)


def test_of_very_many_designs_the_front_is_whole_and_one_a_spot_is_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count = 2000
    monkeypatch.setattr(figure_front, "MOST_DRAWN", 1000)
    monkeypatch.setattr(figure_front, "SPOTS", (32, 24))
    study = of([(1e-3 * (1 + i % 997), 1 + (i * 7919) % 1009) for i in range(count)])
    drawn = figure_front.thinned(study.designs)
    assert len(drawn) < count
    assert [d for d in drawn if d.best] == [d for d in study.designs if d.best]
    figure = figure_front.pareto(study)
    assert figure is not None
    assert f"{len(drawn)} in all" in figure.says


@given(st.lists(st.floats(-1e3, 1e3), min_size=8, max_size=40), st.integers(2, 4))
def test_what_a_setting_explains_is_a_share(values: list[float], count: int) -> None:
    groups = [i % count for i in range(len(values))]
    assert 0 <= figure_search.explained(values, groups) <= 1
    exact = [float(g) for g in groups]
    assert figure_search.explained(exact, groups) == pytest.approx(1)
    assert figure_search.explained([1.0] * len(values), groups) == 0


def test_one_objective_is_drawn_against_the_number_of_the_design() -> None:
    study = of([(3.0, 1.0), (2.0, 1.0), (2.5, 1.0), (1.0, 1.0)])
    spec = study.spec.model_copy(update={"objectives": study.spec.objectives[:1]})
    one = replace(study, spec=spec, designs=tuple(judged(spec, (), study.points)))
    figure = figure_front.pareto(one)
    assert figure is not None
    steps = figure.chart.marks[0]
    assert isinstance(steps, figure_front.Line)
    assert (list(steps.x), list(steps.y)) == ([0.0, 1.0, 3.0], [3.0, 2.0, 1.0])


def test_a_limit_on_an_objective_is_a_line(folder: Path) -> None:
    figure = next(one for one in figures(folder) if one.name == "pareto")
    lines = [m for m in figure.chart.marks if isinstance(m, figure_front.Line) and m.note]
    assert [(line.note, list(line.y)) for line in lines] == [(f"{AREA} <= 30 mm^2", [30.0, 30.0])]
