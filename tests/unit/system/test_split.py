"""Which part of an op does each engine get, and do both then work at once?"""

import copy

import pytest

import archsim
from archsim.api import place_only
from archsim.core.errors import Unmappable
from archsim.ir.tensor import Role
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.system.build import build
from archsim.system.spec import load_hardware
from archsim.system.split import split_ops
from archsim.system.split_deal import Load, load_of, shared_out, solved

TOKENS = [1, 5, 0, 3, 3, 0, 2, 2]  # of each expert: 8 sequences, 2 experts each
MODEL = {
    "architecture": "transformer", "layers": 2, "hidden": 64, "heads": 4, "kv_heads": 2,
    "head_dim": 16, "ffn": 96, "ffn_matrices": 3, "activation": "silu", "norm": "rms",
    "position": "rope", "vocab": 50, "moe": {"experts": 8, "top_k": 2, "ffn": 96},
}  # fmt: skip
ARRAY = {"kind": "systolic_array", "rows": 16, "cols": 16}
MACHINE = {
    "schema": "archsim.hardware/1", "name": "two", "clocks": {"core": "1 GHz", "pim": "650 MHz"},
    "memory": {
        "sram": {"kind": "sram", "capacity": "2 MiB", "bandwidth": "1024 B/cycle"},
        "hbm": {"kind": "dram", "standard": "HBM3_5.2Gbps"},
    },
    "engines": {
        "one": ARRAY, "other": ARRAY, "third": ARRAY,
        "vector": {"kind": "vector_unit", "lanes": 64},
        "pim": {"kind": "logic_pim", "inside": "hbm", "macs_per_stack": 16384, "clock": "pim"},
        "lanes": {"kind": "vector_unit", "lanes": 4096},
    },
}  # fmt: skip
EXPERTS = ("layer/moe.gate", "layer/moe.up", "layer/moe.act", "layer/moe.down")


def workload(phase=None, **model):
    return {
        "schema": "archsim.workload/1", "name": "w", "model": {"config": MODEL | model},
        "phase": phase or {"kind": "decode", "batch": 8, "context": 32},
        "dtypes": {"weights": "bf16"}, "routing": {"kind": "trace", "counts": [TOKENS]},
    }  # fmt: skip


def machine(*rules, **more):
    made = copy.deepcopy(MACHINE) | more
    made["dispatch"] = [
        *rules, {"ops": "*@pim", "run_on": "lanes"},
        {"ops": "*", "run_on": "one"}, {"ops": "*", "run_on": "vector"},
    ]  # fmt: skip
    return made


def split(ops="moe_expert", over=("one", "other"), **options):
    return {"ops": ops, "split": {"over": list(over), **options}}


def graph_of(*rules, phase=None, **model):
    graph = lower(load_workload(workload(phase, **model))[0])
    made = build(load_hardware(machine(*rules))[0])
    return graph, split_ops(graph, made)


def ops_of(graph, name):
    return {op.name: op for _, op in graph.ops() if op.name.partition("@")[0] == name}


def experts_of(op):
    counts = [n for g in op.groups for n in [dict(g.extents)["M"]] * g.count]
    return dict(zip(op.picks.items, counts, strict=True))


def test_whole_experts_are_dealt_those_with_most_tokens_to_the_first_engine():
    _, graph = graph_of(split(ratio=0.5))
    first, second = ops_of(graph, "moe.gate").values()
    assert (first.name, second.name) == ("moe.gate@one", "moe.gate@other")
    assert experts_of(first) == {1: 5, 3: 3}
    assert experts_of(second) == {4: 3, 6: 2, 7: 2, 0: 1}
    assert (first.split_for, second.split_for) == ("one", "other")


def test_a_deal_that_an_engine_cannot_take_is_not_chosen(monkeypatch):
    def full(machine, graph, block, part, inside=None):
        if part.engine == "pim" and len(part.ops[0].picks.items) > 1:
            raise Unmappable("it is full", code="E402")
        return load_of(machine, graph, block, part, inside)

    monkeypatch.setattr("archsim.system.split.load_of", full)
    _, graph = graph_of(split(over=("one", "pim")))
    assert experts_of(ops_of(graph, "moe.gate")["moe.gate@pim"]) == {0: 1}


