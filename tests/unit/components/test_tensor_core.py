"""Do tensor cores cost what their closed forms say, and choose the tiles that a library would?"""

from itertools import product
from math import ceil, prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.components._tile_catalogues import CATALOGUES
from archsim.components.tensor_core import TensorCore
from archsim.core.errors import InputError
from archsim.core.yamlio import load_spec
from archsim.ir.op import Group
from archsim.ir.problem import problem
from archsim.ir.target import Tiles
from archsim.ir.tensor import block_format
from archsim.testing.problems import conv, gemm

HZ = 1e9


def engine(**fields):
    given_ = {"kind": "tensor_core", "count": 4, "tensor_cores": 4, "mma": "4x4x4"} | fields
    spec, _ = load_spec(given_, TensorCore.Spec)
    return TensorCore("tensor", spec, HZ)


def tile_cycles(unit, m, n, k, dtype="bf16", bits=16):
    sizes = (np.array([x]) for x in (m, n, k))
    return float(unit.tile_s(*sizes, dtype, bits, bits)[0]) * HZ


def chosen(unit, op, moved=0, bytes_per_s=1e12, dtype="bf16"):
    made, tensors = op
    return unit.kernel(problem(made, tensors, 32), dtype, moved, bytes_per_s)


def bf16(*size, **more):
    return gemm(*size, dtype="bf16", **more)


def test_the_peak_is_sms_times_tensor_cores_times_their_shape():
    unit = engine(count=132, mma="8x4x16", rates={"bf16": 1, "fp8": 2})
    assert unit.macs_per_cycle == 2048
    assert unit.macs_per_s("bf16") == 132 * 2048 * HZ
    assert unit.macs_per_s("fp8") == 2 * unit.macs_per_s("bf16")
    assert unit.macs_per_s("fp32") == 0


@pytest.mark.parametrize(
    ("fields", "cycles"),
    [
        ({}, 128 * 128 * 1024 / 256),  # the MMA decides
        ({"sustained": {"bf16": 0.5}}, 128 * 128 * 1024 / 128),
        ({"operand_bytes_per_cycle": 4}, 256 * 1024 * 2 / 4),  # the feed does
        ({"tile_latency": "2 us"}, 128 * 128 * 1024 / 256 + 2000),
        ({"epilogue_bytes_per_cycle": 16}, 128 * 128 * 1024 / 256 + 128 * 128 * 2 / 16),
    ],
)
def test_a_tile_takes_the_longer_of_mma_and_feed_and_then_its_ends(fields, cycles):
    bare = {"operand_bytes_per_cycle": 1e9, "epilogue_bytes_per_cycle": 1e12}
    assert tile_cycles(engine(**bare | fields), 128, 128, 1024) == pytest.approx(cycles, rel=1e-6)


def test_eight_bits_run_at_their_rate_and_feed_half_the_bytes():
    unit = engine(rates={"bf16": 1, "fp8": 2}, operand_bytes_per_cycle=4)
    ends = 64 * 64 * 2 / 64
    wide, narrow = (tile_cycles(unit, 64, 64, 512, d, b) for d, b in (("bf16", 16), ("fp8", 8)))
    assert wide - ends == pytest.approx(2 * (narrow - ends))


def test_cost_is_the_time_of_tiles_in_whole_cycles():
    flags = np.array([True])
    tiles = Tiles("output", *(np.array([x]) for x in (3, 64, 64, 128)), *(flags,) * 4)
    cost = engine().cost(tiles, "bf16")
    assert cost.cycles[0] == ceil(3 * tile_cycles(engine(), 64, 64, 128))
    assert (cost.in_reads[0], cost.out_writes[0], cost.folds[0]) == (3 * 64 * 128, 3 * 64 * 64, 3)


@pytest.mark.parametrize(("tiles", "waves"), [(4, 1), (5, 2), (8, 2), (9, 3)])
def test_tiles_run_in_waves_and_the_last_one_costs_a_whole_one(tiles, waves):
    unit = engine(tiles=["64x64"], split_k=[1])
    grid = chosen(unit, bf16(1, 64, 64 * tiles, 256))
    assert (grid.tiles, grid.waves) == (tiles, waves)
    assert grid.compute_ps == pytest.approx(waves * tile_cycles(unit, 64, 64, 256) * 1e3, abs=9)


def test_work_that_divides_evenly_shows_what_the_last_wave_costs():
    fields = {"tiles": ["64x64"], "split_k": [1]}
    whole, even = (
        chosen(engine(**fields, dealing=how), bf16(1, 64, 320, 256)).compute_ps
        for how in ("first_free", "ideal")
    )
    assert even == pytest.approx(whole * 5 / 8, abs=9)


