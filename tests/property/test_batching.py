"""Do laws of a closed loop hold for any requests: no token is lost, no place is empty?"""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.serving.batching_lengths import Fixed, Normal, Traced, Uniform
from archsim.serving.closed_loop import Loop, Sums, scattered, spread
from archsim.serving.closed_loop_metrics import metrics, standard_errors, weights_of
from archsim.serving.stages import Taken
from archsim.serving.stages_fit import fitted, to_simulate

TOKENS = st.integers(1, 40)
ENDS = st.tuples(TOKENS, TOKENS).map(lambda pair: tuple(sorted(pair)))
LENGTHS = st.one_of(
    st.builds(Fixed, kind=st.just("fixed"), prompt_tokens=TOKENS, output_tokens=TOKENS),
    st.builds(Normal, kind=st.just("normal"), prompt_tokens=TOKENS, output_tokens=TOKENS),
    st.builds(Uniform, kind=st.just("uniform"), prompt_tokens=ENDS, output_tokens=ENDS),
    st.builds(
        Traced,
        kind=st.just("trace"),
        requests=st.lists(st.tuples(TOKENS, TOKENS), min_size=1, max_size=5).map(tuple),
    ),
)
LOOPS = st.builds(
    Loop, LENGTHS, st.integers(1, 12), st.integers(0, 99),
    st.sampled_from(("drawn", "even", "together")),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(LOOPS, st.integers(1, 90))
def test_every_token_belongs_to_a_request_and_every_request_has_its_stages(loop, count):
    sums = list(loop.sums(count))
    stages = [loop.stage(number) for number in range(count)]
    assert sums == [Sums(s.number, s.decoding, s.attended, s.prompts) for s in stages]
    requests = loop.requests
    assert all(stage.requests == loop.batch for stage in stages)
    assert sum(r.tokens for r in requests) == count * loop.batch
    for r in requests:
        assert r.before == 0 or r.first == 0
        assert 0 <= r.before < r.length.output
        assert 1 <= r.tokens <= r.length.output - r.before
        assert r.done == (r.stages == r.length.output)
        assert r.done or r.first + r.tokens == count  # at work until the end
    fresh = [r for r in requests if r.before == 0]
    assert sum(len(s.prompts) for s in stages) == len(fresh)
    assert sum(sum(s.prompts) for s in stages) == sum(r.length.prompt for r in fresh)
    attended = sum(r.length.prompt + at for r in requests for at in range(r.before, r.stages) if at)
    assert sum(sum(s.contexts) for s in stages) == attended


@settings(max_examples=40, deadline=None)
@given(LOOPS, st.integers(1, 80), st.integers(2, 60))
def test_a_sample_stands_for_every_stage_and_a_fit_takes_what_is_linear(loop, count, some):
    stages = list(loop.stages(count))
    took = [Taken(1e6 + 300 * sum(s.contexts) + 7e5 * len(s.prompts), 1.0, {}) for s in stages]
    places = to_simulate(stages, some)
    pairs = [(stages[at], took[at]) for at in places]
    weights = weights_of(pairs, stages)
    assert abs(sum(weights) - count) < 1e-6
    found = metrics(pairs, weights)
    assert found["throughput"]["output_tok_per_s"] > 0
    if len(places) == count:
        assert found["stage_s"]["mean"] * count * 1e12 - sum(t.ps for t in took) < 1
        errors = standard_errors(pairs, stages, 0)
        assert max(errors["stage_s"].values()) < 1e-15
    filled, held = fitted(stages, {at: took[at] for at in places})
    assert set(filled) == set(range(count))
    if held and all(len(s.prompts) < 3 for s in stages):
        assert held.stages >= 2


@given(st.integers(1, 300), st.integers(1, 400))
def test_what_is_spread_is_distinct_and_what_is_scattered_is_all_there(count, some):
    found = spread(count, some)
    assert len(set(found)) == len(found) == min(some, count)
    assert all(0 <= at < count for at in found)
    assert sorted(scattered(found)) == list(found)
    gaps = [b - a for a, b in pairwise(found)]
    assert not gaps or max(gaps) - min(gaps) <= 1
