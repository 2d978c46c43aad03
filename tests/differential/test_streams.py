"""Do both engines, folded and exact, say the same of stream graphs, in every number?"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import archsim
from archsim.core.errors import SimulationStopped

WAYS = [
    {},
    {"exact": True},
    {"engine": "simpy"},
    {"engine": "simpy", "exact": True},
]


def answer(data, **way):
    """The result without what folding says of itself, or how the stream stands still."""
    try:
        report = archsim.run("streaming", data, **way, advice=False)
    except SimulationStopped as error:
        return error.render()
    return {k: v for k, v in report.result.items() if k != "fold"}, report.ops


def attention(graph, tokens, **config):
    config = {"architecture": "streaming_sdpa", "graph": graph, "tokens": tokens} | config
    return {"schema": "archsim.workload/1", "name": "w", "model": {"config": config}}


@pytest.mark.parametrize("graph", ["naive", "scaled", "reordered", "memory_free"])
def test_attention_of_128_tokens_is_the_same_event_by_event(graph):
    folded = answer(attention(graph, 128))
    assert folded == answer(attention(graph, 128), engine="simpy", exact=True)
    assert folded == answer(attention(graph, 128), exact=True)


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_short_fifo_stops_or_slows_both_engines_alike(more):
    data = attention("naive", 24, long_depth=24 + more)
    assert len({str(answer(data, **way)) for way in WAYS}) == 1


@st.composite
def streams(draw):
    """A graph that grows from sources: maps, reduces, repeats, forks and joins, then sinks."""
    nodes, fifos = [], []
    ends = []  # of streams so far: node, tokens of an iteration

    def queue(start, end):
        fifo = {"from": start, "to": end, "name": f"f{len(fifos)}"}
        fifo |= {"depth": draw(st.integers(1, 9)), "latency": draw(st.sampled_from([0, 0, 0, 2]))}
        fifos.append(fifo)

    def grow(**node):
        node |= {"name": f"n{len(nodes)}", "ii": draw(st.sampled_from([1, 1, 1, 2, 3]))}
        if draw(st.booleans()):
            node["latency"] = draw(st.integers(0, 5))
        nodes.append(node)
        return node["name"]

    for i in range(draw(st.integers(1, 2))):
        count = draw(st.sampled_from([1, 2, 4, 8]))
        ends.append((grow(does="read", tensor=f"X{i}", count=count), count))
    for _ in range(draw(st.integers(0, 6))):
        start, tokens = draw(st.sampled_from(ends))  # taken from again, a stream forks
        what = draw(st.sampled_from(["map", "reduce", "repeat", "join", "scan", "copy", "norm"]))
        over = draw(st.sampled_from([n for n in (1, 2, 4, 8) if tokens % n == 0]))
        if what == "map":
            name = grow(does="exp")
        elif what == "reduce":
            name, tokens = grow(does="sum", over=over), tokens // over
        elif what == "repeat":
            over = draw(st.sampled_from([1, 2, 4]))
            name, tokens = grow(does="repeat", over=over), tokens * over
        elif what == "scan":
            form = {"kind": "scan", "inputs": ["in"], "outputs": ["out"], "primitives": {"add": 3}}
            name = grow(over=over, **form)
        elif what == "norm":  # a row waits for its own sum: too short a queue locks
            total = grow(does="sum", over=tokens)
            queue(start, total)
            name = grow(does="divide", hold={"b": tokens})
            queue(total, f"{name}.b")
            start = (start, f"{name}.a")
        elif what == "copy":
            name = grow(does="copy", outputs=["a", "b"])
            ends += [(f"{name}.a", tokens), (f"{name}.b", tokens)]
            queue(start, name)
            continue
        else:
            others = [e for e in ends if tokens % e[1] == 0]
            other, fewer = draw(st.sampled_from(others))
            name = grow(does="divide", hold={"b": tokens // fewer})
            queue(other, f"{name}.b")
            start = (start, f"{name}.a")
        queue(*(start if isinstance(start, tuple) else (start, name)))
        ends.append((name, tokens))
    used = {fifo["from"] for fifo in fifos}
    for i, (end, _) in enumerate(e for e in ends if e[0] not in used):
        queue(end, grow(does="write", tensor=f"Y{i}"))
    config = {"architecture": "stream", "iterations": draw(st.integers(1, 12))}
    config |= {"nodes": nodes, "fifos": fifos}
    return {"schema": "archsim.workload/1", "name": "w", "model": {"config": config}}


@settings(max_examples=25, deadline=None)
@given(streams())
def test_generated_graphs_run_or_stand_still_alike(data):
    assert len({str(answer(data, **way)) for way in WAYS}) == 1