@pytest.mark.parametrize(("rules", "laid"), [
    ([{"ops": "*", "run_on": "auto"}], True),
    ([{"ops": "*", "run_on": "one"}, {"ops": "*", "run_on": "pim"}], False),
    ([{"ops": "*", "step": ["decode"], "run_on": "one"}, {"ops": "*", "run_on": "pim"}], True),
])  # fmt: skip
def test_a_stated_layout_is_of_what_a_rule_may_send_inside_in_some_run(rules, laid):
    made = machine(*rules, layout={"inside": {"weights": "row"}})
    for name in ("other", "third"):
        del made["engines"][name]
    found = place_only(made, workload()).laid
    assert ("ffn.up.weight" in found or "moe.up.weight" in found) is laid


def test_a_part_has_intermediates_of_its_own_and_portions_of_what_all_share():
    _, graph = graph_of(split(ratio=0.5))
    act, down = ops_of(graph, "moe.act")["moe.act@one"], ops_of(graph, "moe.down")["moe.down@one"]
    assert [a.tensor for a in act.reads] == ["moe.gated@one", "moe.raised@one"]
    assert act.ranks == {"M": 8, "N": 96}
    assert graph.tensors["moe.acted@one"].shape == (8, 96)
    assert down.reads[1].touched == 2 * 96 * 64  # matrices of two experts, of a stack of eight
    assert (down.writes[0].tensor, down.writes[0].touched) == ("moe.lowered", 8 * 64)
    assert "moe.acted" not in graph.tensors
    reader = ops_of(graph, "moe.combine")["moe.combine"]
    assert reader.reads[0].tensor == "moe.lowered"


def test_experts_of_a_space_stay_together_and_spaces_are_dealt_in_turn():
    _, graph = graph_of(split(ratio=0.5, spaces=4))
    first, second = ops_of(graph, "moe.gate").values()
    # spaces hold experts {0, 4}, {1, 5}, {2, 6}, {3, 7}: 4, 5, 2 and 5 tokens
    assert experts_of(first) == {1: 5, 3: 3, 7: 2}
    assert experts_of(second) == {4: 3, 6: 2, 0: 1}


def test_no_more_experts_than_spaces_are_a_space_each():
    by_expert, by_space = (
        graph_of(split(ratio=0.5, **more))[1] for more in ({}, {"spaces": 8})
    )  # fmt: skip
    assert by_expert == by_space


def test_sequences_are_dealt_the_longest_first_with_all_their_heads():
    phase = {"kind": "decode", "context": [10, 40, 10, 20, 40, 10, 10, 20]}
    whole, graph = graph_of(split("attention", by="sequences", ratio=0.5), phase=phase)
    score = ops_of(graph, "attn.score")
    assert [(g.count, g.extents) for g in score["attn.score@one"].groups] == [
        (4, (("N", 40),))
    ]  # two sequences of two key heads
    assert [(g.count, g.extents) for g in score["attn.score@other"].groups] == [
        (8, (("N", 10),)), (4, (("N", 20),))
    ]  # fmt: skip
    keys = [op.reads[1] for op in score.values()]
    assert [a.touched for a in keys] == [2 * 40 * 2 * 16, 80 * 2 * 16]
    assert whole.tensors["attn.mixed"].elements == sum(
        op.writes[0].touched for op in ops_of(graph, "attn.value").values()
    )


def test_heads_are_dealt_for_every_sequence():
    phase = {"kind": "decode", "context": [10, 40, 10, 20, 40, 10, 10, 20]}
    _, graph = graph_of(split("attention", by="heads", ratio=0.5), phase=phase)
    one, other = ops_of(graph, "attn.softmax").values()
    assert one.groups == other.groups
    assert [g.count for g in one.groups] == [4 * 2, 2 * 2, 2 * 2]  # rows: query heads of one key


def test_where_a_side_gets_nothing_ops_stay_whole_on_the_other():
    for ratio, engine in ((0, "other"), (1, "one")):
        _, graph = graph_of(split(ratio=ratio))
        (gate,) = ops_of(graph, "moe.gate").values()
        assert (gate.name, gate.split_for) == ("moe.gate", engine)
    plan = place_only(machine(split(ratio=0)), workload())
    engines = {s.path: s.engine.name for b in plan.blocks for s in b.stages}
    assert engines["layer/moe.down"] == "other"


def test_a_rule_that_deals_something_else_leaves_ops_to_the_next_rules():
    rules = split(["moe_expert", "attention"], by="heads", ratio=0.5), split(ratio=0.5)
    _, graph = graph_of(*rules)
    assert [len(ops_of(graph, n)) for n in ("attn.score", "moe.gate", "attn.out")] == [2, 2, 1]
    ahead = {"ops": "moe_expert", "run_on": "third"}
    assert len(ops_of(graph_of(ahead, split(ratio=0.5))[1], "moe.gate")) == 1


