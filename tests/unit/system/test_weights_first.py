"""Do weights of a product come before its arithmetic where a rule says so?"""

from __future__ import annotations

from typing import Any

import pytest

from archsim import api

FIRST = 'mapping=[{ops: "*", weights: first}]'
HIDDEN = "mapping[0].weights has no effect: no weights of a product on a systolic array fit on chip"


def product(m: int, n: int, k: int) -> dict[str, Any]:
    return {
        "schema": "archsim.workload/1", "name": "w",
        "model": {"layers": [{"name": "one", "m": m, "n": n, "k": k}]},
        "dtypes": {"weights": "bf16", "activations": "bf16"},
    }  # fmt: skip


def run(work: dict[str, Any], *set_: str, fidelity: str = "tile") -> Any:
    return api.run("tpu-v4", work, set_=set_, fidelity=fidelity, advice=False)


@pytest.mark.parametrize("m", [64, 512, 1000])
def test_loads_and_arithmetic_add_up(m: int) -> None:
    work = product(m, 4608, 4608)
    weights_ps = 2 * 4608 * 4608 * 1e12 / 1.2e12
    got = run(work, FIRST)
    fold = max(m, 128)  # cycles in which the array is busy with 128 x 128 weights
    array_ps = (4608 // 128) ** 2 / 8 * fold / 1.05e9 * 1e12
    assert got.result["time_ps"] == pytest.approx(weights_ps + array_ps, rel=0.08)
    assert got.result["time_ps"] > run(work).result["time_ps"]
    assert not any("has no effect" in warning for warning in got.warnings)


def test_the_closed_form_adds_them_up_too() -> None:
    work = product(512, 4608, 4608)
    closed, timed = (run(work, FIRST, fidelity=f).result["time_ps"] for f in ("analytic", "tile"))
    assert closed == pytest.approx(timed, rel=0.05)


def test_bytes_and_arithmetic_are_the_same_either_way() -> None:
    work = product(512, 4608, 4608)
    first, along = run(work, FIRST).ops[0], run(work).ops[0]
    for key in ("macs", "dram_in_bytes", "dram_weight_bytes", "dram_out_bytes"):
        assert first[key] == along[key]


def test_weights_that_do_not_fit_on_chip_come_along_and_it_is_said() -> None:
    work = product(128, 16384, 8192)
    got, along = run(work, FIRST), run(work)
    assert got.result["time_ps"] == along.result["time_ps"]
    assert any(HIDDEN in warning for warning in got.warnings)


def test_weights_that_leave_too_little_room_for_the_rest_come_along() -> None:
    wide = product(8192, 4608, 18432)
    wide["dtypes"]["weights"] = {"bits": 8, "computes_as": "bf16"}
    first, along = run(wide, FIRST), run(wide)
    assert first.result["time_ps"] == along.result["time_ps"]
    thin = wide | {"model": {"layers": [{"name": "one", "m": 8192, "n": 1536, "k": 18432}]}}
    load_ps = 1536 * 18432 / 1.2
    added_ps = run(thin, FIRST).result["time_ps"] - run(thin).result["time_ps"]
    assert added_ps == pytest.approx(load_ps, rel=0.1)


def test_weights_of_experts_with_unequal_shares_come_along() -> None:
    hardware = api.load_hardware("tpu-v4-64").to_data()
    along = hardware | {"mapping": [r for r in hardware["mapping"] if "weights" not in r]}
    assert along != hardware
    times = []
    for machine in (hardware, along):
        found = api.run(machine, "mixtral-8x7b-decode", fidelity="analytic", advice=False).ops
        ragged = ("layer/moe.gate", "layer/moe.up", "layer/moe.down")
        times.append([op["time_ps"] for op in found if op["op"] in ragged])
    assert len(times[0]) == 3
    assert times[0] == times[1]
