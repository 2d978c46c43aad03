"""Does every loop nest compute its op, holding what it says, and move what its closed form says?"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.core.errors import Unmappable
from archsim.ir.nest import NestLevel, NestLoop, NestMapping
from archsim.ir.nest_check import NestTarget, tile_elements
from archsim.ir.nest_ranks import OPERANDS
from archsim.ir.nest_text import nest_from_data
from archsim.ir.problem import problem
from archsim.testing.families import exact_target
from archsim.testing.functional import UnsoundMappingError
from archsim.testing.functional_nest import claimed, execute_nest
from archsim.testing.mutations import FAMILIES, try_all
from archsim.testing.nests import nests, ragged_gemms, small_convs, small_gemms
from archsim.testing.problems import conv, gemm

EVERYTHING = frozenset(OPERANDS)


def nest(case, dram=(), buffer=(), registers=None, kept=(), **fields):
    levels = [
        NestLevel("dram", EVERYTHING, tuple(NestLoop(*x) for x in dram)),
        NestLevel("buffer", EVERYTHING, tuple(NestLoop(*x) for x in buffer)),
    ]
    if registers is not None:
        loops = tuple(NestLoop(*x) for x in registers)
        levels.append(NestLevel("registers", frozenset(kept), loops))
    return NestMapping(problem(*case, 32), "array", "nest", tuple(levels), **fields)


@settings(max_examples=150, deadline=None)
@given(some=nests(st.one_of(small_gemms(), ragged_gemms(), small_convs())))
def test_every_nest_computes_its_op_and_moves_what_the_closed_form_says(some):
    assert execute_nest(some, exact_target(some)) == claimed(some)


@settings(max_examples=60, deadline=None)
@given(some=nests(st.one_of(small_gemms(), ragged_gemms(), small_convs())))
def test_a_nest_is_legal_on_an_array_of_just_its_size_and_reads_back_from_its_text(some):
    some.check(exact_target(some))
    assert nest_from_data(some.to_data(), some.problem, "array") == some
    assert some.render().startswith(f"{some.name}: nest on array")


@settings(max_examples=60, deadline=None)
@given(some=nests(st.one_of(small_gemms(), ragged_gemms(), small_convs())))
def test_runs_of_alike_tiles_are_the_tiles(some):
    counts = {}
    for step in some.tiles():
        counts[step.case] = counts.get(step.case, 0) + 1
    for number, case in enumerate(some.cases):
        product = 1
        for _, parts in some.cuts(case):
            product *= sum(part.count for part in parts)
        assert counts[number] == product


@settings(max_examples=25, deadline=None)
@given(some=nests(st.one_of(small_gemms(), ragged_gemms(), small_convs())))
def test_every_mistake_in_a_nest_is_caught(some):
    assert [t.mistake for t in try_all(FAMILIES["nest"], some) if not t.caught] == []


def test_a_weight_stationary_nest_reads_each_weight_once():
    some = nest(
        gemm(1, 12, 8, 8), dram=[("N", 4), ("K", 4), ("M", 6)],
        buffer=[("K", 1, "rows"), ("N", 1, "cols")], registers=[("M", 1)], kept=["weight"],
    )  # fmt: skip
    moved = some.traffic(some.cases[0])
    assert moved["dram", "weight"].reads == 64
    assert moved["registers", "weight"].writes == 64
    assert moved["dram", "in"].reads == 12 * 8 * 2  # once for each tile of N
    # an input is sent once a column of weights away from DRAM, and every column takes it
    assert moved["network", "in"].writes == 4 * moved["network", "in"].reads
    assert some.steps(some.cases[0]) == 2 * 2 * 12
    assert some.spills
    assert (moved["dram", "out"].writes, moved["dram", "out"].reads) == (12 * 8 * 2, 12 * 8)


def test_an_input_shared_by_a_diagonal_is_sent_once_and_received_by_each():
    some = nest(
        conv(1, 1, 1, 1, (6, 6), 3, (1, 1, 0)),
        buffer=[("OH", 1, "cols"), ("FH", 1, "rows")],
        registers=[("OW", 1), ("FW", 1)], kept=["in", "weight", "out"],
    )  # fmt: skip
    moved = some.traffic(some.cases[0])
    assert (moved["network", "in"].reads, moved["network", "in"].writes) == (36, 3 * 4 * 6)
    assert (moved["network", "weight"].reads, moved["network", "weight"].writes) == (9, 9 * 4)
    assert (moved["network", "out"].reads, moved["network", "out"].writes) == (3 * 16, 16)
    assert some.steps(some.cases[0]) == 4 * 3


def test_loops_of_one_step_are_dropped():
    some = nest(gemm(1, 4, 4, 4), dram=[("M", 4), ("N", 2)], buffer=[("N", 2), ("M", 1), ("N", 1)])
    assert [str(loop) for level in some.levels for loop in level.loops] == ["N/2", "M/1", "N/1"]


def test_a_tile_of_a_strided_window_has_only_what_it_reaches():
    some = nest(conv(1, 1, 1, 1, (9, 9), 1, (2, 1, 0)), dram=[("OH", 2)])
    assert tile_elements(some, "in", 1) == 2 * 5


@pytest.mark.parametrize("tile", [1, 3, 5])
def test_a_broken_closed_form_would_be_noticed(tile):
    some = nest(
        gemm(1, 6, 5, 4), dram=[("M", tile), ("K", 3)], buffer=[("M", 1), ("N", 1), ("K", 1)]
    )
    moved = execute_nest(some)
    assert moved == claimed(some)
    assert moved["dram", "in"].reads == 24


TARGET = NestTarget("array", {"rows": 4, "cols": 4, "count": 2}, 4096, {"weight": 2, "in": 1})


@pytest.mark.parametrize(
    ("loops", "reason"),
    [
        ({"buffer": [("M", 1), ("N", 1)]}, "rank K is missed: no loop has it, its extent is 9"),
        ({"buffer": [("M", 1), ("N", 1), ("K", 2)]}, "rank K is missed: its tiles end at 2"),
        ({"buffer": [("M", 1), ("N", 1), ("K", 1), ("Q", 1)]}, "no rank Q: the op has B, M, N, K"),
        (
            {"buffer": [("M", 1), ("N", 1, "cols"), ("K", 1)]},
            "8 N do not fit the 4 cols of array",
        ),
        (
            {"buffer": [("M", 1), ("K", 3, "count"), ("N", 1), ("K", 1)]},
            "K is a sum, split over count without a combine",
        ),
        (
            {"dram": [("M", 3, "rows")], "buffer": [("M", 1), ("N", 1), ("K", 1)]},
            "M is dealt to rows at dram",
        ),
        (
            {"dram": [("M", 3), ("M", 2)], "buffer": [("M", 1), ("N", 1), ("K", 1)]},
            "rank M has 2 loops over tiles of the buffer",
        ),
        (
            {"buffer": [("M", 1), ("N", 1)], "registers": [("K", 1)], "kept": ["weight"]},
            "weight needs 9 bytes of registers, an element of array has 2 for it",
        ),
        (
            {"buffer": [("M", 1), ("N", 1), ("K", 1)], "registers": [], "kept": ["out"]},
            "out needs 4 bytes of registers, an element of array has 0 for it",
        ),
    ],
)
def test_an_illegal_nest_is_refused_with_the_reason(loops, reason):
    with pytest.raises(Unmappable) as caught:
        nest(gemm(1, 6, 8, 9), **loops).check(TARGET)
    assert caught.value.message == f"gemm: {reason}"


def test_tiles_that_do_not_fit_the_buffer_are_refused_with_their_sizes():
    some = nest(gemm(1, 60, 80, 90), dram=[("M", 30)], buffer=[("M", 1), ("N", 1), ("K", 1)])
    with pytest.raises(Unmappable) as caught:
        some.check(TARGET)
    assert caught.value.message == (
        "gemm: tiles need 31800 bytes (in 5400, weight 7200, out 19200) of buffer, 4096 are free"
    )


def test_an_array_that_does_not_add_is_found_by_running_the_nest():
    some = nest(gemm(1, 2, 2, 4), buffer=[("K", 2, "rows"), ("M", 1), ("N", 1), ("K", 1)])
    with pytest.raises(UnsoundMappingError, match="split over rows and never added"):
        execute_nest(some, exact_target(some, frozenset()))
