"""Does a cache in pages fill each memory with whole pages and write new tokens where they lie?"""

import copy

import pytest

import archsim
from archsim.core.errors import Unsupported

MIB = 1 << 20
TOKEN_BYTES = 2 * 12 * 768 * 2  # keys and values of 12 layers, bf16
MACHINE = {
    "schema": "archsim.hardware/1",
    "name": "tiered",
    "clocks": {"core": "1 GHz"},
    "memory": {
        "sram": {"kind": "sram", "capacity": "2 MiB", "bandwidth": "1024 B/cycle"},
        "hbm": {"kind": "dram", "capacity": "300 MiB", "bandwidth": "100 GB/s", "latency": "0 s"},
        "ddr": {"kind": "dram", "capacity": "4 GiB", "bandwidth": "20 GB/s", "latency": "0 s",
                "energy": "ddr5"},
    },
    "engines": {
        "array": {"kind": "systolic_array", "rows": 32, "cols": 32, "count": 4},
        "vector": {"kind": "vector_unit", "lanes": 128},
    },
    "placement": {"weights": ["ddr"], "kv_cache": ["hbm", "ddr"], "activations": ["sram", "ddr"]},
}  # fmt: skip
DECODE = {"phase": "decode", "batch": 10, "context": 1000}


def run(rule=None, hbm="300 MiB", layout=None, **phase):
    made = copy.deepcopy(MACHINE)
    made["memory"]["hbm"]["capacity"] = hbm
    if rule is not None:
        made["placement"]["kv_pages"] = rule
    if layout:
        made["layout"] = {"kv_cache": layout}
    return archsim.run(made, "gpt2-small", **(phase or DECODE), advice=False).result


def held(result):
    return [t["held_bytes"].get("kv_cache", 0) for t in result["placement"]["tiers"]]


def test_both_memories_hold_whole_pages_of_every_tensor():
    for size in held(run({"tokens": 16})):
        assert size > 0
        assert size % (16 * TOKEN_BYTES) == 0


def test_pages_of_all_sequences_are_there_and_the_last_ones_are_padded():
    assert sum(held(run({"tokens": 16}))) == 10 * 63 * 16 * TOKEN_BYTES
    assert sum(held(run())) == 10 * 1000 * TOKEN_BYTES


def test_what_spills_is_read_from_the_slower_memory_to_the_byte():
    result = run({"tokens": 10})
    assert result["traffic"]["ddr"]["kv_cache_read_bytes"] == held(result)[1]


def test_new_tokens_stay_near_where_the_oldest_pages_leave():
    assert run({"spill": "oldest"})["traffic"]["ddr"]["kv_cache_written_bytes"] == 0
    assert run({"spill": "last"})["traffic"]["ddr"]["kv_cache_written_bytes"] > 0


def test_the_layout_gives_the_size_of_a_page():
    given = run({}, layout={"page": 50})
    assert held(given) == held(run({"tokens": 50}))
    assert held(run({})) == held(run({"tokens": 16}))


def test_a_cache_that_fits_costs_nothing_by_being_paged():
    result = run({}, hbm="1 GiB")
    assert result["time_ps"] == run(hbm="1 GiB")["time_ps"]
    assert held(result)[1] == 0


def test_sequences_of_several_lengths_have_pages_of_their_own():
    phase = {"phase": "decode", "context": [100, 33, 7]}
    result = run({"tokens": 32}, **phase)
    assert sum(held(result)) == (4 + 2 + 1) * 32 * TOKEN_BYTES


def test_mixed_phases_are_refused():
    phase = {"kind": "mixed", "decode": {"batch": 2, "context": 64}, "prefill": [{"tokens": 64}]}
    work = {"schema": "archsim.workload/1", "name": "w", "model": {"preset": "gpt2-small"},
            "phase": phase}  # fmt: skip
    made = copy.deepcopy(MACHINE)
    made["placement"]["kv_pages"] = {}
    with pytest.raises(Unsupported, match="does not fall into pages of one sequence each"):
        archsim.run(made, work, advice=False)
