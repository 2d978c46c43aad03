"""Are the experts of each layer fetched that the routing names and the nearest memory lacks?"""

import copy

import pytest

import archsim
from archsim.core.errors import Infeasible, InputError
from archsim.memory.replacement import replay

EXPERTS, LAYERS, STEPS = 4, 2, 3
EXPERT_BYTES = 2 * 3 * 64 * 128  # three bf16 matrices
MACHINE = {
    "schema": "archsim.hardware/1",
    "name": "tiered",
    "clocks": {"core": "1 GHz"},
    "memory": {
        "sram": {"kind": "sram", "capacity": "256 KiB", "bandwidth": "1024 B/cycle"},
        "hbm": {"kind": "dram", "capacity": "16 MiB", "bandwidth": "100 GB/s", "latency": "0 s"},
        "ddr": {"kind": "dram", "capacity": "64 MiB", "bandwidth": "10 GB/s", "latency": "0 s",
                "energy": "ddr5"},
    },
    "engines": {
        "array": {"kind": "systolic_array", "rows": 32, "cols": 32},
        "vector": {"kind": "vector_unit", "lanes": 64},
    },
}  # fmt: skip
MODEL = {
    "architecture": "transformer", "layers": LAYERS, "hidden": 64, "heads": 2, "kv_heads": 2,
    "head_dim": 32,
    "ffn": 128, "ffn_matrices": 3, "activation": "silu", "norm": "rms", "position": "rope",
    "vocab": 100, "moe": {"experts": EXPERTS, "top_k": 2, "ffn": 128},
}  # fmt: skip
# tokens of each expert, layer by layer, step by step; two sequences of two experts each
TRACE = [
    [2, 2, 0, 0], [0, 0, 2, 2],
    [0, 1, 1, 2], [0, 0, 2, 2],
    [2, 1, 1, 0], [1, 1, 1, 1],
]  # fmt: skip


def workload(counts=TRACE, **routing):
    given = routing or {"kind": "trace", "counts": counts}
    return {
        "schema": "archsim.workload/1", "name": "w", "model": {"config": MODEL},
        "phase": {"kind": "decode", "batch": 2, "context": 16, "steps": STEPS},
        "dtypes": {"weights": "bf16"}, "routing": given,
    }  # fmt: skip


def run(rule, work=None, set_=(), machine=MACHINE, fidelity="tile"):
    made = copy.deepcopy(machine)
    made["placement"] = {"experts": rule} if rule else {}
    return archsim.run(made, work or workload(), set_=list(set_), fidelity=fidelity).result


def fetched(policy, held):
    misses = 0
    for layer in range(LAYERS):
        rows = TRACE[layer::LAYERS]
        steps = [
            sorted((e for e, n in enumerate(row) if n), key=lambda e, row=row: (-row[e], e))
            for row in rows
        ]
        misses += sum(map(len, replay(steps, held, policy).misses))
    return misses * EXPERT_BYTES


@pytest.mark.parametrize("policy", ["pinned", "lru", "lfu", "belady"])
@pytest.mark.parametrize("held", [1, 2, 3])
def test_the_memory_behind_gives_the_missed_experts_to_the_byte(policy, held):
    found = run({"held": held, "policy": policy})
    assert found["traffic"]["ddr"]["weight_read_bytes"] == fetched(policy, held)
    assert found["expert_cache"]["miss_bytes"] == fetched(policy, held)
    pair = found["staging"]["pairs"]
    assert [(p["from"], p["to"], p["bytes"]) for p in pair] == [
        ("ddr", "hbm", {"weight": fetched(policy, held)})
    ]


@pytest.mark.parametrize("fidelity", ["analytic", "cycle"])
def test_bytes_are_the_same_at_every_fidelity(fidelity):
    found = run({"held": 2}, fidelity=fidelity)
    assert found["traffic"]["ddr"]["weight_read_bytes"] == fetched("lru", 2)


def test_every_expert_that_the_trace_names_is_a_visit_of_its_layer():
    found = run({"held": 2})["expert_cache"]
    assert found["visits"] == sum(n > 0 for row in TRACE for n in row)
    assert [layer["hits"] + layer["misses"] for layer in found["layers"]] == [8, 8]
    assert found["hits"] + found["misses"] == found["visits"]
    assert found["hit_rate"] == found["hits"] / found["visits"]