def test_a_selector_of_an_op_covers_its_parts():
    plan = place_only(
        machine(split(ratio=0.5), mapping=[{"ops": "layer/moe.up", "fuse": "none"}]), workload()
    )
    stages = {s.path: s for b in plan.blocks for s in b.stages}
    assert [len(stages[f"layer/moe.up@{name}"].ops) for name in ("one", "other")] == [1, 1]
    assert not plan.unmatched or "mapping[0]" not in plan.unmatched


def test_parts_of_an_op_run_at_once_and_count_what_it_counts():
    results = [
        archsim.run(machine(*rules), workload(), fidelity="tile", advice=False).result
        for rules in ((), (split(ratio=0.5),))
    ]
    whole, parts = results
    assert whole["counts"]["mac.bf16"] == parts["counts"]["mac.bf16"]
    assert whole["counts"]["vector.points"] == parts["counts"]["vector.points"]
    assert parts["units"]["other"]["busy_ps"] > 0
    assert parts["time_ps"] < whole["time_ps"]


def test_beside_a_memory_that_changes_hands_no_deal_is_faster_than_the_better_engine():
    results = {}
    for sharing in ("bundle", "mode_switch"):
        for name, rule in {
            "one": {"ops": "moe_expert", "run_on": "one"},
            "pim": {"ops": "moe_expert", "run_on": "pim"},
            "both": split(over=("one", "pim")),
        }.items():
            made = machine(rule)
            made["engines"]["pim"]["sharing"] = sharing
            made["engines"]["one"] = ARRAY | {"rows": 64, "cols": 64, "count": 8}
            work = workload(hidden=512, moe={"experts": 8, "top_k": 2, "ffn": 2048})
            run = archsim.run(made, work, fidelity="tile", advice=False)
            results[sharing, name] = run.result["time_ps"], {o["op"] for o in run.ops}
    for sharing in ("bundle", "mode_switch"):
        alone = min(results[sharing, name][0] for name in ("one", "pim"))
        assert results[sharing, "both"][0] <= alone
    assert "layer/moe.gate@pim" in results["bundle", "both"][1]
    assert "layer/moe.gate" in results["mode_switch", "both"][1]


