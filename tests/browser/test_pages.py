"""Do the pages we write stand alone in a real browser: no request, no error, every figure drawn?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import archsim
from archsim.dse.page import page as page_of_study
from archsim.report.html.page import Page, render
from archsim.report.html.run import page as page_of_run
from archsim.report.model import Report

if TYPE_CHECKING:
    from conftest import Open

PHONE = {"width": 390, "height": 844}
# name of every figure, and how many marks of data it shows: axes, grids and letters are none
MARKS = """() => [...document.querySelectorAll('figure')].map(figure => {
  const marks = [...figure.querySelectorAll(
    ':is(.trace, .sankey) :is(path, rect, image), canvas, .plot > svg :is(path, use, image)'
  )];
  const seen = marks.filter(mark => {
    const box = mark.getBoundingClientRect();
    return Math.max(box.width, box.height) > 1;
  });
  return [figure.id.replace('figure-', ''), seen.length];
})"""
GROUND = "() => getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
WIDER = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


STUDY = {
    "schema": "archsim.explore/1", "name": "small", "hardware": "npu", "fidelity": "tile",
    "workloads": [{"model": "gpt2-small", "phase": "prefill", "tokens": 8, "batch": 1}],
    "space": {
        "memory.hbm.bandwidth": ["1 TB/s", "2 TB/s"],
        "memory.sram.capacity": ["1 KiB", "16 MiB", "32 MiB"],
    },
    "objectives": [{"metric": "metrics.time_s"}, {"metric": "metrics.area_mm2.total"}],
    "search": {"sampler": "grid"},
    "screen": {"fidelity": "analytic", "keep": "75 %"},
}  # fmt: skip


@dataclass(frozen=True)
class Written:
    """A page, and the file of it."""

    subject: Page
    path: Path


@pytest.fixture(scope="module", params=["run", "run-static", "study"])
def written(
    request: pytest.FixtureRequest, report: Report, tmp_path_factory: pytest.TempPathFactory
) -> Written:
    """The page of a run with a timeline, once with a script and once without, and of a study."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "study":
        archsim.explore(STUDY, output=folder, executor="serial")
        subject = page_of_study(folder)
    else:
        subject = page_of_run(report, folder, report.timeline().moments())
    path = folder / f"{request.param}.html"
    path.write_text(render(subject, static=path.stem.endswith("static")), encoding="utf-8")
    return Written(subject, path)


def test_a_page_stands_alone_wide_and_narrow_light_and_dark_and_on_paper(
    written: Written, opened: Open, artefacts: Path
) -> None:
    shown = opened(written.path.as_uri())
    marks = dict(shown.page.evaluate(MARKS))
    assert list(marks) == [f.name for s in written.subject.sections for f in s.figures]
    assert [name for name, n in marks.items() if not n] == []
    assert shown.page.evaluate(WIDER) == 0
    assert min(shown.page.evaluate(GROUND)) > 192
    shown.page.screenshot(path=artefacts / f"{written.path.stem}.png", full_page=True)

    shown.page.set_viewport_size(PHONE)
    shown.page.emulate_media(color_scheme="dark")
    shown.page.wait_for_function(f"() => ({WIDER})() === 0")  # figures follow in a moment
    assert max(shown.page.evaluate(GROUND)) < 64
    assert all(n for _, n in shown.page.evaluate(MARKS))
    shown.page.screenshot(path=artefacts / f"{written.path.stem}-phone.png", full_page=True)

    paper = shown.page.pdf(path=artefacts / f"{written.path.stem}.pdf")
    assert len(re.findall(rb"/Type\s*/Page\b", paper)) > 1
    assert shown.page.locator("[data-title*=Share], [data-title*=Cloud]").count() == 0
    assert (shown.asked, shown.errors) == ([], [])


def test_a_page_that_asks_fails_or_draws_nothing_is_noticed(opened: Open, tmp_path: Path) -> None:
    path = tmp_path / "bad.html"
    path.write_text(
        '<!doctype html><figure id="figure-empty"><div class="plot"><svg></svg></div></figure>'
        '<div style="width: 9000px; height: 9px"></div><img src="https://example.org/a.png">'
        "<script>throw new Error('wrong')</script>"
    )
    shown = opened(path.as_uri())
    assert shown.asked == ["https://example.org/a.png"]
    assert "wrong" in shown.errors
    assert shown.page.evaluate(MARKS) == [["empty", 0]]
    assert shown.page.evaluate(WIDER) > 0
