"""Do stream graphs compute what they say, and do the laws of FIFOs hold on generated ones?"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import archsim
from archsim import api
from archsim.core.errors import SimulationStopped
from archsim.ir.stream_check import mistakes
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.testing.functional_stream import StreamStopsError, execute_stream

GRAPHS = ["naive", "scaled", "reordered", "memory_free"]


def workload(graph, tokens, head_dim=4, **config):
    config |= {"architecture": "streaming_sdpa", "graph": graph}
    config |= {"tokens": tokens, "head_dim": head_dim}
    return {"schema": "archsim.workload/1", "name": "w", "model": {"config": config}}


def graph_of(*args, **config):
    return lower(load_workload(workload(*args, **config))[0]).blocks[0].ops[0].stream


def operands(tokens, head_dim, seed):
    q, k, v = np.random.default_rng(seed).normal(size=(3, tokens, head_dim))
    scores = q @ k.T / np.sqrt(head_dim)
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    return {"Q": q, "K": k, "V": v}, shares / shares.sum(axis=1, keepdims=True) @ v


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(GRAPHS), st.integers(1, 9), st.integers(1, 5), st.integers(1, 3), st.integers()
)
def test_every_order_is_softmax_attention(name, tokens, head_dim, depth, seed):
    given_, expected = operands(tokens, head_dim, abs(seed))
    graph = graph_of(name, tokens, head_dim, depth=depth)
    found = execute_stream(graph, given_)["O"]
    assert np.allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_a_running_maximum_keeps_scores_in_range_that_overflow_without_one():
    given_, expected = operands(6, 4, 0)
    given_["Q"] = given_["Q"] * 2000
    _, exact = given_, expected
    scores = given_["Q"] @ given_["K"].T / 2
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    exact = shares / shares.sum(axis=1, keepdims=True) @ given_["V"]
    for name in ("scaled", "memory_free"):
        assert np.allclose(execute_stream(graph_of(name, 6, 4), given_)["O"], exact)
    with np.errstate(over="ignore", invalid="ignore"):
        assert np.isnan(execute_stream(graph_of("reordered", 6, 4), given_)["O"]).any()


def node(graph, name, **changes):
    nodes = tuple(replace(n, **changes) if n.name == name else n for n in graph.nodes)
    return replace(graph, nodes=nodes)


def rewired(graph, first, second):
    """Two FIFOs that lead to each other's ports."""
    one, two = (next(f for f in graph.fifos if f.name == n) for n in (first, second))
    swapped = {
        one.name: replace(one, consumer=two.consumer),
        two.name: replace(two, consumer=one.consumer),
    }
    return replace(graph, fifos=tuple(swapped.get(f.name, f) for f in graph.fifos))


MUTATIONS = {
    "a sum that is never reset": lambda g: node(g, "sum", over=10**6),
    "a product that is never reset": lambda g: node(g, "mix", over=10**6),
    "a maximum that is never reset": lambda g: node(g, "max", over=10**6),
    "a maximum in place of the sum": lambda g: node(g, "sum", does="max"),
    "an exponential that is left out": lambda g: node(g, "exp", does="repeat"),
    "a difference the wrong way round": lambda g: rewired(g, "max>exp", "max>fade"),
    "weights in place of fading": lambda g: rewired(g, "exp>mix", "fade>mix"),
    "sums that do not fade": lambda g: node(g, "sum", does="sum"),
    "a query for every key": lambda g: node(
        g, "score", inputs=tuple(replace(p, every=1) for p in g.node["score"].inputs)
    ),
    "a sum for every other key": lambda g: node(
        g, "sum", outputs=tuple(replace(p, every=2) for p in g.node["sum"].outputs)
    ),
    "a dropped FIFO": lambda g: replace(g, fifos=g.fifos[:-1]),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_mutated_graph_is_refused_or_computes_something_else(mutation):
    given_, expected = operands(6, 4, 1)
    graph = MUTATIONS[mutation](graph_of("memory_free", 6, 4))
    if list(mistakes(graph)):
        return
    try:
        found = execute_stream(graph, given_)["O"]
    except StreamStopsError:
        return
    assert found.shape != expected.shape or not np.allclose(found, expected, equal_nan=True)


@st.composite
def attentions(draw):
    """A streaming attention with FIFOs of any depths and nodes of any latency."""
    tokens = draw(st.integers(1, 12))
    name = draw(st.sampled_from(GRAPHS))
    plain = graph_of(name, tokens)
    depths = {f.name: draw(st.integers(1, 4)) for f in plain.fifos if f.depth == 2}
    config = {"depths": depths, "long_depth": draw(st.integers(tokens, tokens + 6))}
    if draw(st.booleans()):
        config["latency"] = draw(st.integers(1, 6))
    return workload(name, tokens, **config)


@settings(max_examples=25, deadline=None)
@given(attentions())
def test_what_runs_in_time_runs_on_values_and_no_fifo_holds_more_than_it_can(data):
    graph = lower(load_workload(data)[0]).blocks[0].ops[0].stream
    found = archsim.run("streaming", data, advice=False).result["streams"][0]
    for fifo in found["fifos"]:
        assert 1 <= fifo["peak"] <= fifo["depth"]
        passed = graph.iterations * graph.tokens(
            next(f for f in graph.fifos if f.name == fifo["name"])
        )
        assert fifo["tokens"] == passed
    assert found["interval_cycles"] >= found["least_interval_cycles"]
    given_, expected = operands(graph.iterations, 4, 0)
    assert np.allclose(execute_stream(graph, given_)["O"], expected)


@settings(max_examples=8, deadline=None)
@given(st.sampled_from(GRAPHS), st.integers(2, 6), st.integers(1, 4))
def test_one_slot_less_than_the_least_depth_is_slower_or_stops(name, tokens, latency):
    report = archsim.run("streaming", workload(name, tokens, latency=latency), advice=False)
    (least,) = api.fifo_depths(report).values()

    def interval(depths):
        data = workload(name, tokens, latency=latency, depths=depths)
        try:
            return archsim.run("streaming", data, advice=False).result["streams"][0][
                "interval_cycles"
            ]
        except SimulationStopped:
            return None

    assert interval(dict(least.full)) == least.interval_cycles
    for fifo, depth in least.full.items():
        if depth > 1:
            assert interval(dict(least.full) | {fifo: depth - 1}) != least.interval_cycles


@settings(max_examples=15, deadline=None)
@given(attentions(), st.data())
def test_a_deeper_fifo_never_slows_a_stream_down(data, draw):
    config = data["model"]["config"]
    name = draw.draw(st.sampled_from(sorted(config["depths"])))
    deeper = config | {"depths": config["depths"] | {name: config["depths"][name] + 1}}
    more = data | {"model": {"config": deeper}}
    before, after = (
        archsim.run("streaming", d, advice=False).result["time_ps"] for d in (data, more)
    )
    assert after <= before
