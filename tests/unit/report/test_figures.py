"""Do figures hold what the result says, in files that a paper can use?"""

from __future__ import annotations

import csv
import subprocess
import sys
from itertools import combinations, islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsim import api
from archsim.report import style
from archsim.report.figure_paint import height, painter, squarified
from archsim.report.figures import draw, draw_all, figures
from archsim.report.model import Report
from archsim.report.stored import read_run

NAMES = ["time_by_class", "stalls", "roofline", "occupancy", "energy", "area"]


@pytest.fixture(scope="module")
def report() -> Report:
    return api.run("npu", "gpt2-small-prefill")


@pytest.fixture(scope="module")
def drawn(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures")
    draw(report, folder)
    return folder


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_figure_comes_as_svg_pdf_png_and_csv(drawn: Path) -> None:
    assert sorted({path.stem for path in drawn.iterdir()}) == sorted(NAMES)
    for name in NAMES:
        assert (drawn / f"{name}.svg").read_text().count("<path") > 3
        assert (drawn / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
        assert (drawn / f"{name}.pdf").read_bytes()[:5] == b"%PDF-"
        assert table(drawn / f"{name}.csv")


def test_fonts_of_a_pdf_are_outlines_that_can_be_searched(drawn: Path) -> None:
    assert b"/CIDFontType2" in (drawn / "stalls.pdf").read_bytes()  # type 42, not type 3


def test_what_memories_did_over_time_is_drawn_where_it_is_known(report: Report) -> None:
    moments = report.timeline().moments()
    found = {one.name: one.rows for one in figures(report, moments)}
    assert list(found) == [*NAMES, "memory_held", "memory_bandwidth", "power"]
    held, moved = found["memory_held"], found["memory_bandwidth"]
    for memory, capacity in report.result["machine"]["capacity_bytes"].items():
        assert [r[f"{memory}_held_bytes"] for r in held] == [
            m[f"{memory}.held_bytes"] for m in moments
        ]
        assert {r[f"{memory}_capacity_bytes"] for r in held} == {capacity}
    assert [r["hbm_bytes_per_s"] for r in moved] == [m["hbm.bytes_per_s"] for m in moments]
    assert moved[1]["time_s"] == pytest.approx(report.metrics["time_s"] / len(moments))


@pytest.mark.parametrize(
    ("hardware", "workload", "more"),
    [
        ("npu", "gpt2-small-prefill", ()),
        ("sn40l", "mixtral-8x7b-decode", ()),
        ("h200", "deepseek-v3-decode", ("memory.hbm.capacity=2 TiB",)),
    ],
)
def test_nothing_of_a_figure_sticks_out_of_it(
    hardware: str, workload: str, more: tuple[str, ...]
) -> None:
    found = api.run(hardware, workload, set_=more)
    for one in figures(found, found.timeline().moments()):
        figure = style.drawn(painter(one), one.rows, height(one))
        figure.draw_without_rendering()
        box = figure.get_tightbbox()
        assert min(box.x0, box.y0) >= -0.01, one.name
        assert box.x1 <= style.WIDTH_IN + 0.01, one.name
        assert box.y1 <= figure.get_figheight() + 0.01, one.name


def test_a_figure_is_as_wide_as_a_column_or_as_a_page(report: Report, tmp_path: Path) -> None:
    for width_in in (style.WIDTH_IN, style.PAGE_IN):
        one = next(figures(report))
        path = style.save(tmp_path / "one", painter(one), one.rows, 2.0, width_in)
        width = int.from_bytes(path.read_bytes()[16:20], "big")
        assert width == round(width_in * style.DPI)


def test_the_data_of_a_figure_are_those_of_the_result(report: Report, drawn: Path) -> None:
    result = report.result
    shares: dict[str, float] = {}
    for row in table(drawn / "time_by_class.csv"):
        shares[row["op_class"]] = shares.get(row["op_class"], 0.0) + float(row["share_pct"])
    assert sum(shares.values()) == pytest.approx(100)
    for c in result["op_classes"]:
        assert shares[c["op_class"]] == pytest.approx(100 * c["share"])
    for row in table(drawn / "stalls.csv"):
        assert sum(float(v) for k, v in row.items() if k != "unit") == pytest.approx(100)
    for name, metric in (("energy", "energy_j"), ("area", "area_mm2")):
        parts = sum(float(r[metric]) for r in table(drawn / f"{name}.csv"))
        assert parts == pytest.approx(result["metrics"][metric]["total"], rel=2e-3)


def test_no_point_lies_above_the_roof(drawn: Path) -> None:
    for row in table(drawn / "roofline.csv"):
        x, y, peak, rate = (
            float(row[k])
            for k in ("flop_per_byte", "flop_per_s", "peak_flop_per_s", "bandwidth_bytes_per_s")
        )
        assert y <= min(peak, x * rate) * (1 + 1e-9)


def test_equal_runs_draw_equal_files_be_they_stored_or_not(
    report: Report, drawn: Path, tmp_path: Path
) -> None:
    report.write(tmp_path / "run")
    draw_all(islice(figures(read_run(tmp_path / "run")), 3), tmp_path / "again")
    for path in (tmp_path / "again").iterdir():
        assert path.read_bytes() == (drawn / path.name).read_bytes(), path.name


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=12))
def test_tiles_have_the_areas_of_their_values_and_do_not_overlap(values: list[float]) -> None:
    values = sorted(values, reverse=True)
    tiles = squarified(values, 0.0, 0.0, 2.0, 1.0)
    for value, (_, _, w, h) in zip(values, tiles, strict=True):
        assert w * h == pytest.approx(2 * value / sum(values), rel=1e-6)
    for (x, y, w, h), (a, b, c, d) in combinations(tiles, 2):
        assert x + w <= a + 1e-9 or a + c <= x + 1e-9 or y + h <= b + 1e-9 or b + d <= y + 1e-9


def test_a_run_without_figures_loads_no_plotting_library() -> None:
    code = (
        "import sys; from archsim import api; api.run('npu', 'gpt2-small-prefill'); "
        "print('matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
