"""Do laws of a composition hold for any requests: time has owners, memory is never overfull?"""

from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.serving.requests import Visit, visits
from archsim.serving.residency import Room, Turn, turns
from archsim.serving.result import Served, machines
from archsim.serving.simulate import Passes, Span, clocked
from archsim.serving.times import NOTHING


@dataclass(frozen=True)
class Case:
    """A composition in miniature."""

    visits: tuple[Visit, ...]
    room: Room
    passes: Passes
    policy: str
    start: str

    def found(self) -> tuple[Turn, ...]:
        return turns(self.visits, self.room, self.policy, self.start)

    def spans(self, prefetch: int) -> tuple[Span, ...]:
        return clocked(self.visits, self.found(), self.passes, prefetch)


@st.composite
def cases(draw):
    sizes = tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=6)))
    choices = tuple(draw(st.lists(st.integers(0, len(sizes) - 1), min_size=1, max_size=30)))
    order = visits(choices, draw(st.integers(1, 5)), draw(st.sampled_from(("arrival", "grouped"))))
    policy = draw(st.sampled_from(("lru", "lfu", "pinned", "belady")))
    landing = max(sizes) if policy in ("pinned", "belady") else 0
    capacity = max(sizes) + draw(st.integers(0, 30))
    room = Room("hbm", capacity, 0, 0, landing, "ddr", 1000, sizes)
    time = st.integers(0, 50)
    keys = [(e, n) for e in range(len(sizes)) for n in range(1, 6)]
    passes = Passes(
        {n: draw(time) for n in range(1, 6)}, {key: draw(time) for key in keys},
        {key: draw(time) for key in keys}, {e: draw(time) for e in range(len(sizes))},
    )  # fmt: skip
    return Case(order, room, passes, policy, draw(st.sampled_from(("warm", "cold"))))


@given(cases(), st.integers(0, 4))
@settings(max_examples=150, deadline=None)
def test_every_moment_has_one_owner(case, prefetch):
    spans = case.spans(prefetch)
    served = Served(
        case.visits, case.found(), spans, dict.fromkeys(range(6), NOTHING), {}, {}, {}, 0.0, 1
    )
    assert sum(served.parts_ps().values()) == served.time_ps
    ended = [0, *(span.ended_ps for span in spans)]
    assert all(s.ready_ps in (s.named_ps, end) for s, end in zip(spans, ended, strict=False))
    for span in spans:
        assert span.asked_ps <= span.named_ps <= span.ready_ps <= span.began_ps
        assert span.began_ps <= span.first_ps <= span.ended_ps


@given(cases(), st.integers(0, 4))
@settings(max_examples=150, deadline=None)
def test_copies_come_one_at_a_time_and_before_their_turn(case, prefetch):
    spans = case.spans(prefetch)
    copies = [span.copy_ps for span in spans if span.copy_ps]
    assert all(first[1] <= then[0] for first, then in pairwise(copies))
    assert all(s.named_ps <= s.copy_ps[0] <= s.copy_ps[1] <= s.began_ps for s in spans if s.copy_ps)


@given(cases(), st.integers(0, 4))
@settings(max_examples=150, deadline=None)
def test_memory_is_never_overfull(case, prefetch):
    room, found, spans = case.room, case.found(), case.spans(prefetch)
    if room.holds_all:
        return
    first = turns(case.visits, room, case.policy, case.start)
    assert found == first  # of a policy there is one outcome
    names = range(len(room.expert_bytes))
    held = {e: 0 for e in names if _there_at_first(case.visits, found, e)}
    intervals = []  # bytes, from when, until when
    for visit, turn, span in zip(case.visits, found, spans, strict=True):
        size = room.expert_bytes[visit.expert]
        for victim in turn.victims:
            begun = held.pop(victim, 0)
            intervals.append((room.expert_bytes[victim], begun, span.copy_ps[0]))
        if not turn.hit and turn.stays:
            held[visit.expert] = span.copy_ps[0]
        elif not turn.hit:
            intervals.append((size, span.copy_ps[0], span.ended_ps))
    intervals += [(room.expert_bytes[e], begun, spans[-1].ended_ps) for e, begun in held.items()]
    for moment in {begun for _, begun, _ in intervals}:
        assert sum(n for n, a, b in intervals if a <= moment < b) <= room.capacity_bytes


def _there_at_first(order, found, expert):
    """Whether what is heard of an expert first is that it was there."""
    for visit, turn in zip(order, found, strict=True):
        if expert in turn.victims:
            return True
        if visit.expert == expert:
            return turn.hit
    return False


@given(cases())
@settings(max_examples=100, deadline=None)
def test_copies_further_ahead_never_make_a_run_longer(case):
    ends = [case.spans(ahead)[-1].ended_ps for ahead in (0, 1, 2, 4, 8)]
    assert ends == sorted(ends, reverse=True)


@given(cases(), st.integers(0, 4))
@settings(max_examples=100, deadline=None)
def test_a_run_is_no_shorter_than_its_passes_or_its_copies(case, prefetch):
    spans = case.spans(prefetch)
    passes = sum(s.ended_ps - s.began_ps for s in spans)
    copies = sum(s.copy_ps[1] - s.copy_ps[0] for s in spans if s.copy_ps)
    assert spans[-1].ended_ps >= max(passes, copies)


@given(cases())
@settings(max_examples=60, deadline=None)
def test_with_all_experts_there_nothing_is_copied(case):
    roomy = Room("hbm", case.room.all_bytes, 0, 0, 0, None, 0, case.room.expert_bytes)
    found = turns(case.visits, roomy, case.policy, case.start)
    assert all(turn.hit for turn in found)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=40), st.integers(20, 60))
@settings(max_examples=80, deadline=None)
def test_machines_hold_all_and_are_at_most_what_halves_need(sizes, capacity):
    count = machines(sizes, capacity)
    assert -(-sum(sizes) // capacity) <= count
    assert (count - 1) * capacity < 2 * sum(sizes)  # all but one are more than half full
