"""Do tiles of a nest wait, run and leave as its loops say, fused vector ops included?"""

import archsim


def machine(levels, fuse="none", rate="1 GB/s", **sram):
    return {
        "schema": "archsim.hardware/1",
        "name": "small",
        "clocks": {"core": "1 GHz"},
        "memory": {
            "sram": {"kind": "sram", "capacity": "64 KiB", "bandwidth": "1 MB/cycle",
                     "latency_cycles": 0} | sram,
            "dram": {"kind": "dram", "capacity": "1 GiB", "bandwidth": rate, "latency": "0 ns",
                     "energy": "hbm2"},
        },
        "engines": {
            "pe": {"kind": "spatial_array", "rows": 4, "cols": 6, "registers": "64 B"},
            "vector": {"kind": "vector_unit", "lanes": 4},
        },
        "placement": {"activations": ["dram"]},
        "mapping": [{"ops": "*", "fuse": fuse, "nest": {"levels": levels}}],
    }  # fmt: skip


def product(m, n, k):
    return {
        "schema": "archsim.workload/1",
        "name": "one",
        "model": {"layers": [{"name": "a", "m": m, "n": n, "k": k}]},
        "dtypes": {"weights": "int8", "activations": "int8", "accumulators": "int32"},
    }


def nest(*outer):
    inner = ["M/4", "N/6", "K/1", "M/1 @rows", "N/1 @cols"]
    return {
        "dram": {"loops": list(outer)},
        "buffer": {"keep": ["in", "weight", "out"], "loops": inner},
        "registers": {"keep": ["out"], "loops": []},
    }


def test_one_tile_is_loaded_computed_and_stored_one_after_another():
    report = archsim.run(machine(nest()), product(4, 6, 10), advice=False)
    # a byte a nanosecond: 40 of inputs and 60 of weights in, ten steps, 24 of results out
    assert report.result["time_ps"] == (40 + 60 + 10 + 24) * 1000
    assert report.ops[0]["compute_cycles"] == 10


def test_tiles_overlap_and_what_is_held_is_loaded_once():
    report = archsim.run(machine(nest("N/6", "M/4")), product(16, 12, 10), advice=False)
    op = report.ops[0]
    # weights of six columns stay while four tiles of rows pass: twice over the inputs
    assert (op["dram_weight_bytes"], op["dram_in_bytes"], op["dram_out_bytes"]) == (120, 320, 192)
    assert op["compute_cycles"] == 4 * 2 * 10
    # memory is never idle: the steps of a tile pass while the results before it are stored
    assert report.result["time_ps"] == (120 + 320 + 192) * 1000


def test_partial_sums_leave_and_come_back_at_their_own_width():
    report = archsim.run(machine(nest("K/5", "M/4", "N/6")), product(8, 12, 10), advice=False)
    op = report.ops[0]
    sums = 8 * 12
    assert op["dram_out_bytes"] == sums
    assert op["dram_partial_bytes"] == 4 * sums + 4 * sums  # once out, once in, four bytes each
    held = archsim.run(machine(nest("M/4", "N/6", "K/5")), product(8, 12, 10), advice=False).ops[0]
    assert held["dram_partial_bytes"] == 0


def test_a_slow_buffer_feeds_the_array_slowly():
    levels = nest() | {"registers": {"keep": [], "loops": []}}
    fast = archsim.run(machine(levels), product(4, 6, 10), advice=False).ops[0]
    slow = archsim.run(machine(levels, bandwidth="8 B/cycle"), product(4, 6, 10), advice=False).ops[
        0
    ]
    assert fast["compute_cycles"] == 10
    # 4 inputs and 6 weights a step, and 24 sums of four bytes out every time, in again but once
    moved = 10 * (4 + 6) + 10 * 24 * 4 + 9 * 24 * 4
    assert slow["compute_cycles"] == -(-moved // 8)


def test_vector_ops_take_the_tiles_on_and_reductions_ask_for_whole_rows():
    work = {
        "schema": "archsim.workload/1",
        "name": "small",
        "model": {"preset": "bert-base"},
        "phase": {"kind": "encode", "batch": 1, "tokens": 16},
    }
    report = archsim.run("eyeriss", work, advice=False)
    fused = {op["op"]: op["fused"] for op in report.ops if op["dataflow"] == "row_stationary"}
    assert fused["layer/attn.score"] == "attn.softmax"
    assert all(fused[op] for op in ("layer/ffn.up", "layer/attn.score"))
    again = archsim.run("eyeriss", work, exact=True, advice=False)
    assert again.result["time_ps"] == report.result["time_ps"]
