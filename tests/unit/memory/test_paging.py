"""Does each page lie in one frame, and does the rule's choice leave the nearest memory?"""

import pytest

from archsim.core.errors import Infeasible, InputError
from archsim.memory.paging import Frame, page_count, paged


def memories(table):
    return ["".join(str(frame.memory) for frame in some) for some in table.frames]


def test_each_sequence_begins_a_page_of_its_own():
    assert page_count([1, 16, 17], 16) == 4
    table = paged([1, 16, 17], 16, [4], "oldest")
    assert [len(some) for some in table.frames] == [1, 1, 2]
    assert table.idle_tokens == 4 * 16 - 34


def test_a_token_is_found_in_its_frame():
    table = paged([40, 20], 16, [5], "oldest")
    assert table.find(0, 33) == (Frame(0, 2), 1)
    assert table.find(1, 16) == (Frame(0, 4), 0)


def test_a_token_that_a_sequence_lacks_is_refused():
    with pytest.raises(InputError, match="sequence 0 has 3 tokens, not token 3"):
        paged([3], 2, [2], "last").find(0, 3)


def test_the_oldest_pages_of_all_sequences_leave_first():
    table = paged([4, 4, 4], 1, [6, 9], "oldest")
    assert memories(table) == ["1100", "1100", "1100"]
    assert table.appends_to() == {0}


def test_an_uneven_rest_leaves_in_part():
    assert memories(paged([4, 4, 4], 1, [7, 9], "oldest")) == ["1100", "1100", "1000"]


def test_the_last_sequences_leave_whole_and_the_one_at_the_border_in_part():
    table = paged([4, 4, 4], 1, [6, 9], "last")
    assert memories(table) == ["0000", "1100", "1111"]
    assert table.appends_to() == {0, 1}


def test_the_longest_sequences_leave_first():
    assert memories(paged([2, 5, 3], 1, [5, 9], "longest")) == ["00", "11111", "000"]


def test_what_leaves_one_memory_passes_the_next_one_by_the_same_rule():
    assert memories(paged([3, 3], 1, [2, 2, 9], "oldest")) == ["210", "210"]


def test_tokens_of_a_last_page_are_counted_as_they_are():
    table = paged([5, 6], 4, [2, 2], "oldest")
    assert [table.pages_in(m) for m in (0, 1)] == [2, 2]
    assert [table.tokens_in(m) for m in (0, 1)] == [3, 8]


def test_more_pages_than_frames_are_refused():
    with pytest.raises(Infeasible, match="5 pages of 2 tokens, and 4 frames"):
        paged([9], 2, [1, 3], "oldest")
