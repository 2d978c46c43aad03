"""An assignment of stages to engines: is the judge right, is what is found good, and is it kept?"""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.core.errors import Infeasible, InputError
from archsim.dse.assign import Job, assign, judge, priced
from archsim.dse.assign_exact import assign_exactly

PS_PER_S = 10**12


def job(path: str, network: str, times: tuple[float, float], joules: tuple[float, float]) -> Job:
    return Job(
        path, network, 1,
        {"a": round(times[0] * PS_PER_S), "b": round(times[1] * PS_PER_S)},
        {"a": joules[0], "b": joules[1]},
    )  # fmt: skip


TWO = [
    job("x.l/1", "x", (2.0, 3.0), (1.0, 5.0)),
    job("x.l/2", "x", (2.0, 3.0), (1.0, 5.0)),
    job("y.l/1", "y", (4.0, 4.0), (1.0, 5.0)),
]


def test_stages_of_a_network_follow_each_other_and_an_engine_does_one_at_a_time() -> None:
    alone, _ = judge(TWO, {"x.l/1": "a", "x.l/2": "a", "y.l/1": "b"}, 0.0)
    both, _ = judge(TWO, dict.fromkeys(("x.l/1", "x.l/2", "y.l/1"), "a"), 0.0)
    assert alone == 4 * PS_PER_S
    assert both == 8 * PS_PER_S


def test_energy_is_that_of_the_stages_and_leakage_over_the_makespan() -> None:
    _, energy_j = judge(TWO, {"x.l/1": "a", "x.l/2": "a", "y.l/1": "b"}, 2.0)
    assert energy_j == pytest.approx(1 + 1 + 5 + 2.0 * 4)


def test_latency_spreads_networks_over_engines_and_energy_does_not() -> None:
    fast = assign(TWO, 0.0, "latency")
    frugal = assign(TWO, 0.0, "energy")
    assert fast.latency_s == 4.0
    assert set(frugal.engines.values()) == {"a"}


def test_a_budget_that_can_be_kept_is_kept() -> None:
    found = assign(TWO, 0.0, "energy", {"latency_s": 4.5})
    assert found.latency_s <= 4.5
    assert found.engines["y.l/1"] == "b"


def test_a_budget_below_every_assignment_is_refused_with_the_bound() -> None:
    with pytest.raises(Infeasible) as caught:
        assign(TWO, 0.0, "latency", {"latency_s": 3.0})
    assert caught.value.message == (
        "no assignment keeps latency within 3 s: the best engine for every stage takes 4"
    )


def test_dispatch_rules_name_every_stage_once() -> None:
    rules = assign(TWO, 0.0, "latency").rules()
    assert sorted(path for rule in rules for path in rule["ops"]) == ["x.l/1", "x.l/2", "y.l/1"]


times = st.tuples(st.integers(1, 9), st.integers(1, 9))
works = st.lists(st.tuples(st.sampled_from("xyz"), times, times), min_size=1, max_size=6)


@settings(max_examples=25, deadline=None)
@given(works, st.sampled_from(("latency", "energy")))
def test_the_constraint_program_finds_what_trying_all_assignments_finds(
    drawn: list[tuple[str, tuple[int, int], tuple[int, int]]], objective: str
) -> None:
    work = [job(f"{n}.l/{i}", n, t, e) for i, (n, t, e) in enumerate(drawn)]
    best = min(
        _value(judge(work, dict(zip([j.path for j in work], engines, strict=True)), 0.5), objective)
        for engines in product("ab", repeat=len(work))
    )
    found = assign_exactly(work, 0.5, objective)
    # list scheduling is not always the best order, and the program may beat it by its order alone
    assert found.value(objective) <= best * 1.001 or found.how == "cp-sat"
    assert assign(work, 0.5, objective).value(objective) >= best * 0.999


def _value(judged: tuple[int, float], objective: str) -> float:
    return judged[0] / PS_PER_S if objective == "latency" else judged[1]


def test_a_limit_that_moves_keep_is_not_called_infeasible_for_its_rounding() -> None:
    moves = assign(TWO, 0.0, "latency")
    found = assign_exactly(TWO, 0.0, "energy", {"latency_s": moves.latency_s * 1.00001})
    assert found.latency_s <= moves.latency_s * 1.00001


def test_an_engine_that_cannot_run_everything_is_left_out_with_the_reason() -> None:
    offered = priced("edge-duo", "edge-vision", set_=["engines.flat.rates={int16: 1}"])
    assert list(offered.left_out) == ["flat"]
    assert "engine flat has no rate for it" in offered.left_out["flat"]
    assert {engine for job in offered.jobs for engine in job.time_ps} == {"deep"}


def test_a_machine_with_one_engine_has_nothing_to_assign() -> None:
    with pytest.raises(InputError) as caught:
        priced("npu", "resnet-50-infer")
    assert caught.value.message == "npu has one engine for products (array): nothing to assign"
