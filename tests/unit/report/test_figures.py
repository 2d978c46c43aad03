"""Do figures hold what the result says, in files that a paper can use?"""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from archsim import api
from archsim.report import style
from archsim.report.figures import FIGURES, draw, figures
from archsim.report.model import Report
from archsim.report.stored import read_run


@pytest.fixture(scope="module")
def report() -> Report:
    return api.run("npu", "gpt2-small-prefill")


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_figure_comes_as_svg_png_and_csv(report: Report, tmp_path: Path) -> None:
    written = draw(report, tmp_path)
    assert [p.stem for p in written] == list(FIGURES)
    for name in FIGURES:
        assert (tmp_path / f"{name}.svg").read_text().count("<path") > 5
        assert (tmp_path / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
        assert table(tmp_path / f"{name}.csv")


def test_what_memories_did_over_time_is_drawn_where_it_is_known(
    report: Report, tmp_path: Path
) -> None:
    moments = report.timeline().moments()
    written = draw(report, tmp_path, moments)
    assert [p.stem for p in written][len(FIGURES) :] == ["memory_held", "memory_bandwidth"]
    held, moved = (table(tmp_path / f"{name}.csv") for name in ("memory_held", "memory_bandwidth"))
    for memory, capacity in report.result["machine"]["capacity_bytes"].items():
        assert [int(r[f"{memory}_held_bytes"]) for r in held] == [
            m[f"{memory}.held_bytes"] for m in moments
        ]
        assert {int(r[f"{memory}_capacity_bytes"]) for r in held} == {capacity}
    assert [float(r["hbm_bytes_per_s"]) for r in moved] == [m["hbm.bytes_per_s"] for m in moments]
    assert float(moved[1]["time_s"]) == pytest.approx(report.metrics["time_s"] / len(moments))


@pytest.mark.parametrize(
    ("hardware", "workload", "more"),
    [
        ("npu", "gpt2-small-prefill", ()),
        ("sn40l", "mixtral-8x7b-decode", ()),
        ("h200", "deepseek-v3-decode", ("memory.hbm.capacity=2 TiB",)),
    ],
)
def test_nothing_of_a_figure_sticks_out_of_it(
    hardware: str, workload: str, more: tuple[str, ...], tmp_path: Path
) -> None:
    found = api.run(hardware, workload, set_=more)
    for _, rows, paint, height in figures(found, found.timeline().moments()):
        figure = style.drawn(paint, rows, height)
        figure.draw_without_rendering()
        box = figure.get_tightbbox()
        assert min(box.x0, box.y0) >= -0.01
        assert box.x1 <= style.WIDTH_IN + 0.01
        assert box.y1 <= figure.get_figheight() + 0.01


def test_a_figure_is_as_wide_as_a_column(report: Report, tmp_path: Path) -> None:
    for path in draw(report, tmp_path):
        width = int.from_bytes(path.read_bytes()[16:20], "big")
        assert width == round(style.WIDTH_IN * style.DPI)


def test_the_data_of_a_figure_are_those_of_the_result(report: Report, tmp_path: Path) -> None:
    draw(report, tmp_path)
    result = report.result
    shares = {r["op_class"]: float(r["share_pct"]) for r in table(tmp_path / "op_breakdown.csv")}
    for c in result["op_classes"]:
        assert shares.get(c["op_class"], 0.0) == pytest.approx(100 * c["share"], abs=0.05)
    for row in table(tmp_path / "stalls.csv"):
        assert sum(float(v) for k, v in row.items() if k != "unit") == pytest.approx(100)
    energy = [r for r in table(tmp_path / "energy_area.csv") if r["metric"] == "energy_j"]
    total = result["metrics"]["energy_j"]["total"]
    assert sum(float(r["value"]) for r in energy) == pytest.approx(total, rel=2e-3)


def test_no_point_lies_above_the_roof(report: Report, tmp_path: Path) -> None:
    draw(report, tmp_path)
    for row in table(tmp_path / "roofline.csv"):
        x, y, peak, rate = (
            float(row[k])
            for k in ("flop_per_byte", "flop_per_s", "peak_flop_per_s", "bandwidth_bytes_per_s")
        )
        assert y <= min(peak, x * rate) * (1 + 1e-9)


def test_equal_runs_draw_equal_files(report: Report, tmp_path: Path) -> None:
    first, second = draw(report, tmp_path / "a"), draw(report, tmp_path / "b")
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes()
        assert one.with_suffix(".svg").read_text() == two.with_suffix(".svg").read_text()


def test_figures_of_a_stored_run_are_those_of_the_run(report: Report, tmp_path: Path) -> None:
    report.write(tmp_path / "run")
    draw(report, tmp_path / "a")
    draw(read_run(tmp_path / "run"), tmp_path / "b")
    for name in FIGURES:
        assert (tmp_path / "a" / f"{name}.csv").read_text() == (
            tmp_path / "b" / f"{name}.csv"
        ).read_text()


def test_a_run_without_figures_loads_no_plotting_library() -> None:
    code = (
        "import sys; from archsim import api; api.run('npu', 'gpt2-small-prefill'); "
        "print('matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
