"""Does everything that a notebook shows say what it is, in whole and self-contained HTML?"""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from archsim import api
from archsim.core.document import Document
from archsim.dse.spec import load_explore

SIZE = {"phase": "prefill", "tokens": 8}


class Tags(HTMLParser):
    """Checks that every tag that opens closes, and that nothing is fetched or run."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag != "br":
            self.open.append(tag)
        assert not {name for name, _ in attrs} - {"style", "open"}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def whole(text: str) -> None:
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    allowed = "div b br table thead tr th td details summary pre"
    assert tags.seen <= set(allowed.split())


def test_a_report_shows_its_answer_first() -> None:
    report = api.run("npu", "gpt2-small", **SIZE, fidelity="tile", advice=False)
    shown = report._repr_html_()
    whole(shown)
    assert shown.startswith("<div><b>npu x gpt2-small</b><br>gpt2-small on npu: ")
    for text in ("256 us", "9.90 mJ", "32.7 mm2", report.key[:12], "hbm_bandwidth"):
        assert text in shown, text
    assert "Time on the critical path" in shown


@pytest.mark.parametrize("fidelity", ["bound", "analytic"])
def test_a_report_of_little_shows_that_little(fidelity: str) -> None:
    whole(api.run("npu", "gpt2-small", **SIZE, fidelity=fidelity)._repr_html_())


def test_a_machine_a_graph_a_plan_and_a_mapping_show_themselves() -> None:
    plan = api.place_only("npu", "gpt2-small", **SIZE)
    spec, graph = plan.machine.spec._repr_html_(), plan.graph._repr_html_()
    stages = [stage for block in plan.blocks for stage in block.stages]
    mapped = [stage.mapping for stage in stages if stage.mapping is not None]
    for text in (spec, graph, plan._repr_html_(), *(m._repr_html_() for m in mapped)):
        whole(text)
    assert "<b>HardwareSpec</b>" in spec
    assert "dispatch" not in spec  # it has none
    assert "layer x 12: 13 ops" in graph
    assert f"{plan.graph.macs():,} MACs" in graph
    for stage in stages:
        assert stage.path in plan._repr_html_()
    assert mapped[0].render().splitlines()[0] in plan._repr_html_()


def test_a_study_shows_itself_and_its_names_are_text() -> None:
    data = {
        "schema": "archsim.explore/1", "name": "a<script>b", "hardware": "npu",
        "workloads": ["gpt2-small-prefill"], "space": {"clocks.core": ["1 GHz", "2 GHz"]},
    }  # fmt: skip
    spec = load_explore(Document.of(data))
    shown = (spec[0] if isinstance(spec, tuple) else spec)._repr_html_()
    whole(shown)
    assert "a&lt;script&gt;b" in shown
