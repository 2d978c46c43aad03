"""Is what was worked out kept within bounds, however ragged products are?"""

from archsim.memory.pim.products_room import make_room


def test_of_too_many_cases_the_oldest_of_the_largest_go_and_small_ones_stay():
    found = {(1,): 0, (40, "first"): 0, (2,): 0, (30,): 0, (40, "later"): 0}

    def size(key):
        return key[0]

    make_room(found, 9, 80, size)
    assert list(found) == [(1,), (2,), (30,), (40, "later")]
    make_room(found, 9, 20, size)
    assert list(found) == [(1,), (2,)]
    make_room(found, 2, 20, size)
    assert not found