def test_room_for_all_experts_leaves_nothing_behind_and_costs_no_time():
    found, plain = run({"held": EXPERTS}), run(None)
    assert found["time_ps"] == plain["time_ps"]
    assert found["traffic"]["ddr"]["total_bytes"] == 0
    assert found["expert_cache"]["hit_rate"] == 1.0
    assert found["placement"]["tiers"][1]["held_bytes"] == {}


def test_the_nearest_memory_holds_copies_and_the_next_one_all_experts():
    tiers = run({"held": 3})["placement"]["tiers"]
    assert tiers[0]["held_bytes"]["expert_cache"] == LAYERS * 3 * EXPERT_BYTES
    assert tiers[1]["held_bytes"] == {"experts": LAYERS * EXPERTS * EXPERT_BYTES}


def test_an_expert_known_ahead_arrives_no_later_and_moves_no_more():
    late, ahead = run({"held": 1}), run({"held": 1, "prefetch": True})
    assert ahead["time_ps"] < late["time_ps"]
    assert ahead["traffic"]["ddr"] == late["traffic"]["ddr"]


def test_fewer_stages_on_their_way_at_once_are_no_faster():
    rule = {"held": 1, "prefetch": True}
    times = [run(rule, set_=[f"placement.prefetch_stages={n}"])["time_ps"] for n in (1, 2, 4)] + [
        run(rule)["time_ps"]
    ]
    assert times == sorted(times, reverse=True)
    assert times[0] > times[-1]


def test_a_miss_costs_the_time_of_one_expert_from_the_memory_behind():
    found = run({"held": 1})["expert_cache"]
    assert found["miss_s"] == pytest.approx(EXPERT_BYTES / 10e9, rel=0.25)


def test_layers_that_are_alike_share_one_cache_and_count_as_many():
    found = run({"held": 3}, workload([[2, 2, 0, 0]]))["expert_cache"]
    assert [layer["repeats"] for layer in found["layers"]] == [LAYERS]
    assert found["visits"] == 2 * LAYERS * STEPS


def test_a_drawn_routing_is_cached_as_a_trace_is():
    found = run({"held": 2}, workload(kind="zipf", per_layer=True, seed=3))
    cache = found["expert_cache"]
    assert found["traffic"]["ddr"]["weight_read_bytes"] == cache["misses"] * EXPERT_BYTES
    assert 0 < cache["hit_rate"] < 1


def test_a_cache_that_does_not_fit_is_refused_with_a_table():
    with pytest.raises(Infeasible) as refusal:
        run({"held": 3}, set_=["memory.hbm.capacity=100 KiB"])
    rows = {row["class"]: row for row in refusal.value.details["classes"]}
    assert rows["expert_cache"]["where"] == ["hbm"]
    assert rows["expert_cache"]["short_bytes"] > 0


def test_a_model_without_experts_cannot_cache_them():
    made = copy.deepcopy(MACHINE) | {"placement": {"experts": {"held": 2}}}
    with pytest.raises(InputError, match="gpt2-small has none"):
        archsim.run(made, "gpt2-small", phase="decode", context=8)


def test_a_lone_memory_has_none_behind_it():
    made = copy.deepcopy(MACHINE)
    del made["memory"]["ddr"]
    with pytest.raises(InputError, match="no memory behind it holds them"):
        run({"held": 2}, machine=made)


def test_a_memory_joined_to_the_chip_cannot_stand_behind_a_cache():
    made = copy.deepcopy(MACHINE)
    made["interconnect"] = {"a": {"kind": "dma", "from": "ddr", "to": "sram"}}
    with pytest.raises(InputError, match="ddr is joined to the chip"):
        run({"held": 2}, machine=made)


def test_the_summary_tells_hits_and_the_cost_of_a_miss():
    made = copy.deepcopy(MACHINE) | {"placement": {"experts": {"held": 2}}}
    report = archsim.run(made, workload())
    line = next(x for x in report.summary().splitlines() if x.startswith("Experts"))
    cache = report.result["expert_cache"]
    assert f"lru, 2 a layer held; {cache['misses']} fetched" in line
