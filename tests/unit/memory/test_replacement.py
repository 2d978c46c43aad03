"""Does each policy keep what its rule says, and fetch what is not there?"""

import pytest

from archsim.core.errors import InputError
from archsim.memory.replacement import most_used, replay


def singles(text):
    return [[item] for item in text]


def misses(text, capacity, policy, start=""):
    found = replay(singles(text), capacity, policy, start=start)
    return "".join(item for step in found.misses for item in step)


def test_lru_lets_the_item_go_that_was_used_longest_ago():
    assert misses("abcabdab", 3, "lru", "abc") == "d"
    assert misses("abcacda", 2, "lru", "ab") == "cada"
    assert replay(singles("abac"), 2, "lru", start="ab").evictions == ((), (), (), ("b",))


def test_lru_of_a_cycle_that_is_one_item_too_long_never_hits():
    assert misses("abcd" * 5, 3, "lru", "abc") == "d" + "abcd" * 4


def test_lfu_keeps_what_was_used_often_and_lets_the_older_go_among_equals():
    assert misses("aabcbc", 2, "lfu", "") == "abcbc"
    assert replay(singles("abc"), 2, "lfu", start="ab").evictions[2] == ("a",)


def test_pinned_never_changes_what_it_holds():
    assert misses("abcabcacc", 2, "pinned", "ab") == "cccc"
    assert not any(replay(singles("abcabc"), 1, "pinned").evictions)


def test_belady_keeps_what_is_needed_soonest_and_lets_a_late_item_pass():
    assert misses("abcdabcd", 2, "belady", "ab") == "cdcd"
    assert misses("abcab", 2, "belady", "ab") == "c"


def test_belady_of_a_cycle_hits_as_often_as_items_fit():
    cycle = singles("abcdefgh" * 50)
    assert replay(cycle, 3, "belady", start="abc").hit_rate == pytest.approx(3 / 8)


def test_items_that_are_there_are_used_before_others_are_fetched():
    found = replay([["c", "a"]], 1, "lru", start=["a"])
    assert found.hits == (("a",),)
    assert found.misses == (("c",),)
    assert found.evictions == (("a",),)


def test_bytes_are_those_of_the_items():
    sizes = {"a": 5, "b": 7, "c": 11}
    found = replay(singles("abcab"), 12, "lru", sizes=sizes, start="ab")
    assert found.hit_bytes + found.miss_bytes == 2 * 5 + 2 * 7 + 11
    assert found.miss_bytes == 11 + 5 + 7
    assert found.peak_bytes == 12


def test_an_item_larger_than_the_memory_is_fetched_each_time():
    assert misses("aaa", 0, "lru") == "aaa"


def test_the_start_is_what_most_steps_need():
    assert most_used(singles("abbcc"), 2) == ("b", "c")
    assert most_used(singles("abbcc"), 6, {"a": 3, "b": 4, "c": 3}) == ("b",)


def test_a_run_of_no_accesses_has_no_hit_rate():
    assert replay([], 3, "lru").hit_rate is None


def test_a_step_that_names_an_item_twice_is_refused():
    with pytest.raises(InputError, match="step 0 names an item twice"):
        replay([["a", "a"]], 2, "lru")


def test_a_start_that_does_not_fit_is_refused():
    with pytest.raises(InputError, match="the start takes 3 bytes of 2"):
        replay([["a"]], 2, "lru", start="abc")
