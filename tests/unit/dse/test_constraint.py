"""Is a constraint read as its grammar says, with its units, and judged so?"""

from math import inf

import pytest

from archsim.core.errors import InputError
from archsim.dse.constraint import constraint


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("metrics.area_mm2.total <= 850 mm^2", 850.0),
        ("metrics.time_s < 20 ms", 0.02),
        ("time_ps<=20 ms", 2e10),
        ("metrics.memory_peak_bytes.hbm <= 3 GiB", 3.0 * 2**30),
        ("metrics.utilization.mfu >= 40 %", 0.4),
        ("metrics.throughput.output_tok_per_s > 100 tok/s", 100.0),
        ("metrics.energy_j.per_output_tok <= 3 mJ/tok", 0.003),
        ("metrics.time_s * metrics.energy_j.total < 3 mJ*s", 0.003),
        ("metrics.energy_j.by_component.hbm-0 <= 1 J", 1.0),
    ],
)
def test_the_limit_is_in_the_unit_of_the_metric(text, limit):
    assert constraint(text).limit == pytest.approx(limit, rel=1e-15)


def test_violations_are_relative_and_zero_where_it_is_kept():
    most = constraint("metrics.time_s <= 2 s")
    assert [most.violation({"metrics.time_s": t}) for t in (1.0, 2.0, 3.0)] == [0, 0, 0.5]
    least = constraint("metrics.utilization.mfu >= 0.5")
    assert least.violation({"metrics.utilization.mfu": 0.25}) == 0.5


def test_the_limit_itself_is_refused_by_a_strict_comparison():
    assert constraint("metrics.time_s < 2 s").violation({"metrics.time_s": 2.0}) > 0
    assert constraint("metrics.time_s > 2 s").violation({"metrics.time_s": 2.0}) > 0


def test_a_design_without_the_metric_breaks_it():
    assert constraint("metrics.time_s < 2 s").violation({}) == inf


def test_sums_and_products_of_metrics_are_weighed():
    both = constraint("metrics.memory_peak_bytes.sram + 2 * metrics.memory_peak_bytes.hbm <= 10 B")
    found = {"metrics.memory_peak_bytes.sram": 4, "metrics.memory_peak_bytes.hbm": 5}
    assert both.value(found) == 14
    assert both.violation(found) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("metrics.time_s", 'constraint "metrics.time_s" has no comparison'),
        ("metrics.time_s <= 3", "the right side 3 needs a unit"),
        ("metrics.time_s <= 3 J", "the sides are of two kinds: 3 J does not measure what is on the "
         "left"),
        ("metrics.time_s <= fast", 'a quantity is needed on the right side, got "fast"'),
        ("metrics.time_s <= 3 sec", '"3 sec": unknown unit "sec"'),
        ("1 s <= metrics.time_s <= 3 s",
         'constraint "1 s <= metrics.time_s <= 3 s" has two comparisons'),
        ("metrics.time_s + metrics.energy_j.total <= 3 s",
         '"metrics.time_s + metrics.energy_j.total" adds quantities of two kinds'),
        ("__import__('os') <= 3 s", "\"__import__('os')\" is no metric and no number"),
        ("3 <= 4", 'constraint "3 <= 4" has no metric on its left side'),
    ],
)  # fmt: skip
def test_what_is_not_of_the_grammar_is_refused_and_never_run(text, message):
    with pytest.raises(InputError) as refused:
        constraint(text)
    assert refused.value.message == message
