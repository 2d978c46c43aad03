"""Do any lengths and frames keep the laws: no page lost, none in two frames, none beyond room?"""

from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.memory.paging import page_count, paged

LENGTHS = st.lists(st.integers(0, 40), max_size=6)
SPILLS = st.sampled_from(["oldest", "longest", "last"])


@settings(max_examples=150, deadline=None)
@given(LENGTHS, st.integers(1, 9), st.lists(st.integers(0, 20), min_size=1, max_size=3), SPILLS)
def test_every_token_has_one_place_and_no_memory_holds_more_than_its_frames(
    lengths, page, frames, spill
):
    frames = [*frames, page_count(lengths, page)]
    table = paged(lengths, page, frames, spill)
    places = [frame for some in table.frames for frame in some]
    assert len(set(places)) == len(places) == page_count(lengths, page)
    assert sum(table.tokens_in(m) for m in range(len(frames))) == sum(lengths)
    assert table.idle_tokens == len(places) * page - sum(lengths)
    for memory, room in enumerate(frames):
        assert table.pages_in(memory) <= room
        assert all(f.number < room for f in places if f.memory == memory)
    for sequence, length in enumerate(lengths):
        for token in range(length):
            frame, place = table.find(sequence, token)
            assert frame == table.frames[sequence][token // page]
            assert place == token % page


@settings(max_examples=100, deadline=None)
@given(LENGTHS, st.integers(1, 9), st.integers(0, 30), SPILLS)
def test_a_memory_is_full_before_the_next_one_is_used(lengths, page, near, spill):
    pages = page_count(lengths, page)
    table = paged(lengths, page, [near, pages], spill)
    assert table.pages_in(0) == min(near, pages)


@settings(max_examples=100, deadline=None)
@given(LENGTHS, st.integers(1, 9), st.integers(0, 30), SPILLS)
def test_more_room_takes_no_page_away(lengths, page, near, spill):
    pages = page_count(lengths, page)
    less, more = (paged(lengths, page, [n, pages], spill) for n in (near, near + 1))
    for small, large in zip(less.frames, more.frames, strict=True):
        assert all(b.memory <= a.memory for a, b in zip(small, large, strict=True))
