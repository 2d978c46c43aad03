"""Does a kernel through time take what its closed form says, and move and count what it must?"""

from math import ceil, inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.api import place_only, run
from archsim.core.errors import Unsupported
from archsim.system.kernel import STEPS

SMS, MACS, FEED, EPILOGUE, LATENCY_US = 12, 256, 32, 64, 0.5  # of an SM at 1 GHz
LAUNCH_US, SPLIT_US, PEAK_US, SHARE, P = 3.0, 1.5, 100e3, 0.8, 5  # bytes a microsecond
TILES, SPLITS = ((128, 128), (64, 64), (16, 64)), (1, 2, 4)


def machine(l2="2 MiB", **tensor):
    return {
        "schema": "archsim.hardware/1",
        "name": "small-gpu",
        "clocks": {"core": "1 GHz"},
        "memory": {
            "l2": {"kind": "sram", "capacity": l2, "bandwidth": "4096 B/cycle"},
            "hbm": {
                "kind": "dram", "capacity": "8 GiB", "bandwidth": "100 GB/s", "latency": "0 ns",
            },
        },
        "engines": {
            "tensor": {
                "kind": "tensor_core", "count": SMS, "tensor_cores": 1, "mma": "4x4x16",
                "operand_bytes_per_cycle": FEED, "tile_latency": f"{LATENCY_US} us",
                "tiles": [f"{m}x{n}" for m, n in TILES], "split_k": list(SPLITS),
                "split_launch": f"{SPLIT_US} us", "launch": f"{LAUNCH_US} us",
                "memory_efficiency": SHARE, **tensor,
            },
            "vector": {"kind": "vector_unit", "count": SMS, "lanes": 64, "launch": "2 us"},
        },
        "mapping": [{"ops": "joined", "launch": "joined"}],
    }  # fmt: skip


def graph(*ops, **dtypes):
    return {
        "schema": "archsim.workload/1",
        "name": "kernels",
        "model": {"config": {"architecture": "graph", "ops": list(ops)}},
        "dtypes": dtypes,
    }


def gemm(m, n, k, b=1, name="g", **more):
    return {"kind": "gemm", "name": name, "b": b, "m": m, "n": n, "k": k, **more}


def vector(rows, cols, name="v", **more):
    given = {"kind": "vector", "name": name, "rows": rows, "cols": cols, "primitives": {"add": 1}}
    return given | more


def bytes_of(m, n, k, b=1):
    return 2 * b * (m * k + k * n + m * n)


def closed_us(m, n, k, b=1):
    """Written again from the description: launch, then the p-norm of waves and of bytes, sums."""
    best = inf
    for tm, tn in TILES:
        for split in SPLITS:
            depth = ceil(ceil(k / split) / 64) * 64
            tile = max(tm * tn * depth / MACS, (tm + tn) * depth * 2 / FEED)
            tile += tm * tn * 2 / EPILOGUE
            tiles = b * ceil(m / tm) * ceil(n / tn) * split
            cores = ceil(tiles / SMS) * (tile / 1e3 + LATENCY_US)
            memory = bytes_of(m, n, k, b) / (PEAK_US * SHARE)
            us = LAUNCH_US + (cores**P + memory**P) ** (1 / P)
            if split > 1:
                us += SPLIT_US + b * m * n * split * 8 / (SMS * FEED) / 1e3
            best = min(best, us)
    return best


extents = st.one_of(st.integers(1, 64), st.integers(64, 3000))


@settings(max_examples=40, deadline=None)
@given(size=st.tuples(extents, extents, st.integers(16, 4000)), b=st.sampled_from([1, 1, 3]))
def test_a_kernel_through_time_takes_its_closed_form(size, b):
    report = run(machine(), graph(gemm(*size, b=b)))
    want = closed_us(*size, b)
    # results of a second kernel leave after it: the closed form has their bytes overlap
    leave = 2 * b * size[0] * size[1] / (PEAK_US * SHARE)
    got = report.result["time_ps"] / 1e6
    assert abs(got - want) < 0.015 * want + leave


@settings(max_examples=20, deadline=None)
@given(size=st.tuples(extents, extents, extents), b=st.integers(1, 3))
def test_every_operand_passes_memory_once_to_the_byte(size, b):
    report = run(machine(), graph(gemm(*size, b=b)))
    m, n, k = size
    row = report.ops[0]
    assert row["dram_in_bytes"] == 2 * b * m * k
    assert row["dram_weight_bytes"] == 2 * b * k * n
    assert row["dram_out_bytes"] == 2 * b * m * n
    assert row["macs"] == b * m * n * k


def test_both_engines_and_the_whole_schedule_agree():
    work = graph(gemm(48, 200, 3000), vector(48, 200, after="g", reduces=True))
    times = {
        run(machine(), work, engine=engine, exact=exact).result["time_ps"]
        for engine in ("compiled", "simpy")
        for exact in (False, True)
    }
    assert len(times) == 1


def test_a_product_is_few_steps_however_large_it_is():
    report = run(machine(), graph(gemm(8192, 8192, 8192)))
    assert report.manifest["steps"] < 7 * STEPS


