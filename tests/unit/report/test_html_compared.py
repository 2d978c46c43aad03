"""Does the page of a comparison lead from one run to the other, and say how to make both again?"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsim import api
from archsim.report.compare import Compared
from archsim.report.explain import leaves
from archsim.report.figure_chart import Bars
from archsim.report.figure_difference import Ends, waterfall
from archsim.report.html.compared import page
from archsim.report.html.page import render, with_command

AMOUNTS = st.integers(-(10**6), 10**6)


@given(first=st.integers(10**7, 10**8), moved=st.lists(AMOUNTS, min_size=1, max_size=20))
def test_steps_lead_from_the_whole_of_one_run_to_that_of_the_other(
    first: int, moved: list[int]
) -> None:
    parts = [
        {"part": f"p{i}", "first": 0, "other": amount, "difference": amount}
        for i, amount in enumerate(sorted(moved, key=lambda n: -abs(n)))
    ]
    ends = Ends(("a", "b"), (float(first), float(first + sum(moved))), "s")
    figure = waterfall("f", "t", parts, ends)
    assert (figure is None) == all(abs(n) < 1e-3 * max(ends.values) for n in moved)
    if figure is None:
        return
    assert sum(row["difference_s"] for row in figure.rows) == sum(moved)
    at = ends.values[0]
    for name in figure.chart.y.names[1:-1]:
        low, length, grows = next(found for bars in figure.chart.marks if isinstance(bars, Bars)
                                  for found in _bar(bars, name))  # fmt: skip
        assert (low if grows else low + length) == pytest.approx(at)
        at = low + length if grows else low
    assert at == pytest.approx(ends.values[1], rel=2e-3)  # what is too small has no bar


def _bar(bars: Bars, name: str) -> list[tuple[float, float, bool]]:
    assert bars.starts is not None
    return [(start, value, bars.label == "more in B")
            for one, value, start in zip(bars.names, bars.values, bars.starts, strict=True)
            if one == name]  # fmt: skip


def compared(name: str, **how: Any) -> Compared:
    report = api.run("npu", "gpt2-small-prefill", fidelity="analytic", **how)
    settings = dict(leaves(report.resolved))
    return Compared(name, report.result, settings, "", f"archsim run npu -o {name}")


def test_a_page_of_three_runs_has_the_figures_of_both_differences() -> None:
    runs = [compared("a"), compared("b", set_=("engines.array.count=2",)),
            compared("c", set_=("memory.hbm.bandwidth=2 TB/s",))]  # fmt: skip
    text = render(with_command(page(runs), "archsim compare a b c"), static=True)
    assert "<script" not in text
    names = re.findall(r'<figure id="figure-(\w+)">', text)
    assert len(names) == len(set(names)) == text.count("<svg")
    assert {"time", "energy", "by_op_class_1", "by_reason_1", "by_op_class_2"} <= set(names)
    for said in (*(run.typed for run in runs), "archsim compare a b c",
                 "hardware.engines.array.count: "):  # fmt: skip
        assert said in text
    assert re.search(r"b is [\d.]+ x slower than a; \w+ makes up \d+ % of the difference", text)


def test_runs_that_do_not_differ_are_said_not_to() -> None:
    one = compared("a")
    found = page([one, one])
    section = next(s for s in found.sections if s.name == "difference")
    assert (section.figures, section.tables) == ((), ())
    assert section.says == ("Neither time nor energy differs.",)
    assert "takes as long as" in found.verdict
    assert json.dumps(one.result)
