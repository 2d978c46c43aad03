"""Which bursts does a stage send to a memory, in which order, and how many of them are streamed?"""

import numpy as np

from archsim.memory.layout import Pattern
from archsim.sim.program import Leaf, Loop
from archsim.system.bank_streams import (
    Places,
    counted,
    enough,
    first_channel,
    most_iterations,
    run_bytes,
    walk,
)
from archsim.system.transfers import Transfer

TREE = (Leaf((0,)), Loop(3, (Leaf((1,)), Loop(4, (Leaf((2, 3)),)))))


def read(tensor: str, size: int, pattern: Pattern | None = None) -> Transfer:
    return Transfer("hbm", tensor, size, write=False, pattern=pattern)


def test_rows_run_as_often_as_the_loops_around_them_say():
    assert counted(TREE) == {0: 1, 1: 3, 2: 12, 3: 12}


def test_a_walk_takes_rows_in_the_order_of_the_tree():
    assert list(walk(TREE, most=2)) == [0, 1, 2, 3, 2, 3, 1, 2, 3, 2, 3]


def test_loops_are_cut_to_keep_a_bound_on_bursts():
    bursts = {0: 1, 2: 10}
    assert most_iterations(TREE, bursts, bound=121) == 4  # 1 + 3 x 4 x 10
    assert most_iterations(TREE, bursts, bound=120) == 3
    assert most_iterations(TREE, bursts, bound=0) == 1


def test_a_stream_ends_at_its_bound_but_not_before_each_kind_has_come():
    bursts, kinds = {0: 5, 1: 1, 2: 1}, {0: 0, 1: 1, 2: 1}
    assert enough([0, 0, 0, 1, 0], bursts, kinds, bound=10) == [0, 0, 0, 1]
    assert enough([0, 1, 0, 2, 0], bursts, kinds, bound=10) == [0, 1, 0]


def test_tiles_without_a_pattern_follow_each_other_and_begin_again_at_the_end():
    places = Places({"w": 256}, access_bytes=32)
    found = [places.next(read("w", 64)).tolist() for _ in range(5)]
    assert found == [[0, 32], [64, 96], [128, 160], [192, 224], [0, 32]]


def test_tensors_begin_at_addresses_of_their_own():
    places = Places({"a": 100, "b": 100}, access_bytes=32)
    first, second = places.next(read("a", 32)), places.next(read("b", 32))
    assert first.tolist() == [0]
    assert second.tolist() == [1 << 20]


def test_a_pattern_says_where_pieces_lie():
    rows = Pattern(piece_bytes=64, pieces=((2, 1024),), tiles=((2, 64),))
    places = Places({"a": 2048}, access_bytes=32)
    assert places.next(read("a", 128, rows)).tolist() == [0, 32, 1024, 1056]
    assert places.next(read("a", 128, rows)).tolist() == [64, 96, 1088, 1120]
    assert places.next(read("a", 64, rows)).tolist() == [0, 32]  # the last tile is smaller


def test_pieces_that_touch_are_one_run():
    touching = Pattern(piece_bytes=64, pieces=((4, 256), (4, 64)))
    assert run_bytes(read("a", 1024, touching)) == 1024
    assert run_bytes(read("a", 512, touching)) == 512
    assert run_bytes(read("a", 1024, Pattern(64, ((16, 128),)))) == 64


def test_one_channel_of_four_gets_every_fourth_burst():
    bursts = np.arange(12) * 32
    assert first_channel(bursts, channels=4, access_bytes=32).tolist() == [0, 32, 64]