def test_results_that_stay_on_chip_and_operands_found_there_move_no_bytes():
    first, second = gemm(64, 64, 256), gemm(64, 64, 64, name="h", after="g")
    rows = run(machine(), graph(first, second)).ops
    assert (rows[0]["dram_out_bytes"], rows[1]["dram_in_bytes"]) == (0, 0)
    rows = run(machine(l2="9 KiB"), graph(first, second)).ops
    assert (rows[0]["dram_out_bytes"], rows[1]["dram_in_bytes"]) == (8192, 8192)


def test_kernels_follow_each_other_each_with_its_launch():
    first, second = gemm(64, 64, 256), gemm(64, 64, 64, name="h", after="g")
    report = run(machine(), graph(first, second))
    both = report.result["critical"]
    assert [both[f"ops/{op}"]["kernel_launch"] for op in "gh"] == [3_000_000] * 2
    assert report.result["time_ps"] == sum(row["time_ps"] for row in report.ops)


def test_a_joined_kernel_pays_no_launch():
    ops = gemm(64, 64, 256), vector(64, 64, after="g", reduces=True)
    own, joined = (
        run(machine(), graph(ops[0], ops[1] | {"op_class": op_class})).result["time_ps"]
        for op_class in ("norm", "joined")
    )
    assert own - joined == 2_000_000


def test_elementwise_ops_ride_on_the_tiles_and_read_what_else_they_need_once():
    work = graph(gemm(256, 512, 1024), vector(256, 512, after="g"))
    row, *others = run(machine(), work).ops
    assert (row["fused"], others) == ("v", [])
    assert row["vector_points"] == 256 * 512
    assert row["dram_out_bytes"] == 2 * 256 * 512
    alone = run(machine(), graph(gemm(256, 512, 1024))).result["time_ps"]
    assert run(machine(), work).result["time_ps"] == pytest.approx(alone, rel=0.02)


def test_split_parts_are_written_and_read_again_on_chip():
    plan = place_only(machine(), graph(gemm(16, 64, 32768)))
    grid = plan.blocks[0].stages[0].mapping.grid
    assert grid.split == 4
    row = run(machine(), graph(gemm(16, 64, 32768))).ops[0]
    sums = 4 * 16 * 64 * 4
    operands = 2 * (16 + 64) * 32768
    assert row["sram_read_bytes"] == operands + sums + 2 * 16 * 64  # sums, and results that leave
    assert row["sram_write_bytes"] == operands + sums + 2 * 16 * 64
    whole = run(machine(split_k=[1]), graph(gemm(16, 64, 32768))).result["time_ps"]
    assert run(machine(), graph(gemm(16, 64, 32768))).result["time_ps"] < whole


def test_weights_in_blocks_bring_their_scales():
    blocks = {"bits": 8, "group": 128, "scale_bytes": 4, "computes_as": "bf16"}
    row = run(machine(), graph(gemm(64, 512, 1024), weights=blocks, activations="bf16")).ops[0]
    assert row["dram_weight_bytes"] == 512 * 1024 + 512 * 1024 // 128 * 4


def test_a_type_without_a_rate_is_refused_with_the_setting_that_gives_one():
    with pytest.raises(Unsupported) as caught:
        run(machine(), graph(gemm(64, 64, 64), weights="fp8"))
    found = caught.value.diagnostics[0]
    assert found.message == "ops/g computes in fp8, and engine tensor has no rate for it"
    assert found.help == "--set engines.tensor.rates.fp8=1, or one of: bf16, fp16"


def test_ops_that_need_whole_rows_do_not_ride_on_tiles():
    hardware = machine()
    hardware["mapping"].append({"ops": "gemm", "fuse": "reductions"})
    with pytest.raises(Unsupported) as caught:
        run(hardware, graph(gemm(64, 64, 64), vector(64, 64, after="g", reduces=True)))
    assert caught.value.diagnostics[0].message == (
        "ops/g is a kernel whose tiles hold no whole rows, as its fused ops need"
    )


def test_a_kernel_prints_its_waves_its_block_and_its_tile():
    plan = place_only(machine(), graph(gemm(1024, 1024, 512)))
    assert plan.blocks[0].stages[0].mapping.render().splitlines() == [
        "ops/g: tile_grid on tensor   [b 1  m 1024  n 1024  k 512]",
        "  for wave in 22:  # 256 tiles to 12 cores, first free first",
        "    block of 3 x 4 tiles: 192 x 256, panels on chip",
        "      tile m 64, n 64 on each core",
        "        for k in 8 steps of 64",
        "  load g.in: 1048576 B",
        "  load g.weight: 1048576 B",
        "  store g.out: 2097152 B",
    ]


def test_a_type_without_a_rate_is_refused_with_the_formats_that_store_it():
    with pytest.raises(Unsupported) as caught:
        run(machine(), graph(gemm(64, 64, 64), weights="int4"))
    assert caught.value.diagnostics[0].help == (
        "mxfp4 or nvfp4 or int4g128 is stored in 4 bit and computed in bf16; or --set "
        "engines.tensor.rates.int4=1, or one of: bf16, fp16"
    )
