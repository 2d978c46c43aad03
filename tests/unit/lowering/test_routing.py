"""Does a draw route every token, and do its distinct experts come out as the closed form says?"""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsim.lowering import routing as module
from archsim.lowering.routing import (
    Routing,
    chosen_shares,
    expected_distinct,
    tokens_per_expert,
)

UNIFORM = Routing()
DRAWS = {"uniform": {}, "zipf": {"exponent": 1.2}}


def draw(kind, seed=0):
    return Routing(kind=kind, seed=seed, **DRAWS[kind])


@given(
    experts=st.integers(1, 40),
    share=st.floats(0, 1),
    tokens=st.integers(1, 60),
    kind=st.sampled_from(sorted(DRAWS)),
    seed=st.integers(0, 9),
)
def test_every_token_goes_to_top_k_distinct_experts(experts, share, tokens, kind, seed):
    top_k = max(1, round(share * experts))
    counts = tokens_per_expert(draw(kind, seed), experts, top_k, tokens)
    assert len(counts) == experts
    assert counts.sum() == tokens * top_k
    assert counts.max() <= tokens
    assert (np.diff(counts) <= 0).all()


def test_a_seed_says_all_of_a_draw():
    first, again, other = (tokens_per_expert(Routing(seed=s), 64, 2, 50) for s in (3, 3, 4))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


def test_layers_are_alike_unless_each_is_drawn():
    layers = [tokens_per_expert(UNIFORM, 64, 2, 50, layer).tolist() for layer in range(3)]
    assert layers[0] == layers[1] == layers[2]
    each = Routing(per_layer=True)
    drawn = [tokens_per_expert(each, 64, 2, 50, layer).tolist() for layer in range(3)]
    assert drawn[0] != drawn[1] != drawn[2]
    assert drawn[0] == layers[0]


def test_a_draw_in_pieces_is_the_same_draw(monkeypatch):
    whole = tokens_per_expert(draw("zipf"), 16, 3, 100)
    monkeypatch.setattr(module, "CHUNK", 16 * 7)
    assert tokens_per_expert(draw("zipf"), 16, 3, 100).tolist() == whole.tolist()


def test_popular_experts_get_more_with_a_larger_exponent():
    top = [
        tokens_per_expert(Routing(kind="zipf", exponent=power), 64, 2, 4096)[0]
        for power in (0.0, 0.5, 1.0, 2.0)
    ]
    assert top == sorted(top)
    assert top[0] < 4096 * 2 / 64 * 1.5
    assert top[-1] > 4096 * 0.8


@pytest.mark.parametrize("kind", sorted(DRAWS))
@pytest.mark.parametrize(
    ("experts", "top_k", "tokens"), [(8, 2, 1), (8, 2, 4), (64, 2, 32), (64, 8, 16), (128, 4, 100)]
)
def test_the_mean_over_seeds_is_the_expectation(kind, experts, top_k, tokens):
    found = [
        np.count_nonzero(tokens_per_expert(draw(kind, seed), experts, top_k, tokens))
        for seed in range(200)
    ]
    expected = expected_distinct(experts, top_k, tokens, draw(kind))
    assert abs(np.mean(found) - expected) <= 3 * np.std(found) / 200**0.5 + 1e-9


def test_the_uniform_expectation_is_the_textbook_one():
    assert expected_distinct(8, 2, 1) == pytest.approx(2, rel=1e-12)
    assert expected_distinct(256, 8, 32) == pytest.approx(256 * (1 - (1 - 8 / 256) ** 32))
    assert expected_distinct(4, 4, 1) == pytest.approx(4)


def walked(weights, top_k):
    """Shares by every order of draws without replacement."""
    shares = np.zeros(len(weights))
    for order in permutations(range(len(weights)), top_k):
        left, chance = sum(weights), 1.0
        for item in order:
            chance *= weights[item] / left
            left -= weights[item]
        shares[list(order)] += chance
    return shares


@given(
    weights=st.lists(st.floats(0.01, 10), min_size=2, max_size=5),
    top_k=st.integers(1, 5),
)
def test_the_integral_is_the_walk_over_all_orders(weights, top_k):
    top_k = min(top_k, len(weights))
    found = chosen_shares(np.array(weights), top_k)
    assert found == pytest.approx(walked(weights, top_k), abs=1e-6)
    assert found.sum() == pytest.approx(top_k, abs=1e-6)


def test_each_step_is_a_draw_of_its_own():
    steps = [tokens_per_expert(UNIFORM, 64, 2, 50, step=step).tolist() for step in (1, 2, 3)]
    assert steps[0] != steps[1] != steps[2] != steps[0]
    assert steps[0] == tokens_per_expert(UNIFORM, 64, 2, 50).tolist()
