"""Do times, residency and answers of a composition come from runs of its models?"""

from math import ceil

import pytest

import archsim
from archsim.ir.parallel import ParallelPlan
from archsim.serving.compose import compose
from archsim.serving.times import NOTHING, Times

MACHINE, SMALL = "npu-host", "memory.hbm.capacity=1 GiB"
POD = "interconnect.node={kind: switch, devices: 2, bandwidth: 100 GB/s, latency: 1 us}"


def composition(**requests):
    asked = {"count": 40, "batch": 4, "prompt_tokens": 16, "output_tokens": 8, **requests}
    return {
        "schema": "archsim.composition/1", "name": "t", "router": {"model": "gpt2-small"},
        "experts": [{"name": "e", "model": "gpt2-small", "count": 8}], "requests": asked,
    }  # fmt: skip


@pytest.fixture(scope="module")
def found():
    return compose(MACHINE, composition(), set_=(SMALL,))


def test_a_switch_takes_as_long_as_its_weights_on_the_link(found):
    one = found.data["models"][0]
    assert one["weights_bytes"] == 2 * 124_439_808
    chunks = ceil(one["weights_bytes"] / 2**20)  # each with a setup
    assert one["switch_s"] == pytest.approx(one["weights_bytes"] / 55e9 + chunks * 500e-9)
    assert one["ttft_after_switch_s"] == pytest.approx(one["ttft_s"] + one["switch_s"])


def test_a_switch_costs_both_ends_and_the_link(found):
    weights = found.data["models"][0]["weights_bytes"]
    per_byte = found.data["models"][0]["switch_energy_j"] / weights
    assert 50e-12 < per_byte < 500e-12


def test_prompts_and_answers_are_runs_of_the_model(found):
    one = found.data["models"][0]
    near = ("placement.weights=[hbm]", SMALL)
    prompt = archsim.run(
        MACHINE, "gpt2-small", set_=near, fidelity="tile", phase="prefill", batch=1, tokens=16
    )
    assert one["prefill_s"] == one["router_s"] == prompt.result["metrics"]["time_s"]
    steps = [
        archsim.run(
            MACHINE, "gpt2-small", set_=near, fidelity="tile", phase="decode", batch=1, context=n
        ).result["metrics"]["time_s"]
        for n in (17, 23)
    ]
    assert one["decode_s"] == pytest.approx(7 * sum(steps) / 2, rel=1e-9)


def test_the_mean_of_its_ends_stands_for_every_step_of_an_answer():
    times = Times(MACHINE, None)
    steps = [times._near("gpt2-small", "decode", 1, 16 + n)["time_ps"] for n in range(1, 12)]
    assert times.answer("gpt2-small", 1, 16, 12).ps == pytest.approx(sum(steps), rel=1e-3)


def test_the_room_is_what_router_and_passes_leave(found):
    room = found.data["capacity"]
    held = room["router_bytes"] + room["work_bytes"] + room["experts_room_bytes"]
    assert held == room["nearest_bytes"] == 2**30
    assert room["experts_room_bytes"] // found.data["models"][0]["weights_bytes"] == 3
    assert room["machines"] == {"nearest_only": 3, "with_behind": 1}


def test_more_memory_ends_without_misses(found):
    rows = found.data["more_memory"]
    assert rows[0]["speedup"] == 1
    assert rows[0]["hit_rate"] == found.data["hit_rate"] < 1
    assert rows[-1]["hit_rate"] == 1
    assert rows[-1]["capacity_bytes"] == found.data["no_miss"]["capacity_bytes"]
    assert rows[-1]["speedup"] == found.data["no_miss"]["speedup"]
    rates = [row["hit_rate"] for row in rows]
    assert rates == sorted(rates)  # lru never hits less with more of alike experts


def test_without_misses_time_is_that_of_router_prompts_and_answers(found):
    data = found.data
    busy = data["time_s"] - data["parts_s"]["switching"]
    assert data["no_miss"]["speedup"] == pytest.approx(data["time_s"] / busy)


def test_each_distinct_pass_is_run_once(found):
    # router 4 and 1 prompts, expert 1 prompt is the latter, two answers' ends, two ends of a switch
    assert found.data["passes"] == 6


def test_where_all_experts_fit_nothing_is_switched():
    data = compose(MACHINE, composition(), set_=("memory.hbm.capacity=4 GiB",)).data
    assert (data["hit_rate"], data["shares"]["switching"], data["more_memory"]) == (1, 0, [])


def test_a_machine_without_memory_behind_serves_what_fits():
    data = compose("npu", composition(count=4)).data
    assert data["capacity"]["behind"] is None
    assert data["models"][0]["switch_s"] is None
    assert data["hit_rate"] == 1


def test_overrides_reach_the_composition_every_model_and_the_machine():
    sets = ("composition.requests.count=4", "workload.dtypes.weights=int8", SMALL)
    data = compose(MACHINE, composition(), set_=sets).data
    assert data["turns"] == 4
    assert data["models"][0]["weights_bytes"] == 124_439_808


def test_a_composition_without_a_router_spends_no_time_on_it():
    plain = composition()
    del plain["router"]
    data = compose(MACHINE, plain, set_=(SMALL,), sweep=False).data
    assert data["parts_s"]["router"] == data["capacity"]["router_bytes"] == 0


def test_devices_of_a_plan_share_every_expert():
    alone = Times(MACHINE, None, (SMALL,))
    pair = Times(MACHINE, ParallelPlan(tensor=2), (SMALL, POD))
    assert (alone.devices, pair.devices) == (1, 2)
    whole, half = alone.weights_bytes("gpt2-small"), pair.weights_bytes("gpt2-small")
    assert half < 0.52 * whole
    assert pair.switch("gpt2-small").ps / alone.switch("gpt2-small").ps == pytest.approx(
        half / whole, rel=0.02
    )


def test_on_several_devices_passes_say_where_their_time_goes(found):
    pair = Times(MACHINE, ParallelPlan(tensor=2), (SMALL, POD)).breakdown("gpt2-small", 16)
    assert set(pair) == {"prefill", "decode"}
    for shares in pair.values():
        assert sum(shares.values()) == pytest.approx(1)
        assert shares["communication"] > 0
    assert found.data["models"][0]["breakdown"] == {}


def test_an_answer_of_one_token_needs_no_step():
    assert Times(MACHINE, None).answer("gpt2-small", 1, 16, 1) == NOTHING


def test_copies_ahead_hide_behind_answers():
    plain = compose(MACHINE, composition(), set_=(SMALL,), sweep=False).data
    ahead = compose(
        MACHINE, composition(), set_=(SMALL, "composition.residency.prefetch=2"), sweep=False
    ).data
    assert ahead["copying_s"] == plain["copying_s"]
    assert ahead["parts_s"]["switching"] < plain["parts_s"]["switching"]
    assert ahead["time_s"] < plain["time_s"]
