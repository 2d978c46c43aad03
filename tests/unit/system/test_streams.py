"""Does a stream graph become the units, channels and firings that it says, and what they count?"""

from itertools import pairwise

import pytest

import archsim
from archsim import api
from archsim.cli import _fifos, _reasons
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.report import stream as report_stream
from archsim.system.bound import bound, stage_bounds

KEYS = ["Q", "K", "V"]


def workload(nodes, fifos, iterations=1):
    config = {"architecture": "stream", "iterations": iterations, "nodes": nodes, "fifos": fifos}
    return {"schema": "archsim.workload/1", "name": "w", "model": {"config": config}}


def attention(graph, tokens, **config):
    config = {"architecture": "streaming_sdpa", "graph": graph, "tokens": tokens} | config
    return {"schema": "archsim.workload/1", "name": "w", "model": {"config": config}}


def chain(count, *between, depth=2, latency=0, **fifo):
    """A source, nodes one behind the other, a sink."""
    nodes = [{"name": "x", "does": "read", "tensor": "X", "count": count}, *between]
    nodes += [{"name": "y", "does": "write", "tensor": "Y"}]
    names = [node["name"] for node in nodes]
    queue = {"depth": depth, "latency": latency} | fifo
    fifos = [{"from": a, "to": b} | queue for a, b in pairwise(names)]
    return workload(nodes, fifos, iterations=4)


def stream(data, **options):
    return archsim.run("streaming", data, **options).result["streams"][0]


def by_name(parts):
    return {part["name"]: part for part in parts}


def test_a_unit_for_each_node_and_memory_for_what_is_long():
    (stage,) = api.place_only("streaming", attention("naive", 64)).blocks[0].stages
    mapping = stage.mapping
    assert mapping.compute_units == 5  # score, exp, sum, divide, mix
    held = {"fifo exp>divide": 1, "tensor Q": 1, "tensor K": 1, "tensor V": 1, "tensor O": 1}
    assert dict(mapping.memory_units) == held
    assert "divide: divide, 64 firings of 1 cycles" in mapping.render()
    assert "exp>divide: depth 66 x 4 B, 1 memory units" in mapping.render()


def test_work_is_what_the_formulas_say():
    n, d = 16, 8
    result = archsim.run("streaming", attention("naive", n, head_dim=d)).result
    counts = result["counts"]
    assert counts["mac.bf16"] == result["model"]["macs"] == 2 * n * n * d
    assert counts["vector.exp"] == counts["vector.add"] == counts["vector.div"] == n * n
    assert counts["vector.mul"] == n * n  # scores are scaled
    assert result["traffic"]["hbm"]["total_bytes"] == 4 * n * d * 2
    running = archsim.run("streaming", attention("memory_free", n, head_dim=d)).result["counts"]
    assert running["mac.bf16"] == 3 * n * n * d  # one product more, which fades
    assert running["vector.div"] == n * d


def test_a_unit_that_is_too_small_for_a_firing_takes_several_cycles():
    data = attention("naive", 16, head_dim=64)
    few = {"set_": ["engines.fabric.rows=16", "engines.fabric.cols=2"]}
    found = stream(data, **few)
    assert by_name(found["nodes"])["score"]["firing_cycles"] == 2
    assert found["least_interval_cycles"] == 2 * 16
    assert found["interval_cycles"] >= 2 * 16


def test_an_interval_is_kept_and_a_repeat_multiplies_tokens():
    again = {"name": "r", "does": "repeat", "over": 3}
    slow = {"name": "e", "does": "exp", "ii": 2}
    found = stream(chain(4, again, slow))
    assert {n["name"]: n["firings"] for n in found["nodes"]} == {"x": 16, "r": 48, "e": 48, "y": 48}
    assert found["interval_cycles"] == found["least_interval_cycles"] == 4 * 3 * 2


def test_a_firing_that_gives_copies_waits_for_room_in_all_of_them():
    nodes = [
        {"name": "x", "does": "read", "tensor": "X", "count": 8},
        {"name": "c", "does": "copy", "outputs": ["a", "b"]},
        {"name": "fast", "does": "write", "tensor": "F"},
        {"name": "slow", "does": "write", "tensor": "S", "ii": 5},
    ]
    ends = [("x", "c"), ("c.a", "fast"), ("c.b", "slow")]
    found = stream(workload(nodes, [{"from": a, "to": b} for a, b in ends], iterations=50))
    fifos = by_name(found["fifos"])
    assert found["interval_cycles"] == 8 * 5
    assert fifos["c.b>slow"]["producer_wait_cycles"] > 1000
    assert fifos["c.a>fast"]["producer_wait_cycles"] == 0
    assert fifos["c.a>fast"]["consumer_wait_cycles"] > 1000


def test_every_wait_is_on_the_account_of_one_fifo():
    report = archsim.run("streaming", attention("scaled", 24, depth=1))
    found = report.result["streams"][0]
    for node in found["nodes"]:
        unit = report.result["units"][node["unit"]]
        tokens = [f["consumer_wait_cycles"] for f in found["fifos"] if f["to"] == node["name"]]
        slots = [f["producer_wait_cycles"] for f in found["fifos"] if f["from"] == node["name"]]
        # the rest is the wait for operands from memory, and to be told that all have ended
        assert sum(slots) == node["wait_for_slot_cycles"]
        assert sum(tokens) <= node["wait_for_token_cycles"]
        assert node["busy"] == unit["busy_ps"] / report.result["time_ps"]