def test_an_edge_tile_costs_as_much_as_a_full_one():
    unit = engine(tiles=["64x64"], split_k=[1])
    edge, full = (chosen(unit, bf16(1, m, n, k)) for m, n, k in ((1, 65, 193), (64, 128, 256)))
    assert edge == full


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(1, 3), *(st.integers(1, 3000),) * 3),
    moved=st.integers(0, 10**8),
    draws=st.sampled_from([None, 8.0]),
)
def test_the_choice_is_the_fastest_of_every_tile_and_split(size, moved, draws):
    names, splits, p = ["64x64", "128x64", "16x64"], (1, 2, 4), 5
    unit = engine(
        tiles=names, split_k=list(splits), split_launch="2 us", tile_latency="1 us",
        memory_bytes_per_cycle=draws,
    )  # fmt: skip
    b, m, n, k = size
    times = {}
    for name, split in product(names, splits):
        tm, tn = (int(x) for x in name.split("x"))
        tiles = b * -(-m // tm) * -(-n // tn) * split
        waves = -(-tiles // 4)
        compute = waves * tile_cycles(unit, tm, tn, -(-k // (64 * split)) * 64) / HZ
        sides = [compute, moved / 1e11]
        if draws:
            sides.append(moved * waves / tiles / draws / HZ)
        join = 2e-6 + b * m * n * split * 8 / (4 * 64 * HZ) if split > 1 else 0
        longest = max(sides)
        together = longest * sum((x / longest) ** p for x in sides) ** (1 / p)
        times[tm, tn, split] = together + join
    grid = chosen(unit, bf16(b, m, n, k), moved, 1e11)
    got = times[grid.m, grid.n, grid.split]
    assert got == pytest.approx(min(times.values()), rel=1e-9)
    busy = max(grid.compute_ps, grid.memory_ps) * grid.stretch + grid.join_ps
    assert busy == pytest.approx(got * 1e12, rel=1e-5, abs=10)


def test_ragged_experts_are_one_kernel_whose_tiles_are_dealt_together():
    unit = engine(tiles=["64x64"], split_k=[1])
    rows = (130, 64, 1, 1)
    groups = tuple(Group(1, (("M", m),)) for m in rows)
    together = chosen(unit, bf16(4, 130, 64, 128, groups=groups))
    assert together.tiles == sum(-(-m // 64) for m in rows) == 6
    assert together.waves == 2
    apart = sum(chosen(unit, bf16(1, m, 64, 128)).compute_ps for m in rows)
    assert together.compute_ps < apart


def test_cases_of_unlike_depth_go_to_the_first_free_sm():
    unit = engine(count=2, tiles=["64x64"], split_k=[1])
    groups = tuple(Group(1, (("K", k),)) for k in (1024, 64, 64, 64))
    grid = chosen(unit, bf16(4, 64, 64, 1024, groups=groups))
    long, short = (tile_cycles(unit, 64, 64, k) * 1e3 for k in (1024, 64))
    assert grid.compute_ps == pytest.approx(max(long, 3 * short), abs=9)


def test_a_convolution_is_dealt_as_the_product_it_is():
    unit = engine(tiles=["64x64"], split_k=[1])
    op, tensors = conv(2, 1, 128, 64, (16, 16), 3, (1, 1, 1), dtype="bf16")
    grid = unit.kernel(problem(op, tensors, 32), "bf16", 0, 1e12)
    assert grid.tiles == (2 * 16 * 16 // 64) * (128 // 64)
    assert grid.k == 64 * 9


def test_a_deep_narrow_product_splits_its_reduction_unless_kernels_may_not():
    op = bf16(1, 16, 64, 65536)
    whole, split = (chosen(engine(split_k=parts), op) for parts in ([1], [1, 2, 4]))
    assert (whole.split, whole.join_ps) == (1, 0)
    assert split.split == 4
    assert split.compute_ps < whole.compute_ps
    sums = 4 * 16 * 64 * 8 / (4 * 64)  # cycles in which 4-byte sums are written and read again
    assert split.join_ps == pytest.approx(sums * 1e3, abs=1)


def test_few_tiles_leave_bandwidth_unused():
    unit = engine(tiles=["64x64"], split_k=[1], memory_bytes_per_cycle=16, overlap_norm=64)
    op = bf16(1, 16, 64, 4096)  # one tile: one of four SMs draws everything
    moved = 4 << 20
    grid = chosen(unit, op, moved, 1e12)
    assert grid.memory_ps == pytest.approx(moved / 16 * 1e3, rel=0.01)
    plain = chosen(engine(tiles=["64x64"], split_k=[1]), op, moved, 1e12)
    assert plain.memory_ps == pytest.approx(moved, rel=1e-6)


def test_blocks_with_scales_of_their_own_slow_the_mma_of_their_own_type_only():
    fields = {"rates": {"bf16": 1, "fp8": 2}, "operand_bytes_per_cycle": 1e9, "split_k": [1]}
    fast, slow = (engine(**fields, block_scaled=share) for share in (1.0, 0.5))
    for math, slower in (("fp8", True), ("bf16", False)):
        op, tensors = gemm(1, 512, 512, 4096, dtype="fp8")
        weight = tensors["w"]
        stored = block_format(8, 128, 4, math)
        tensors["w"] = type(weight)(weight.name, weight.shape, stored, weight.role)
        whole, half = (chosen(unit, (op, tensors), dtype=math).compute_ps for unit in (fast, slow))
        assert (half > 1.5 * whole) is slower
        assert (half == whole) is not slower


def test_the_longer_side_is_stretched_most_when_both_are_alike():
    unit = engine(tiles=["64x64"], split_k=[1])
    op = bf16(1, 256, 64, 4096)
    compute_s = chosen(unit, op).compute_ps / 1e12
    alike = chosen(unit, op, 10**6, 1e6 / compute_s)
    assert alike.stretch == pytest.approx(2 ** (1 / 5), rel=1e-4)
    assert chosen(unit, op, 1, 1e12).stretch == pytest.approx(1.0)


def test_catalogues_hold_tiles_that_their_instructions_allow():
    assert all(m * n <= 40_960 for m, n in CATALOGUES["hopper"])
    assert all(m % 16 == 0 and n % 16 == 0 for some in CATALOGUES.values() for m, n in some)
    assert prod(engine(catalogue="ampere").grid[:2]) == 256 * 128
    assert engine(tiles=["32x16"]).tiles == ((32, 16),)


@pytest.mark.parametrize("field", [{"tiles": ["128"]}, {"mma": "8x4"}, {"mma": "0x4x4"}])
def test_a_tile_or_shape_that_is_none_is_refused(field):
    with pytest.raises(InputError):
        engine(**field)
