"""Is the share of each tensor that a run fetches the one that its policy leaves out?"""

import copy
from fractions import Fraction

import pytest

import archsim
from archsim.core.errors import InputError
from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Access, Kind, Op
from archsim.ir.tensor import DTYPES, Role, Tensor
from archsim.system.cached_share import ResidencyRule, cached_share, idle_rules, rule_of

MIB = 1 << 20
MACHINE = {
    "schema": "archsim.hardware/1",
    "name": "tiered",
    "clocks": {"core": "1 GHz"},
    "memory": {
        "sram": {"kind": "sram", "capacity": "1 MiB", "bandwidth": "1024 B/cycle"},
        "hbm": {"kind": "dram", "capacity": "160 MiB", "bandwidth": "100 GB/s", "latency": "0 s"},
        "ddr": {"kind": "dram", "capacity": "4 GiB", "bandwidth": "20 GB/s", "latency": "0 s",
                "energy": "ddr5"},
    },
    "engines": {
        "array": {"kind": "systolic_array", "rows": 32, "cols": 32, "count": 4},
        "vector": {"kind": "vector_unit", "lanes": 128},
    },
}  # fmt: skip
DECODE = {"phase": "decode", "batch": 2, "context": 128}


def run(policy=None, of="weights", hbm="160 MiB", interconnect=None):
    made = copy.deepcopy(MACHINE)
    made["memory"]["hbm"]["capacity"] = hbm
    made["interconnect"] = interconnect or {}
    made["placement"] = {"residency": [{"of": of, "policy": policy}]} if policy else {}
    return archsim.run(made, "gpt2-small", **DECODE, advice=False).result


def chain(repeats, sizes):
    """Ops that read a weight each, so many times over."""
    tensors = {n: Tensor(n, (size,), DTYPES["int8"], Role.WEIGHT) for n, size in sizes.items()}
    ops = tuple(
        Op(n, Kind.VECTOR, "activation", {"M": 1, "N": 1}, (Access(n),), ()) for n in tensors
    )
    return OpGraph("chain", (Block("layer", repeats, ops),), tensors)


def test_belady_keeps_as_many_of_a_cycle_as_fit():
    found = cached_share(chain(8, {"w": 10}), {"w"}, 30, "belady")
    assert found.missed == {"w": Fraction(5, 8)}
    assert found.held_bytes == 30


def test_lru_of_a_cycle_that_does_not_fit_fetches_everything():
    assert cached_share(chain(8, {"w": 10}), {"w"}, 70, "lru").missed == {"w": 1}
    assert cached_share(chain(8, {"w": 10}), {"w"}, 80, "lru").missed == {"w": 0}


def test_tensors_that_are_not_named_take_no_room():
    found = cached_share(chain(2, {"a": 10, "b": 90}), {"a"}, 20, "lru")
    assert found.missed == {"a": 0}


def test_the_first_rule_that_matches_a_tensor_counts():
    rules = (
        ResidencyRule(of="layer.ffn.*", policy="lru"),
        ResidencyRule(of="weights", policy="belady"),
    )
    assert rule_of(rules, "weights", "layer.ffn.up.weight").policy == "lru"
    assert rule_of(rules, "weights", "head.weight").policy == "belady"
    assert rule_of(rules, "kv_cache", "keys").policy == "pinned"


def test_a_rule_without_tensors_is_told():
    rules = (ResidencyRule(of="weights", policy="lru"), ResidencyRule(of="nothing*", policy="lru"))
    assert idle_rules(rules, chain(1, {"w": 1})) == [1]
    made = copy.deepcopy(MACHINE) | {"placement": {"residency": [{"of": "x*", "policy": "lru"}]}}
    report = archsim.run(made, "gpt2-small", **DECODE, advice=False)
    assert "W204 placement.residency[0] never matched an op of this workload" in report.warnings


def test_belady_fetches_no_more_than_lru():
    lru, belady = (
        run(policy)["traffic"]["ddr"]["weight_read_bytes"] for policy in ("lru", "belady")
    )
    assert 0 < belady < lru


def test_pinned_is_what_happens_without_a_rule():
    assert run("pinned")["time_ps"] == run()["time_ps"]


def test_copies_fill_the_nearest_memory_and_the_next_one_holds_all():
    result = run("belady")
    tiers = result["placement"]["tiers"]
    assert tiers[1]["held_bytes"]["weights_belady"] > 200 * MIB
    assert 0 < tiers[0]["held_bytes"]["weights_belady"] < 160 * MIB
    assert tiers[0]["peak_bytes"] <= 160 * MIB


def test_a_cache_that_holds_everything_fetches_nothing():
    assert run("lru", hbm="1 GiB")["traffic"]["ddr"]["total_bytes"] == 0


def test_rules_may_name_tensors_one_by_one():
    result = run("lru", of="*ffn*", hbm="400 MiB")
    held = result["placement"]["tiers"][1]["held_bytes"]
    assert set(held) == {"weights_lru"}


def test_a_memory_joined_to_the_chip_cannot_stand_behind_a_cache():
    with pytest.raises(InputError, match="ddr is joined to the chip"):
        run("lru", interconnect={"a": {"kind": "dma", "from": "ddr", "to": "sram"}})
