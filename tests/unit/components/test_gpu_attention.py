"""Is the physics of attention kernels the closed form, and dealing what a first free SM does?"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.components import _gpu_attention as physics
from archsim.components._gpu_attention import (
    DecodeKernel,
    Grid,
    PrefillKernel,
    block_cycles,
    deal,
    decode_cta_cycles,
    norm,
    of_dtype,
    softmax_cycles,
    split_of,
    visited,
)

GRIDS = st.lists(
    st.tuples(st.integers(1, 6), st.lists(st.integers(1, 1000), min_size=1, max_size=12)),
    min_size=1,
    max_size=4,
)


def grids(drawn):
    return [Grid(heads, np.array(ps, dtype=np.int64)) for heads, ps in drawn]


def first_free(costs, slots):
    """The plain twin: look at every slot, take the one that is free first."""
    free = [0] * slots
    for cost in costs:
        free[free.index(min(free))] += cost
    return max(free)


@given(GRIDS, st.integers(1, 9))
def test_dealing_is_what_a_first_free_slot_in_launch_order_gives(drawn, slots):
    costs = [ps for heads, each in drawn for ps in each * heads]
    assert deal(grids(drawn), slots) == first_free(costs, slots)


@settings(max_examples=60)
@given(st.integers(20, 200), st.lists(st.integers(1, 1000), min_size=2, max_size=8),
       st.integers(2, 9))  # fmt: skip
def test_heads_counted_as_work_move_the_end_by_less_than_one_thread_block(heads, ps, slots):
    grid = [Grid(heads, np.array(ps, dtype=np.int64))]
    exact = deal(grid, slots)
    before, physics.DEALT = physics.DEALT, 16 * slots
    try:
        assert abs(deal(grid, slots) - exact) <= max(ps)
    finally:
        physics.DEALT = before


@given(GRIDS, st.integers(1, 9))
def test_blocks_dealt_in_turn_end_no_sooner_than_their_fair_share_and_late_slots_show(drawn, slots):
    costs = [ps for heads, each in drawn for ps in each * heads]
    turns = [sum(costs[i::slots]) for i in range(slots)]
    assert deal(grids(drawn), slots, "in_turn") == max(turns)
    ideal = deal(grids(drawn), slots, "ideal")
    assert ideal == -(-sum(costs) // slots)
    assert ideal <= deal(grids(drawn), slots) <= ideal + max(costs)


def test_alike_thread_blocks_run_in_whole_waves():
    assert deal([Grid.alike(217, 10)], 108) == 30
    assert deal([Grid.alike(216, 10)], 108) == 20


@given(
    queries=st.integers(1, 700),
    before=st.integers(0, 300),
    causal=st.booleans(),
    reach=st.none() | st.integers(1, 400),
)
def test_steps_cover_every_key_that_a_query_sees_and_begin_at_whole_tiles(
    queries, before, causal, reach
):
    keys = queries + before
    start, end = visited(queries, keys, causal=causal, reach=reach, query_tile=64, key_tile=128)
    assert len(start) == -(-queries // 64)
    for i, (low, high) in enumerate(zip(start.tolist(), end.tolist(), strict=True)):
        first, last = 64 * i, min(64 * i + 64, queries) - 1
        upper = before + last if causal else keys - 1
        lower = before + first if causal else keys - 1
        lower = max(0, lower - reach + 1) if reach else 0
        assert low % 128 == 0
        assert low <= lower < low + 128
        assert upper < high <= min(keys, upper + 128)


def test_causal_thread_blocks_of_a_kibitoken_prompt_visit_72_steps():
    start, end = visited(1024, 1024, causal=True, reach=None, query_tile=64, key_tile=128)
    steps = -(-(end - start) // 128)
    assert steps.tolist() == [-(-i // 2) for i in range(1, 17)]
    assert steps.sum() == 72  # of 128 without causality


def test_a_step_of_an_h100_takes_both_products_and_what_of_softmax_shows():
    cycles = block_cycles(64, 128, 256, 2048, 0.054)
    assert cycles == pytest.approx(2 * 64 * 128 * 128 / 2048 + 64 * 128 * 0.054)
    assert softmax_cycles(16, 64) == pytest.approx(1 / 16 + 9 / 64)


def test_a_context_is_split_until_no_sm_idles_or_parts_are_256_tokens():
    assert split_of(8, 65536, 132, 256) == 16
    assert split_of(8, 1024, 132, 256) == 4
    assert split_of(8, 100, 132, 256) == 1
    assert split_of(1000, 65536, 132, 256) == 1


def test_a_decode_thread_block_is_fed_or_multiplies_whichever_takes_longer():
    fed = DecodeKernel(bytes_per_cycle=42)
    assert decode_cta_cycles(256, 4, 256, 2, 2048, fed) == pytest.approx(256 * 512 / 42)
    bare = DecodeKernel()  # an mma has 16 rows, however few heads share the keys
    assert decode_cta_cycles(256, 4, 256, 2, 2048, bare) == 16 * 256 * 256 / 2048
    assert decode_cta_cycles(256, 17, 256, 2, 2048, bare) == 32 * 256 * 256 / 2048


def test_constants_are_those_of_the_type_then_of_one_as_wide_then_the_default():
    own, default = PrefillKernel(softmax_cycles=0.1), PrefillKernel()
    assert of_dtype({"bf16": own}, "bf16", default) is own
    assert of_dtype({"bf16": own}, "fp16", default) is own
    assert of_dtype({"bf16": own}, "fp8", default) is default


@given(st.floats(0, 1e12), st.floats(0, 1e12))
def test_a_norm_of_two_sides_lies_between_the_longer_and_their_sum(a, b):
    assert max(a, b) <= norm(4, a, b) * (1 + 1e-12) <= (a + b) * (1 + 1e-9) + 1e-300
