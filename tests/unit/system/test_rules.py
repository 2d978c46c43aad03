"""Which rule speaks for an op: does the first that matches win, also one that is of an engine?"""

from __future__ import annotations

from typing import Any

import pytest

from archsim import api
from archsim.core.errors import InputError

LAYER = {
    "schema": "archsim.workload/1", "name": "w",
    "model": {"layers": [{"name": "one", "m": 64, "n": 64, "k": 64},
                         {"name": "two", "m": 64, "n": 64, "k": 64}]},
    "dtypes": {"weights": "bf16", "activations": "bf16"},
}  # fmt: skip


def machine(dispatch: list[Any], mapping: list[Any]) -> dict[str, Any]:
    data: dict[str, Any] = api.load_hardware("npu").to_data()
    array = next(e for e in data["engines"].values() if e["kind"] == "systolic_array")
    vector = next(e for e in data["engines"].values() if e["kind"] == "vector_unit")
    engines = {"left": array, "right": array, "vector": vector}
    return {**data, "engines": engines, "dispatch": dispatch, "mapping": mapping}


def dataflows(dispatch: list[Any], mapping: list[Any]) -> dict[str, str]:
    rows = api.run(machine(dispatch, mapping), LAYER, fidelity="analytic", advice=False).ops
    return {row["op"].partition("/")[2]: row["dataflow"] for row in rows}


def test_a_rule_of_an_engine_is_for_the_ops_that_run_on_it() -> None:
    dispatch = [{"ops": "*/two", "run_on": "right"}, {"ops": "*", "run_on": "left"}]
    mapping = [
        {"ops": "*", "on": "right", "dataflow": "output_stationary"},
        {"ops": "*", "dataflow": "weight_stationary"},
    ]
    assert dataflows(dispatch, mapping) == {
        "one": "weight_stationary", "two": "output_stationary",
    }  # fmt: skip


def test_a_rule_of_an_engine_that_runs_nothing_is_warned_of() -> None:
    mapping = [{"ops": "*", "on": "right", "dataflow": "output_stationary"}]
    report = api.run(
        machine([{"ops": "*", "run_on": "left"}], mapping), LAYER, fidelity="analytic", advice=False
    )
    assert "W204 mapping[0] never matched an op of this workload" in report.warnings


def test_a_rule_of_an_engine_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        api.run(machine([], [{"ops": "*", "on": "rihgt"}]), LAYER, advice=False)
    assert caught.value.message == ('mapping[0].on names engine "rihgt", which does not exist')


def test_a_wildcard_sends_to_an_engine_what_it_can_run_and_no_more() -> None:
    data = machine([{"ops": "*.*", "run_on": "right"}, {"ops": "*", "run_on": "left"}], [])
    rows = api.run(data, "bert-base-encode", fidelity="analytic", advice=False).ops
    assert {row["engine"] for row in rows} <= {"left", "right", "vector"}
    assert "right" in {row["engine"] for row in rows}


def test_a_rule_that_names_an_op_may_not_send_it_where_it_cannot_run() -> None:
    data = machine([{"ops": "norm", "run_on": "left"}], [])
    with pytest.raises(InputError) as caught:
        api.run(data, "bert-base-encode", advice=False)
    assert "but a systolic_array cannot run a vector op" in caught.value.message
