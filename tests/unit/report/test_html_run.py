"""Does the page of a run stand alone, say what the result says, and hide nothing it lacks?"""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

from archsim import api
from archsim.report import style
from archsim.report.figure_chart import Chart, Figure, Points, cut
from archsim.report.figures import figures
from archsim.report.html import page as pages
from archsim.report.html.interactive import plot, script_safe
from archsim.report.html.page import Page, Section, render
from archsim.report.html.run import page
from archsim.report.model import Report


class Found(HTMLParser):
    """Tags, addresses and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [v or "" for k, v in attrs if k in ("src", "href", "data", "action")]
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag in self.open, f"</{tag}> closes nothing"
        while self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.words.append(data)


@pytest.fixture(scope="module")
def report() -> Report:
    return api.run("npu", "gpt2-small-prefill", fidelity="tile")


@pytest.fixture(scope="module")
def static(report: Report) -> str:
    return render(page(report, None, report.timeline().moments()), static=True)


def test_the_page_asks_for_no_other_file(report: Report, static: str) -> None:
    for text in (static, render(page(report))):
        outside = [a for a in Found(text).addresses if not a.startswith(("data:", "#"))]
        assert outside == []
        assert "default-src 'none'" in text


def test_a_static_page_is_small_has_no_script_and_is_equal_for_equal_runs(
    report: Report, static: str
) -> None:
    assert "script" not in Found(static).tags
    assert len(static) < 1_000_000
    one = replace(page(report), sections=page(report).sections[:2])
    assert render(one, static=True) == render(one, static=True)
    assert static.count("<svg") == static.count("<figure ")


def test_every_figure_carries_its_data(report: Report, static: str) -> None:
    shown = re.findall(r'download="(\w+)\.csv" href="data:text/csv[^,]*,([^"]+)"', static)
    rows = {
        name: list(csv.DictReader(io.StringIO(base64.b64decode(data).decode())))
        for name, data in shown
    }
    assert len(rows) == static.count("<figure ")
    for one in figures(report, report.timeline().moments()):
        assert len(rows[one.name]) == len(one.rows)
        assert [float(r[k]) for r in rows[one.name] for k in r if _is_number(r[k])] == [
            pytest.approx(v) for r in one.rows for v in r.values() if _is_number(v)
        ]


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def test_the_page_says_what_the_result_says(report: Report, static: str) -> None:
    words = " ".join(" ".join(Found(static).words).split())
    result = report.result
    assert result["verdict"] in words
    for text in (result["key"][:8], *result["not_modelled"], *result["fidelity_notes"]):
        assert text in words
    for kind in ("hardware", "workload"):
        assert result["inputs"][kind]["sha256"] in words
    assert "archsim run hardware.yaml workload.yaml --fidelity tile --seed 0" in words
    assert f"{len(result['provenance']['assumed_settings'])} settings are assumed" in words


def test_plotly_takes_every_figure_as_it_is(report: Report) -> None:
    found = list(figures(report, report.timeline().moments()))
    for one in found:
        plain = json.loads(re.sub(r'"@\w+"', '"#123456"', json.dumps(plot(one))))
        assert go.Figure(plain).data


@pytest.mark.parametrize(
    ("hardware", "workload", "fidelity", "said"),
    [
        ("npu", "gpt2-small-prefill", "bound", "nothing is run through time"),
        ("npu", "gpt2-small-prefill", "analytic", "was not simulated through it"),
        ("pim-gpt", "gpt2-small-prefill", "analytic", "What banks with processing units did"),
        ("cxl-32", "llama-3-8b-decode", "analytic", "Exchanges between devices"),
    ],
)
def test_what_a_run_has_not_is_said_and_what_it_has_is_shown(
    hardware: str, workload: str, fidelity: str, said: str
) -> None:
    found = page(api.run(hardware, workload, fidelity=fidelity))  # type: ignore[arg-type]
    told = " ".join(
        text for section in found.sections
        for text in (*section.says, *(figure.title for figure in section.figures))
    )  # fmt: skip
    assert said in told


def test_names_from_outside_stay_text() -> None:
    evil = '</script><script>alert("x")</script><img src=x onerror=alert(1)>'
    text = render(
        Page(evil, evil, ((evil, evil),), (Section("s", evil, (evil,), points=(evil,)),)),
        static=True,
    )
    assert not {"script", "img"} & set(Found(text).tags)
    assert "<" not in script_safe({"name": evil, "and": "&\u2028"})
    assert json.loads(script_safe({"name": evil})) == {"name": evil}


def test_a_run_with_sensitivities_shows_its_tornado(report: Report, tmp_path: Path) -> None:
    now = report.metrics["time_s"]
    row = {"path": "memory.hbm.bandwidth", "now": "1 TB/s", "low": "800 GB/s", "high": None,
           "time_s_low": 1.1 * now, "time_s_high": None}  # fmt: skip
    found = {"key": report.key, "step": 0.2, "time_s": now, "rows": [row],
             "bounded_by": None, "changes": [],
             "levels": [{"fidelity": "bound", "time_s": now, "adds_s": now}]}  # fmt: skip

    def shown(text: str) -> Section:
        (tmp_path / "sensitivity.json").write_text(text)
        return next(s for s in page(report, tmp_path).sections if s.name == "sensitivity")

    section = shown(json.dumps(found))
    assert section.figures[0].rows[0]["low_pct"] == pytest.approx(10)
    assert section.figures[0].rows[0]["high_pct"] is None
    assert section.tables[0].rows[0][0] == "bound"
    for damaged in ("{", "[]", '{"rows": []}'):
        assert shown(damaged).says[0].startswith("sensitivity.json is damaged. `archsim explain")
    other = json.dumps({**found, "key": "of another"})
    assert shown(other).says[0].startswith("sensitivity.json is of another run. ")


def test_what_is_no_number_is_a_gap_and_what_looks_like_html_is_text() -> None:
    points = Points("a < b", [1.0, float("nan")], [float("inf"), 2.0], 0, hover=["<b>x</b>\ny"])
    drawn = json.loads(script_safe(plot(Figure("f", "", "", [], Chart((points,))))))["data"][0]
    assert (drawn["x"], drawn["y"]) == ([1.0, None], [None, 2.0])
    assert (drawn["name"], drawn["hovertext"]) == ("a &lt; b", ["&lt;b&gt;x&lt;/b&gt;<br>y"])


def test_a_name_that_is_too_long_keeps_what_tells_it_from_others() -> None:
    assert cut("memory.hbm.bandwidth", 20) == "memory.hbm.bandwidth"
    assert cut("memory.hbm.bandwidth", 10) == "…bandwidth"
    assert cut("layers.0.attention: it waits for hbm", 10) == "…attention\nit waits …"


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_text_stands_out_from_its_ground_in_light_and_in_dark() -> None:
    for colours in (pages.LIGHT, pages.DARK):
        for ground in ("ground", "raised"):
            for text in ("ink", "soft", "link"):
                assert _contrast(colours[text], colours[ground]) >= 4.5
    for i in range(len(style.COLOURS)):
        assert _contrast(style.on(i), style.colour(i)) >= 4.5
        assert _contrast(pages.DARK["on"], pages.DARK[f"c{i}"]) >= 4.5


def test_a_page_of_nothing_but_words_is_still_a_page(report: Report) -> None:
    bare = replace(report, ops=[], manifest={})
    assert "not known" in dict(page(bare).facts)["Version"]
