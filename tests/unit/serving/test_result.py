"""Is what a composition says of its turns what they were?"""

import pytest

from archsim.serving.requests import Visit
from archsim.serving.residency import Turn
from archsim.serving.result import Served, machines, served_data
from archsim.serving.simulate import Passes, clocked
from archsim.serving.times import Taken

VISITS = (Visit(0, 0, 2), Visit(0, 1, 1), Visit(1, 0, 1))
TURNS = (Turn(True, True, ()), Turn(False, True, (2, 3)), Turn(True, True, ()))
S = 10**12


def served():
    router = {3: Taken(3 * S, 1.0), 1: Taken(1 * S, 0.5)}
    prompt = {(0, 2): Taken(2 * S, 2.0), (1, 1): Taken(1 * S, 3.0), (0, 1): Taken(1 * S, 4.0)}
    answer = {key: Taken(10 * S, 5.0) for key in prompt}
    switch = {1: Taken(7 * S, 0.25)}
    times = (
        {n: t.ps for n, t in router.items()}, {k: t.ps for k, t in prompt.items()},
        {k: t.ps for k, t in answer.items()}, {e: t.ps for e, t in switch.items()},
    )  # fmt: skip
    spans = clocked(VISITS, TURNS, Passes(*times))
    return Served(VISITS, TURNS, spans, router, prompt, answer, switch, 2.0, 20)


def test_time_has_one_owner_each_moment():
    data = served_data(served())
    assert data["parts_s"] == {"router": 4.0, "switching": 7.0, "prefill": 4.0, "decode": 30.0}
    assert data["time_s"] == 45.0
    assert sum(data["shares"].values()) == pytest.approx(1)


def test_energy_is_that_of_passes_copies_and_leakage():
    energy = served_data(served())["energy_j"]
    assert energy["by_part"] == {
        "router": 1.5, "switching": 0.25, "prefill": 9.0, "decode": 15.0, "leakage": 90.0,
    }  # fmt: skip
    assert energy["total"] == 115.75
    assert energy["per_output_tok"] == 115.75 / 80


def test_latency_counts_every_request_of_a_turn():
    latency = served_data(served())["latency"]
    assert latency["ttft_s"] == {"mean": (5 + 5 + 23 + 2) / 4, "p50": 5.0, "p99": 23.0}
    assert latency["e2el_s"]["p99"] == 33.0


def test_hits_misses_and_throughput_are_counted():
    data = served_data(served())
    assert (data["turns"], data["hits"], data["misses"], data["evictions"]) == (3, 2, 1, 2)
    assert data["throughput"] == {"request_per_s": 4 / 45, "output_tok_per_s": 80 / 45}


@pytest.mark.parametrize(
    ("sizes", "capacity", "count"),
    [((10,) * 850, 470, 19), ((10,) * 6, 30, 2), ((7, 5, 5, 3), 10, 2), ((11,), 10, None)],
)
def test_machines_are_counted_by_whole_experts(sizes, capacity, count):
    assert machines(sizes, capacity) == count
