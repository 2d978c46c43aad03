"""When does each turn happen? Every case is a timing diagram in picoseconds."""

from archsim.serving.requests import Visit
from archsim.serving.residency import Turn
from archsim.serving.simulate import Passes, Span, clocked

HIT, MISS = Turn(True, True, ()), Turn(False, True, ())
PASSES = Passes(
    {1: 5, 2: 6},
    {(e, n): 10 * n for e in range(4) for n in (1, 2)},
    {(e, n): 100 * n for e in range(4) for n in (1, 2)},
    {e: 50 + e for e in range(4)},
)


def one(batch, expert, requests=1):
    return Visit(batch, expert, requests)


def test_an_expert_that_is_there_answers_when_the_router_has_read_the_prompt():
    assert clocked([one(0, 0)], [HIT], PASSES) == (Span(0, 5, 5, None, 5, 15, 115),)


def test_an_expert_that_is_away_is_copied_first():
    assert clocked([one(0, 1)], [MISS], PASSES) == (Span(0, 5, 5, (5, 56), 56, 66, 166),)


def test_turns_of_a_batch_follow_each_other_and_the_router_reads_all_at_once():
    found = clocked([one(0, 0), one(0, 1)], [HIT, MISS], PASSES)
    assert found[0] == Span(0, 6, 6, None, 6, 16, 116)
    assert found[1] == Span(0, 6, 116, (116, 167), 167, 177, 277)


def test_the_next_batch_is_there_when_the_last_answer_is():
    found = clocked([one(0, 0), one(1, 0, 2)], [HIT, HIT], PASSES)
    assert found[1] == Span(115, 121, 121, None, 121, 141, 341)


def test_a_copy_ahead_runs_beside_the_turn_before():
    found = clocked([one(0, 0), one(0, 1)], [HIT, MISS], PASSES, prefetch=1)
    assert found[1] == Span(0, 6, 116, (6, 57), 116, 126, 226)


def test_a_copy_ahead_waits_for_the_router_of_its_batch():
    found = clocked([one(0, 0), one(1, 1)], [HIT, MISS], PASSES, prefetch=8)
    assert found[1].copy_ps == (120, 171)


def test_copies_follow_each_other():
    found = clocked([one(0, 2), one(0, 1)], [MISS, MISS], PASSES, prefetch=8)
    assert [span.copy_ps for span in found] == [(6, 58), (58, 109)]


def test_a_copy_ahead_waits_for_the_last_turn_of_those_who_give_way():
    turns = [HIT, Turn(False, True, (0,))]
    found = clocked([one(0, 0), one(0, 1)], turns, PASSES, prefetch=8)
    assert found[1].copy_ps == (116, 167)


def test_experts_that_do_not_stay_land_one_after_the_other():
    turns = [Turn(False, False, ()), Turn(False, False, ())]
    found = clocked([one(0, 0), one(0, 1)], turns, PASSES, prefetch=8)
    assert found[0].copy_ps == (6, 56)
    assert found[1].copy_ps == (166, 217)
