"""Do parts of a difference sum to it, and is the first place that differs the first?"""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsim import api
from archsim.core.errors import InputError
from archsim.report.compare import Compared, compare, difference, first_difference, letters, outside
from archsim.report.explain import leaves

RESULT: dict[str, Any] = {
    "schema": "archsim.result/1", "key": "a", "fidelity": "tile",
    "inputs": {"hardware": {"name": "m", "sha256": "h"}, "workload": {"name": "w", "sha256": "x"}},
    "time_ps": 60, "ratio_to_bound": 2.0,
    "metrics": {
        "time_s": 6e-11, "latency": None,
        "energy_j": {"total": 3.0, "by_component": {"mac": 1.0, "hbm": 2.0}},
    },
    "op_classes": [{"op_class": "ffn", "time_ps": 40}, {"op_class": "norm", "time_ps": 20}],
    "critical": {"layer/up": {"busy": 10, "hbm": 30}, "layer/norm": {"hbm": 20}},
}  # fmt: skip


def run(name: str = "a", settings: dict[str, Any] | None = None, **changed: Any) -> Compared:
    result = {**deepcopy(RESULT), **changed}
    return Compared(name, result, settings or {}, json.dumps(result))


def test_classes_reasons_and_ops_tell_whose_picoseconds_the_difference_is() -> None:
    other = run(
        "b", time_ps=45, op_classes=[{"op_class": "ffn", "time_ps": 45}],
        critical={"layer/up": {"busy": 10, "hbm": 5, "launch": 30}},
        metrics={"time_s": 4.5e-11, "energy_j": {"total": 4.0, "by_component": {"mac": 4.0}}},
    )  # fmt: skip
    found = difference(run(), other)
    assert found["time_ps"] == -15
    assert [(p["part"], p["first"], p["other"], p["difference"]) for p in found["by_op_class"]] == [
        ("norm", 20, 0, -20), ("ffn", 40, 45, 5),
    ]  # fmt: skip
    assert {p["part"]: p["difference"] for p in found["by_reason"]} == {
        "busy": 0, "hbm": -45, "launch": 30,
    }  # fmt: skip
    assert [(p["part"], p["difference"]) for p in found["by_op_and_reason"]] == [
        ("layer/up: launch", 30), ("layer/up: hbm", -25), ("layer/norm: hbm", -20),
        ("layer/up: busy", 0),
    ]  # fmt: skip
    assert {p["part"]: p["difference"] for p in found["energy_by_component"]} == {
        "mac": 3.0, "hbm": -2.0,
    }  # fmt: skip
    assert found["energy_j"] == 1.0


def test_parts_of_real_runs_sum_to_the_difference_to_the_picosecond() -> None:
    """A machine with half the memory bandwidth, and one of another kind."""
    workload = {
        "schema": "archsim.workload/1", "name": "fc",
        "model": {"layers": [{"name": "fc", "m": 8, "n": 2048, "k": 2048}]},
    }  # fmt: skip
    reports = [
        api.run(machine, workload, set_=set_, fidelity=fidelity, advice=False)
        for machine, set_, fidelity in (
            ("npu", (), "tile"), ("npu", ("memory.hbm.bandwidth=500 GB/s",), "tile"),
            ("h100", (), "analytic"),
        )
    ]  # fmt: skip
    runs = [
        Compared(str(i), r.result, dict(leaves(r.resolved)), r.to_json())
        for i, r in enumerate(reports)
    ]
    found = compare(runs)
    for one, other in zip(found["differences"], reports[1:], strict=True):
        assert one["time_ps"] == other.result["time_ps"] - reports[0].result["time_ps"]
        for part in ("by_op_class", "by_reason", "by_op_and_reason"):
            assert sum(row["difference"] for row in one[part]) == one["time_ps"]
        joules = sum(row["difference"] for row in one["energy_by_component"])
        assert joules == pytest.approx(one["energy_j"], rel=1e-9)
    half = found["differences"][0]
    assert half["by_reason"][0]["part"] == "hbm_bandwidth"
    assert half["settings"] == [
        {"path": "hardware.memory.hbm.bandwidth", "first": "1 TB/s", "other": "500 GB/s"}
    ]
    times = next(row for row in found["metrics"] if row["metric"] == "metrics.time_s")
    assert times["values"] == [r.result["metrics"]["time_s"] for r in reports]
    assert times["ratios"][0] == 1
    assert first_difference(runs[0], runs[0]) is None


def test_a_metric_that_one_run_lacks_has_no_ratio() -> None:
    other = run("b", metrics={**RESULT["metrics"], "devices": 4})
    rows = {row["metric"]: row for row in compare([run(), other])["metrics"]}
    assert rows["metrics.devices"] == {
        "metric": "metrics.devices", "values": [None, 4], "ratios": [None, None],
    }  # fmt: skip
    assert "metrics.latency" not in rows


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"key": "b"}, ("key", "a", "b")),
        ({"key": "b", "time_ps": 61}, ("time_ps", 60, 61)),
        ({"time_ps": 60.0}, ("time_ps", 60, 60.0)),
        ({"extra": 1}, ("extra", None, 1)),
        (
            {"op_classes": RESULT["op_classes"][:1]},
            ("op_classes[1]", {"op_class": "norm", "time_ps": 20}, None),
        ),
        (
            {"critical": dict(reversed(RESULT["critical"].items()))},
            ("critical", ["layer/up", "layer/norm"], ["layer/norm", "layer/up"]),
        ),
    ],
)
def test_the_first_place_that_differs_is_told_inputs_and_hashes_last(
    changed: dict[str, Any], place: tuple[str, Any, Any]
) -> None:
    assert first_difference(run(), run("b", **changed)) == place


def test_texts_that_differ_though_their_values_do_not_are_different() -> None:
    one = run()
    spaced = Compared("b", one.result, {}, json.dumps(RESULT, indent=1))
    assert first_difference(one, spaced) == ("the text, though no value", "", "")


@given(st.floats(0.001, 0.5), st.floats(-0.6, 0.6))
def test_a_number_is_outside_a_tolerance_when_it_is_further_than_that(
    tolerance: float, moved: float
) -> None:
    other = run("b", metrics={**RESULT["metrics"], "time_s": 6e-11 * (1 + moved)})
    far = [path for path, _, _ in outside(run(), other, tolerance)]
    if abs(abs(moved) - tolerance) > 1e-9:
        assert far == (["metrics.time_s"] if abs(moved) > tolerance else [])


def test_runs_are_named_by_letters_however_many_they_are() -> None:
    assert letters(3) == ["A", "B", "C"]
    assert letters(54)[24:29] == ["Y", "Z", "AA", "AB", "AC"]
    assert letters(53)[-1] == "BA"


def test_another_schema_and_a_bound_are_not_compared() -> None:
    with pytest.raises(InputError, match=r"b is archsim\.result/2") as refused:
        compare([run(), run("b", schema="archsim.result/2")])
    assert refused.value.code == "E204"
    with pytest.raises(InputError, match="b is a run at fidelity bound") as refused:
        compare([run(), run("b", fidelity="bound")])
    assert refused.value.code == "E708"