def test_the_solved_deal_makes_the_slower_side_fastest():
    speeds = [3, 1]  # items of 1 take 1/3 and 1

    def load(j, start, stop):
        return Load((stop - start) * 12 // speeds[j], 0)

    assert solved(8, 2, load) == ((0, 6), (6, 8))
    assert solved(1, 2, load) == ((0, 1), (1, 1))
    assert solved(1000, 2, load) == ((0, 750), (750, 1000))


def test_what_both_need_of_the_memory_is_part_of_the_deal():
    def load(j, start, stop):
        return Load(stop - start, (stop - start) if j == 0 else (stop - start) * 2)

    assert solved(10, 2, load) == ((0, 10), (10, 10))


def test_three_engines_share_alike_items_alike():
    assert solved(9, 3, lambda _, start, stop: Load(stop - start, 0)) == ((0, 3), (3, 6), (6, 9))


@pytest.mark.parametrize(("ratio", "cut"), [(0, 0), (0.4, 1), (0.6, 1), (0.7, 2), (1, 4)])
def test_a_share_asked_for_is_met_to_the_nearest_item(ratio, cut):
    assert shared_out([5, 3, 1, 1], ratio)[0] == (0, cut)


def test_sub_batches_have_caches_of_their_own_and_share_weights():
    whole, parts = (
        place_only(machine(**more), workload()).graph
        for more in ({}, {"interleave": {"sub_batches": 2}})
    )
    assert parts.networks == ("sub1", "sub2")
    assert parts.macs() == whole.macs()
    for role in (Role.WEIGHT, Role.KV_CACHE):
        assert parts.stored_bytes(role) == whole.stored_bytes(role)
    assert parts.tensors["sub2.kv.keys"].shape == (4 * 2, 32, 16)


def test_attention_inside_the_memory_hides_behind_the_other_sub_batch():
    """Products of one half and attention of the other take the larger of both, not the sum."""
    model = {"hidden": 256, "heads": 4, "kv_heads": 4, "head_dim": 64, "ffn": 256, "moe": None}
    work = workload({"kind": "decode", "batch": 128, "context": 256}, **model) | {"routing": {}}
    runs = [
        archsim.run(
            machine({"ops": "attention", "run_on": "pim"}, **more), work,
            fidelity="tile", advice=False,
        ).result
        for more in ({}, {"interleave": {"sub_batches": 2}})
    ]  # fmt: skip
    alone, halves = runs
    assert halves["counts"]["mac.bf16"] == alone["counts"]["mac.bf16"]
    assert halves["time_ps"] < alone["time_ps"]
    busy = {name: unit["busy_ps"] for name, unit in halves["units"].items()}
    assert busy["one"] + busy["pim"] > halves["time_ps"]


@pytest.mark.parametrize(
    ("rule", "phase", "why"),
    [
        ({"sub_batches": 3}, None, "8 sequences are no 3 alike parts"),
        ({"min_batch": 16}, None, "8 sequences are fewer than min_batch 16"),
        ({}, {"kind": "prefill", "batch": 2, "tokens": 4}, "it is of decode steps"),
    ],
)
def test_a_batch_that_stays_whole_says_why(rule, phase, why):
    report = archsim.run(machine(interleave=rule), workload(phase), fidelity="tile", advice=False)
    assert f"interleave has no effect: {why}" in str(report.result["warnings"])


def test_of_two_rules_that_split_an_op_the_one_of_its_step_is_told():
    rules = (split(ratio=0.5) | {"step": ["mixed"]}, split(ratio=0.5) | {"step": ["decode"]})
    plan = place_only(machine(*rules), workload())
    assert not [r for r in plan.unmatched if r < "dispatch[2]"]  # one is of other steps
    ops = {op.name: op for _, op in plan.graph.ops()}
    name = next(name for name in ops if "@" in name)
    assert plan.machine.dispatcher.of(f"layer/{name}", ops[name]).rule == 1


def test_closed_forms_take_parts_of_an_op_as_one_stage():
    times = {}
    for fidelity in ("analytic", "tile"):
        for name, rules in {"whole": (), "parts": (split(ratio=0.5),)}.items():
            run = archsim.run(machine(*rules), workload(), fidelity=fidelity, advice=False)
            times[fidelity, name] = run.result["time_ps"]
    assert times["analytic", "parts"] < times["analytic", "whole"]
    assert times["analytic", "parts"] == pytest.approx(times["tile", "parts"], rel=0.1)


def test_a_kernel_leaves_room_for_what_works_in_the_memory_beside_it():
    """Inputs and results of both parts are too large to stay on chip; both run at once."""
    rules = [{"ops": "*", "run_on": "tensor"}, {"ops": "*", "run_on": "vector"}]
    pim = {"kind": "logic_pim", "inside": "hbm", "macs_per_stack": 16384, "clock": "core"}
    companion = {"kind": "pim_companion", "clock": "core", "units": dict.fromkeys(
        ("add", "mul", "max", "exp", "div"), 4096)}  # fmt: skip
    made = {
        "extends": "h100", "name": "duo", "engines": {"pim": pim, "lanes": companion},
        "placement": {"activations": ["hbm"]}, "layout": {"inside": {"weights": "row"}},
        "dispatch": [
            split(over=("tensor", "pim"), ratio=0.5), {"ops": "*@pim", "run_on": "lanes"}, *rules
        ],
    }  # fmt: skip
    work = workload(
        {"kind": "decode", "batch": 256, "context": 4},
        layers=1, hidden=2048, moe={"experts": 8, "top_k": 2, "ffn": 4096},
    ) | {"routing": {"kind": "uniform"}}  # fmt: skip
    result = archsim.run(made, work, fidelity="tile", advice=False)
    time = {o["op"]: o for o in result.ops}
    gates = time["layer/moe.gate@tensor"], time["layer/moe.gate@pim"]
    busy = [o["busy_ps"] for o in gates]
    # most of the shorter one is hidden behind the longer one
    assert sum(o["time_ps"] for o in gates) < max(busy) + 0.5 * min(busy)


def test_devices_of_a_pod_with_experts_of_their_own_interleave_alike():
    network = {"kind": "switch", "devices": 2, "bandwidth": "50 GB/s", "latency": "1 us"}
    work = workload() | {"parallel": {"expert": 2}}
    results = [
        archsim.run(
            machine(interconnect={"node": network}, **more), work, fidelity="tile", advice=False
        ).result
        for more in ({}, {"interleave": {"sub_batches": 2}})
    ]  # fmt: skip
    alone, halves = results
    assert halves["counts"]["mac.bf16"] == alone["counts"]["mac.bf16"]
    assert not any("interleave" in str(w) for w in halves["warnings"])
