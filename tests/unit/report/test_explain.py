"""Does `explain` name what is behind a number, and the bottleneck that a machine was built with?"""

from __future__ import annotations

from typing import Any

import pytest

from archsim import api
from archsim.core.errors import InputError
from archsim.report.explain import explain, leaves
from archsim.report.model import Report

# workload, overrides that starve a machine, and the setting to blame
BUILT = {
    "starved hbm": ("llama-3-8b-decode", ["memory.hbm.bandwidth=9 GB/s"], "memory.hbm.bandwidth"),
    "tiny sram": (
        "gpt2-small-prefill",
        ["memory.sram.capacity=512 KiB", "memory.hbm.bandwidth=200 GB/s"],
        "memory.sram.capacity",
    ),
    "slow vector unit": ("gpt2-small-prefill", ["engines.vector.lanes=8"], "engines.vector.lanes"),
    "launch-bound": (
        "gpt2-small-prefill",
        ["engines.tensor.launch=90 us", "engines.vector.launch=90 us"],
        "engines.tensor.launch",
    ),
    "few arrays": ("llama-3-8b-prefill", ["engines.array.count=1"], "engines.array.count"),
}


@pytest.fixture(scope="module")
def report() -> Report:
    return api.run("npu", "gpt2-small-prefill")


@pytest.mark.parametrize("name", BUILT)
def test_the_setting_that_a_machine_was_starved_of_is_named_and_its_gain_comes_true(
    name: str,
) -> None:
    workload, starved, blamed = BUILT[name]
    machine = "h100" if name == "launch-bound" else "npu"
    before = api.run(machine, workload, set_=starved).result
    found = before["advice"]
    assert found["settings"][0]["path"] == blamed
    assert blamed in before["verdict"]
    after = api.run(machine, workload, set_=[*starved, *found["set"]]).result
    assert before["time_ps"] / after["time_ps"] == pytest.approx(found["gain"], rel=1e-9)
    assert found["gain"] > 1.3


def test_the_terms_of_the_time_add_up_to_it(report: Report) -> None:
    found = explain(report.result, report.ops, "metrics.time_s")
    assert sum(p.value for p in found.parts) == pytest.approx(found.value)
    assert sum(p.share or 0 for p in found.parts) == pytest.approx(1)


def test_the_terms_of_the_energy_add_up_to_it_component_by_component(report: Report) -> None:
    total = explain(report.result, report.ops, "metrics.energy_j.total")
    assert sum(p.value for p in total.parts) == pytest.approx(total.value)
    for component in ("mac", "hbm", "sram", "vector", "dma"):
        metric = f"metrics.energy_j.by_component.{component}"
        found = explain(report.result, report.ops, metric)
        assert sum(p.value for p in found.parts) == pytest.approx(found.value)
        assert all(" pJ: " in p.note for p in found.parts)


def test_the_ops_behind_a_stall_are_those_that_spend_it(report: Report) -> None:
    found = explain(report.result, report.ops, "stalls.vector_busy")
    on_path = report.result["critical"]
    assert all(on_path[p.name]["vector_busy"] == p.value for p in found.ops)
    assert found.components == ("vector",)


def test_every_number_of_a_result_has_an_answer(report: Report) -> None:
    for metric, value in leaves(report.result):
        found = explain(report.result, report.ops, metric)
        assert found.value == value
        assert found.formula


def test_every_op_has_an_answer(report: Report) -> None:
    for row in report.ops:
        found = explain(report.result, report.ops, row["op"])
        assert found.value == row["time_ps"]


@pytest.mark.parametrize(
    ("metric", "help_text"),
    [
        ("metrics.tim_s", 'did you mean "metrics.time_s"?'),
        ("metrics.energy_j", 'did you mean "metrics.energy_j.total"?'),
        ("layer/attn.scores", 'did you mean "layer/attn.score"?'),
        ("time", 'did you mean "metrics.time_s"?'),
        ("latency", 'did you mean "metrics.time_s"?'),
        ("Energy", 'did you mean "metrics.energy_j.total"?'),
        ("power", 'did you mean "metrics.power_w.mean"?'),
        ("mfu", 'did you mean "metrics.utilization.mfu"?'),
        ("mfuu", 'did you mean "metrics.utilization.mfu"?'),
        ("area", 'did you mean "metrics.area_mm2.total"?'),
        ("xyzzy", "see result.json for the names"),
    ],
)
def test_an_unknown_metric_is_answered_with_the_closest(
    report: Report, metric: str, help_text: str
) -> None:
    with pytest.raises(InputError) as caught:
        explain(report.result, report.ops, metric)
    said: Any = caught.value.render()
    assert said == (f'error[E701]: no metric "{metric}" in this result\n      = help: {help_text}')


def test_a_name_of_several_numbers_is_answered_with_them(report: Report) -> None:
    with pytest.raises(InputError) as caught:
        explain(report.result, report.ops, "stalls")
    names = list(report.result["stalls"])
    assert len(names) == 6
    assert caught.value.render() == (
        'error[E701]: "stalls" is more than one number of this result\n'
        f"      = help: one of: {', '.join(f'stalls.{name}' for name in names)}"
    )
    with pytest.raises(InputError) as caught:
        explain(report.result, report.ops, "traffic")
    assert str(caught.value.help).endswith(", ...")


def test_a_number_that_a_run_has_not_says_so(report: Report) -> None:
    found = explain(report.result, report.ops, "metrics.latency")
    assert (found.value, found.formula) == (None, "this run has no such number")


@pytest.mark.parametrize("fidelity", ["bound", "analytic"])
def test_every_number_of_a_coarse_run_has_an_explanation(fidelity: str) -> None:
    coarse = api.run("npu", "gpt2-small-prefill", fidelity=fidelity)
    for metric, value in leaves(coarse.result):
        assert explain(coarse.result, coarse.ops, metric).value == value
    if fidelity == "bound":
        found = explain(coarse.result, coarse.ops, "metrics.time_s")
        assert max(part.value for part in found.parts) == coarse.result["time_ps"]


def test_an_exchange_between_devices_is_explained_by_its_algorithm_bytes_and_least_time() -> None:
    pod = api.run("h100x8", "llama-3-8b-decode", set_=["workload.parallel.tensor=8"])
    path = "layer/attn.out.all_reduce"
    found = explain(pod.result, pod.ops, path)
    (one,) = [c for c in pod.result["collectives"] if c["path"] == path]
    assert found.formula.endswith(
        f"other ops; all_reduce over tensor (8 devices, ring): {one['reason']}"
    )
    parts = {part.name: part for part in found.parts}
    for name in ("size_bytes", "sent_bytes", "time_ps", "least_ps", "over_least"):
        assert parts[name].value == one[name]
    assert parts["time_ps"].note == "each of 32"
    assert parts["size_bytes"].unit == "B"