@pytest.mark.parametrize(("latency", "interval"), [(0, 8), (1, 12), (4, 24)])
def test_a_fifo_that_is_slow_to_pass_a_token_on_holds_its_slots_longer(latency, interval):
    found = stream(chain(8, {"name": "e", "does": "exp"}, latency=latency))
    assert found["interval_cycles"] == interval  # two slots, each taken 2 + latency cycles


def test_fifos_of_one_node_may_differ_in_latency():
    nodes = [
        {"name": "x", "does": "read", "tensor": "X", "count": 8},
        {"name": "e", "does": "exp"},
        {"name": "d", "does": "divide"},
        {"name": "y", "does": "write", "tensor": "Y"},
    ]
    fifos = [
        {"from": "x", "to": "e"},
        {"from": "e", "to": "d.a", "depth": 2},
        {"from": "e", "to": "d.b", "depth": 9, "latency": 6, "name": "late"},
        {"from": "d", "to": "y"},
    ]
    data = workload(nodes, fifos, iterations=20)
    found = stream(data)
    assert found["interval_cycles"] == 8 * 8 / 2  # the short way's two slots wait for the late way
    (least,) = api.fifo_depths(archsim.run("streaming", data)).values()
    assert (least.full["e>d.a"], least.full["late"]) == (8, 8)


@pytest.mark.parametrize(("latency", "initial", "interval"), [(1, 1, 8), (3, 1, 24), (3, 3, 8)])
def test_a_cycle_turns_as_fast_as_its_tokens_come_round(latency, initial, interval):
    node = {"name": "a", "kind": "map", "inputs": ["in", "back"], "outputs": ["out"]}
    nodes = [
        {"name": "x", "does": "read", "tensor": "X", "count": 8},
        node | {"primitives": {"add": 1}, "latency": latency},
        {"name": "y", "does": "write", "tensor": "Y"},
    ]
    fifos = [
        {"from": "x", "to": "a.in"},
        {"from": "a", "to": "a.back", "initial": initial, "depth": initial + 4},
        {"from": "a", "to": "y", "depth": 6},
    ]
    assert stream(workload(nodes, fifos, iterations=10))["interval_cycles"] == interval


def test_without_time_depths_and_counts_are_told_and_nothing_else():
    found = stream(attention("naive", 16), fidelity="analytic")
    assert found["interval_cycles"] is None
    assert found["peak_intermediate_tokens"] is None
    assert {f["depth"] for f in found["fifos"]} == {2, 18}


def test_explain_tells_the_least_depths():
    report = archsim.run("streaming", attention("naive", 32, long_depth=33))
    (found,) = _fifos.depths(report)
    (text,) = _fifos.text([found])
    assert text.splitlines()[0] == "FIFOs of sdpa/naive: 32 cycles an iteration at best, 33 now"
    (line,) = [x for x in text.splitlines() if x.startswith("exp>divide")]
    assert line.split() == ["exp>divide", "33", "33", "34", "(too", "short)", "32"]


def test_a_file_is_its_graph(tmp_path, monkeypatch):
    text = """
schema: archsim.stream/1
iterations: 3
nodes:
  - {name: x, does: read, tensor: X, count: 4}
  - {name: s, does: sum, over: 4}
  - {name: y, does: write, tensor: Y}
fifos: [{from: x, to: s}, {from: s, to: y}]
"""
    (tmp_path / "g.yaml").write_text(text)
    (tmp_path / "w.yaml").write_text(
        "schema: archsim.workload/1\nname: g\nmodel: {stream: g.yaml}\n"
    )
    alone, _ = load_workload(tmp_path / "g.yaml")
    named, _ = load_workload(tmp_path / "w.yaml")
    assert alone.model == named.model
    assert load_workload(alone.to_data())[0] == alone
    graph = lower(alone)
    assert graph.tensors["X"].shape == (12, 1)
    assert graph.tensors["Y"].shape == (3, 1)


def test_a_stream_is_bound_by_its_busiest_node_so_that_its_best_interval_is_near_the_bound():
    for graph in ("naive", "memory_free"):
        result = archsim.run("streaming", attention(graph, 256)).result
        assert result["streams"][0]["interval_cycles"] == 256
        assert result["bound_by"] == "compute"
        assert 1 <= result["ratio_to_bound"] < 1.1
    slow = chain(256, {"name": "e", "does": "exp", "ii": 3})
    plan = api.place_only("streaming", slow)
    assert bound(plan).vector_ps == 4 * 256 * 3 * 1000  # iterations, firings, interval, at 1 GHz
    assert bound(plan).compute_ps == 0
    assert stage_bounds(plan)[0].vector_ps == bound(plan).vector_ps


def test_a_stream_above_its_bound_waits_and_computes_no_masked_points():
    verdict = archsim.run("streaming", chain(2, {"name": "e", "does": "exp"})).result["verdict"]
    assert "above 1.3" in verdict
    assert "masked" not in verdict


def test_explain_names_no_relief_of_a_stream_that_relieves_nothing(tmp_path):
    report = archsim.run("streaming", attention("naive", 64))
    report.write(tmp_path)
    assert _reasons.page(str(tmp_path), None)["changes"] == []


def test_tokens_between_nodes_are_those_beside_no_source_and_no_sink():
    result = archsim.run("streaming", chain(8, {"name": "e", "does": "exp"})).result
    ((_, _, said),) = report_stream.answer(result["streams"])
    assert said.endswith(
        "0 tokens at most wait between nodes that compute, those beside a source or sink left out"
    )
