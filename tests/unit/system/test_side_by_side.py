"""Networks that run at once: do they share the machine fairly, and does everything still add up?"""

from __future__ import annotations

from typing import Any

import pytest

from archsim import api
from archsim.core.errors import Unsupported
from archsim.system.side_by_side import Turn, served

CONV = {
    "name": "c", "ifmap_height": 18, "ifmap_width": 18, "filter_height": 3, "filter_width": 3,
    "channels": 64, "num_filter": 64, "strides": 1,
}  # fmt: skip


def network(name: str, layers: int) -> dict[str, Any]:
    rows = [{**CONV, "name": f"c{i}"} for i in range(layers)]
    return {
        "schema": "archsim.workload/1", "name": name, "model": {"layers": rows},
        "dtypes": {"weights": "bf16", "activations": "bf16"},
    }  # fmt: skip


def both(first: int = 4, second: int = 4) -> dict[str, Any]:
    networks = {"one": network("one", first), "two": network("two", second)}
    return {"schema": "archsim.workload/1", "name": "both", "model": {"networks": networks}}


def machine(*, dispatch: bool = True, **more: Any) -> dict[str, Any]:
    data: dict[str, Any] = api.load_hardware("npu").to_data()
    array = next(e for e in data["engines"].values() if e["kind"] == "systolic_array")
    data["engines"] |= {"left": {**array, "count": 1}, "right": {**array, "count": 1}}
    for name, engine in list(data["engines"].items()):
        if engine["kind"] == "systolic_array" and name not in ("left", "right"):
            del data["engines"][name]
    rules = [{"ops": "two.*", "run_on": "right"}] if dispatch else []
    data["dispatch"] = [*rules, {"ops": "*", "run_on": "left"}]
    return {**data, **more}


def time_ps(hardware: Any, workload: Any, **options: Any) -> int:
    return int(api.run(hardware, workload, **options, advice=False).result["time_ps"])


def test_two_networks_on_two_arrays_take_little_longer_than_one() -> None:
    alone = time_ps(machine(), network("one", 4))
    assert alone <= time_ps(machine(), both()) < 1.5 * alone


def test_two_networks_on_one_array_take_about_as_long_as_one_after_the_other() -> None:
    alone = time_ps(machine(), network("one", 4))
    assert 1.5 * alone < time_ps(machine(dispatch=False), both()) < 2.2 * alone


@pytest.mark.parametrize("fidelity", ["tile", "cycle"])
def test_both_engines_give_the_same_answer(fidelity: str) -> None:
    first = api.run(machine(), both(2, 3), fidelity=fidelity, advice=False)
    second = api.run(machine(), both(2, 3), fidelity=fidelity, engine="simpy", advice=False)
    assert first.result == second.result


def test_banks_are_simulated_for_networks_that_run_at_once() -> None:
    report = api.run("npu-hbm2", both(2, 2), advice=False)
    assert report.result["banks"]


def test_operations_are_those_of_all_networks() -> None:
    alone = api.run(machine(), network("one", 4), advice=False).result["counts"]["mac.bf16"]
    assert api.run(machine(), both(4, 8), advice=False).result["counts"]["mac.bf16"] == 3 * alone


def test_repeated_layers_are_counted_once_in_the_table_of_ops() -> None:
    networks = {"a": "bert-base-encode", "b": network("two", 1)}
    data = {"schema": "archsim.workload/1", "name": "x", "model": {"networks": networks}}
    rows = api.run("npu", data, fidelity="tile", advice=False).ops
    assert {r["op"]: r["repeats"] for r in rows}["a.layer/attn.qkv"] == 12


def test_the_stage_that_can_start_first_goes_first() -> None:
    slow = [Turn("slow", ("a",), 10), Turn("slow", ("b",), 10)]
    fast = [Turn("fast", ("b",), 3), Turn("fast", ("a",), 3)]
    assert served([slow, fast]) == [("slow", 0), ("fast", 0), ("slow", 1), ("fast", 1)]


def test_of_stages_that_could_start_together_the_longer_network_goes_first() -> None:
    short, long = [Turn("short", ("a",), 5)], [Turn("long", ("a",), 5), Turn("long", ("a",), 5)]
    assert served([short, long])[0] == ("long", 0)


def test_data_from_further_memories_are_refused_with_the_way_out() -> None:
    data = {
        "schema": "archsim.workload/1", "name": "both",
        "model": {"networks": {"a": "mixtral-8x7b-decode", "b": network("two", 1)}},
    }  # fmt: skip
    with pytest.raises(Unsupported) as caught:
        api.run("npu-host", data, advice=False)
    assert caught.value.message == (
        "both runs networks at once, and their data come from further memories"
    )
