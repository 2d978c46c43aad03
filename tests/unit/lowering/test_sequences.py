"""Are the sequences of a step counted as they are, and is their cache as long as it must be?"""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from archsim.lowering.phase import Decode
from archsim.lowering.sequences import Sequences, steps_of

CONTEXTS = st.dictionaries(st.integers(4, 20), st.integers(1, 4), min_size=1, max_size=4)


def test_sequences_of_a_step_are_counted_by_length():
    phase = Decode(kind="decode", context=(7, 3, 7))
    (step,) = steps_of(phase)
    assert step.parts[0].contexts == ((3, 1), (7, 2))
    assert (step.tokens, step.batch, step.context) == (3, 3, 7)


@given(
    contexts=CONTEXTS,
    later=st.integers(0, 5),
    window=st.one_of(st.none(), st.integers(1, 25)),
)
def test_a_cache_has_room_for_what_is_seen_now_and_later(contexts, later, window):
    s = Sequences(1, tuple(sorted(contexts.items())), later=later).within(window)
    assert s.read <= s.visible <= s.room
    assert s.attended == sum(min(c, window or c) * n for c, n in contexts.items())
    assert s.room <= s.visible + later * s.batch


@given(contexts=CONTEXTS, prefix=st.integers(1, 3), kept=st.sampled_from(["0.1", "0.5", "1"]))
def test_of_a_group_with_one_prefix_all_but_one_spare_it(contexts, prefix, kept):
    lengths = tuple(sorted((length, 2 * n) for length, n in contexts.items()))
    s = Sequences(1, lengths, prefix=prefix, sharers=2)
    assert s.attended - s.read == s.batch // 2 * prefix == s.spared
    assert s.room == s.visible == s.read
    assert not s.even
    some = Sequences(1, lengths, kept=Fraction(kept))
    assert some.attended >= Fraction(kept) * some.visible
    assert some.attended < Fraction(kept) * some.visible + some.batch


def test_a_window_that_will_cut_a_context_shares_nothing_from_the_first_step():
    s = Sequences(1, ((8, 4),), later=2, prefix=3, sharers=4)
    assert s.within(10).prefix == 3
    assert s.within(9).prefix == 0
