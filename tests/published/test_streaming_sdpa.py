"""Does streaming attention do what Sohn, Zhang and Olukotun (arXiv:2404.16629) say of it?

Their claims: all orders of the sums have the same throughput; the naive one needs a FIFO that holds
a row, the reordered ones a constant. Their public implementation (stanford-ppl, Dataflow Abstract
Machine) has FIFOs of N + 2 and 2 for nodes of one cycle, and for nodes of latencies L, R of the
scores and of the row sum 2 + L - 1 and N + R + 1 + L - 1.
"""

import pytest

import archsim
from archsim import api
from archsim.core.errors import SimulationStopped

LENGTHS = [64, 256, 1024, 4096, 65536]
GRAPHS = ["naive", "scaled", "reordered", "memory_free"]
ROWS = {"naive": 1, "scaled": 2, "reordered": 0, "memory_free": 0}  # held at once


def attention(graph, tokens, **config):
    config = {"architecture": "streaming_sdpa", "graph": graph, "tokens": tokens} | config
    return {"schema": "archsim.workload/1", "name": "w", "model": {"config": config}}


def run(graph, tokens, **config):
    return archsim.run("streaming", attention(graph, tokens, **config), advice=False)


def stream(graph, tokens, **config):
    return run(graph, tokens, **config).result["streams"][0]


@pytest.mark.parametrize("graph", GRAPHS)
def test_every_order_takes_one_cycle_a_score_and_holds_as_many_rows_as_it_must(graph):
    beside = set()
    for n in LENGTHS:
        found = stream(graph, n)
        assert found["interval_cycles"] == n
        beside.add(found["peak_intermediate_tokens"] - ROWS[graph] * n)
    assert len(beside) == 1  # a constant, whatever the length
    assert beside.pop() <= 24


@pytest.mark.parametrize("graph", ["naive", "scaled"])
def test_a_long_fifo_holds_the_row_and_two_tokens(graph):
    for n in (64, 1024):
        long = [f for f in stream(graph, n)["fifos"] if f["depth"] > 2]
        assert [f["peak"] for f in long] == [n + 2] * ROWS[graph]


@pytest.mark.parametrize("tokens", [16, 64, 1024])
def test_a_long_fifo_of_less_than_a_row_locks_and_one_of_less_than_two_more_is_slower(tokens):
    with pytest.raises(SimulationStopped, match=r"fifo exp>divide is full"):
        run("naive", tokens, long_depth=tokens - 1)
    found = {more: stream("naive", tokens, long_depth=tokens + more) for more in (0, 1, 2, 3)}
    intervals = {more: s["interval_cycles"] - tokens for more, s in found.items()}
    assert intervals == {0: 2, 1: 1, 2: 0, 3: 0}


@pytest.mark.parametrize("graph", GRAPHS)
def test_the_least_depths_are_the_published_ones(graph):
    n = 64
    least = api.fifo_depths(run(graph, n))[f"sdpa/{graph}"]
    once = {"q>score", "max>shift", "sum>divide", "mix>o", "divide>o", "mix>divide"}
    for name, depth in least.full.items():
        if name == "exp>divide" or (graph == "scaled" and name == "score>shift"):
            assert (depth, least.ends[name]) == (n + 2, n)
        else:  # 1 where a token is needed once a row
            assert depth == (1 if name in once else 2)


@pytest.mark.parametrize("latency", [2, 5, 8])
def test_least_depths_grow_with_latency_as_published(latency):
    n = 64
    least = api.fifo_depths(run("naive", n, latency=latency))["sdpa/naive"]
    assert least.full["exp>sum"] == 2 + latency - 1
    assert least.full["exp>divide"] == n + latency + 1 + latency - 1


def test_too_short_for_the_latency_is_as_slow_as_credits_come_back():
    # two tokens in the time of a firing and of what comes behind it
    found = stream("memory_free", 32, latency=5)
    assert found["interval_cycles"] == 32 * (5 + 1) / 2
    assert found["least_interval_cycles"] == 32
