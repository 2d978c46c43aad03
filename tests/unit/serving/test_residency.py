"""Which experts stay, in what room, and who gives way?"""

import pytest

from archsim.serving.requests import visits
from archsim.serving.residency import Room, Turn, turns

ROOM = Room("hbm", 100, 10, 10, 0, "ddr", 1000, (20,) * 6)


def found(choices, policy="lru", start="cold", room=ROOM):
    return turns(visits(choices, 1, "arrival"), room, policy, start)


def test_experts_have_what_router_passes_and_landing_area_leave():
    assert ROOM.experts_bytes == 80
    assert Room("hbm", 100, 10, 10, 20, "ddr", 1000, (20,)).experts_bytes == 60


def test_misses_vanish_where_router_passes_and_all_experts_fit():
    assert ROOM.no_miss_bytes == 10 + 10 + 6 * 20
    assert not ROOM.holds_all
    roomy = Room("hbm", 140, 10, 10, 20, "ddr", 1000, (20,) * 6)
    assert roomy.holds_all  # nothing lands where all stay
    assert found((0, 5, 0), "belady", room=roomy) == (Turn(True, True, ()),) * 3


def test_the_expert_used_longest_ago_gives_way():
    turn = found((0, 1, 2, 3, 0, 4, 1))
    assert [t.hit for t in turn] == [False] * 4 + [True, False, False]
    assert turn[5].victims == (1,)
    assert turn[6].victims == (2,)
    assert all(t.stays for t in turn)


def test_pinned_experts_are_those_asked_for_most_and_others_never_stay():
    turn = found((5, 5, 4, 4, 3, 3, 2, 2, 1, 0), "pinned", "warm")
    assert [t.hit for t in turn] == [True] * 8 + [False] * 2
    assert [t.stays for t in turn] == [True] * 8 + [False] * 2


def test_a_cold_start_misses_every_expert_once():
    assert [t.hit for t in found((0, 1, 0, 1))] == [False, False, True, True]
    assert [t.hit for t in found((0, 1, 0, 1), start="warm")] == [True] * 4


@pytest.mark.parametrize("policy", ["lru", "lfu", "belady"])
def test_unlike_experts_push_out_as_many_as_it_takes(policy):
    room = Room("hbm", 60, 0, 0, 0, "ddr", 1000, (20, 20, 20, 60))
    turn = found((0, 1, 2, 3, 3), policy, room=room)
    assert turn[3].victims == (0, 1, 2)
    assert turn[4].hit
