"""Does `report` write the page where it is told, whatever the folder is of?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from archsim.dse.plan import prepare
from archsim.dse.run import run
from archsim.dse.spec import load_explore

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Done

    Archsim = Callable[..., Done]

STUDY = """schema: archsim.explore/1
name: two
hardware: npu
workloads: [gpt2-small-prefill]
fidelity: bound
space: {memory.hbm.bandwidth: [500 GB/s, 2 TB/s]}
objectives: [{metric: metrics.time_s}]
search: {sampler: grid}
execution: {executor: serial}
"""


def test_the_page_of_a_run_goes_into_its_folder_or_where_it_is_told(archsim: Archsim) -> None:
    archsim("run", "npu", "gpt2-small-prefill", "--fidelity", "analytic", "-q", "-o", "mine")
    done = archsim("report", "mine", "--static")
    assert (done.status, done.stdout, done.stderr) == (0, "mine/report.html\n", "")
    text = Path("mine/report.html").read_text()
    assert text.startswith("<!doctype html>")
    assert "Plotly" not in text
    for path, written in (("a/b.html", "a/b.html"), ("far", "far/report.html")):
        assert archsim("report", "mine", "-o", path).stdout == f"{written}\n"
        assert "Plotly" in Path(written).read_text()


def test_the_page_of_a_study_and_its_figures(archsim: Archsim) -> None:
    Path("study.yaml").write_text(STUDY)
    run(prepare(*load_explore(Path("study.yaml"))), "two")
    assert archsim("report", "two", "--static").stdout == "two/report.html\n"
    assert "2 designs with an answer" in Path("two/report.html").read_text()
    assert "<svg" in Path("two/report.html").read_text()
    done = archsim("report", "two", "--figures", "--width", "page")
    assert "two/figures/pareto.png" in done.stdout.splitlines()
    assert Path("two/figures/pareto.pdf").is_file()
