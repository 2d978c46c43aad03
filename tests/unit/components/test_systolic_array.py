"""Does the array cost what its closed forms say?"""

import numpy as np
import pytest

from archsim.components.systolic_array import SystolicArray
from archsim.ir.target import Tiles


def cost(stationary, m, n, k, *, b=1, resumed=False, first=False, opens=True, **fields):
    spec = SystolicArray.Spec(**{"rows": 8, "cols": 4, **fields})
    one = lambda x: np.array([x])  # noqa: E731
    tiles = Tiles(
        stationary, one(b), one(m), one(n), one(k),
        first=one(first), resumed=one(resumed), opens=one(opens), closes=one(True),
    )  # fmt: skip
    return SystolicArray("array", spec, 10**9).cost(tiles, "bf16")


@pytest.mark.parametrize(("m", "n", "k"), [(1, 1, 1), (5, 4, 8), (100, 9, 17), (3, 64, 64)])
def test_exposed_folds_are_fill_stream_and_drain(m, n, k):
    rows, cols = 8, 4
    up = lambda a, b: -(-a // b)  # noqa: E731
    ws, os_, is_ = (cost(s, m, n, k, fill="exposed") for s in ("weight", "output", "input"))
    assert ws.cycles[0] == up(k, rows) * up(n, cols) * (2 * rows + cols + m - 2)
    assert is_.cycles[0] == up(k, rows) * up(m, cols) * (2 * rows + cols + n - 2)
    assert os_.cycles[0] == up(m, rows) * up(n, cols) * (rows + cols + k - 2)


def test_flush_cycles_follow_every_exposed_fold():
    for stationary, folds in (("weight", 4), ("output", 26)):
        plain, flushed = (
            cost(stationary, 100, 8, 16, fill="exposed", flush_cycles=n).cycles[0] for n in (0, 3)
        )
        assert flushed == plain + 3 * folds
    with pytest.raises(ValueError, match="flush_cycles is of exposed folds"):
        cost("weight", 1, 1, 1, flush_cycles=1)


def test_overlapped_folds_hide_the_next_load_behind_the_stream():
    long = cost("weight", 100, 4, 16)
    short = cost("weight", 3, 4, 16)
    assert long.cycles[0] == 2 * 100
    assert short.cycles[0] == 2 * 8
    assert long.lag_cycles[0] == 8 + 4 - 2


def test_the_first_tile_of_an_op_loads_in_the_open():
    assert cost("weight", 100, 4, 8, first=True).cycles[0] == 100 + 8
    assert cost("output", 8, 4, 100, first=True).cycles[0] == 100


def test_skew_over_the_tile_counts_only_the_part_used():
    assert cost("weight", 10, 2, 3, fill="exposed", skew="tile").cycles[0] == 2 * 3 + 2 + 10 - 2


def test_a_resumed_stream_fills_the_array_no_second_time():
    assert cost("weight", 10, 4, 8, fill="exposed", resumed=True).cycles[0] == 10
    two_folds = cost("weight", 10, 8, 8, fill="exposed", resumed=True)
    assert two_folds.cycles[0] == 2 * (2 * 8 + 4 + 10 - 2)


def test_instances_share_folds_or_split_the_stream_of_one():
    assert cost("weight", 64, 16, 8, count=4).cycles[0] == 64
    split = cost("weight", 64, 4, 8, count=4)
    assert split.cycles[0] == 16
    assert split.weight_reads[0] == 4 * 4 * 8


def test_on_chip_reads_follow_the_operand_that_streams():
    ws = cost("weight", 10, 9, 17)
    assert (ws.in_reads[0], ws.weight_reads[0], ws.out_writes[0]) == (10 * 17 * 3, 17 * 9, 90 * 3)
    os_ = cost("output", 10, 9, 17)
    assert (os_.in_reads[0], os_.weight_reads[0], os_.out_writes[0]) == (170 * 3, 153 * 2, 90)
    is_ = cost("input", 10, 9, 17)
    assert (is_.in_reads[0], is_.weight_reads[0], is_.out_writes[0]) == (170, 153 * 3, 90 * 3)


def test_partial_sums_are_read_back_but_for_the_first():
    assert cost("weight", 10, 4, 24).out_reads[0] == 40 * 2
    assert cost("weight", 10, 4, 24, opens=False).out_reads[0] == 40 * 3


def test_rates_shorten_the_stream():
    assert cost("weight", 101, 4, 8, rates={"bf16": 2}).cycles[0] == 51


def test_an_array_that_keeps_a_share_of_its_rate_takes_so_many_more_cycles():
    for stationary in ("weight", "input", "output"):
        whole, slower = (cost(stationary, 100, 9, 17, sustained=s) for s in (1.0, 0.8))
        assert slower.cycles[0] == -(-5 * whole.cycles[0] // 4)
        assert (slower.folds, slower.in_reads) == (whole.folds, whole.in_reads)
