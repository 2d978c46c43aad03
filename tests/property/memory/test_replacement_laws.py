"""Does any sequence keep the laws: nothing lost, never too full, and nobody better than belady?"""

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.memory.replacement import most_used, replay

POLICIES = ["pinned", "lru", "lfu", "belady"]
ITEMS = "abcde"
steps_of = st.lists(st.lists(st.sampled_from(ITEMS), unique=True, max_size=4), max_size=7)


def fewest(steps, capacity, start):
    """Fewest misses of any policy: after each step, all choices of what to keep are tried."""
    best = {frozenset(start): 0}
    for step in steps:
        after = {}
        for held, misses in best.items():
            total = misses + len(set(step) - held)
            there = held | set(step)
            for n in range(min(capacity, len(there)) + 1):
                for kept in combinations(sorted(there), n):
                    key = frozenset(kept)
                    after[key] = min(after.get(key, total), total)
        best = after
    return min(best.values())


@settings(max_examples=60, deadline=None)
@given(steps_of, st.integers(0, 4))
def test_belady_fetches_as_little_as_the_best_of_all_choices(steps, capacity):
    start = most_used(steps, capacity)
    found = replay(steps, capacity, "belady")
    assert sum(map(len, found.misses)) == fewest(steps, capacity, start)


@settings(max_examples=100, deadline=None)
@given(steps_of, st.integers(0, 4), st.sampled_from(POLICIES))
def test_no_policy_fetches_less_than_belady(steps, capacity, policy):
    least = replay(steps, capacity, "belady").miss_bytes
    assert replay(steps, capacity, policy).miss_bytes >= least


@settings(max_examples=100, deadline=None)
@given(
    steps_of,
    st.integers(0, 20),
    st.sampled_from(POLICIES),
    st.fixed_dictionaries({item: st.integers(1, 9) for item in ITEMS}),
)
def test_every_access_is_a_hit_or_a_miss_and_what_is_held_fits(steps, capacity, policy, sizes):
    found = replay(steps, capacity, policy, sizes=sizes)
    assert found.hit_bytes + found.miss_bytes == sum(sizes[i] for step in steps for i in step)
    assert found.peak_bytes <= capacity
    before = frozenset(most_used(steps, capacity, sizes))
    for t, step in enumerate(steps):
        hits, misses = set(found.hits[t]), set(found.misses[t])
        assert hits == before & set(step)
        assert misses == set(step) - before
        assert set(found.evictions[t]) <= before | misses
        assert found.held[t] <= before | misses
        assert before - found.held[t] <= set(found.evictions[t])
        assert sum(sizes[i] for i in found.held[t]) <= capacity
        before = found.held[t]
