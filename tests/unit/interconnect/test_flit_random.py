"""Do the flit simulator's random numbers follow their sources?"""

from __future__ import annotations

from statistics import fmean

import pytest

from archsim.interconnect import flit_fields as f
from archsim.interconnect.flit_random import below, gap, replayed
from archsim.interconnect.replay_rng import started


def numbers(seed: int, count: int, *, fractions: bool) -> list[int]:
    ring = started(seed, fractions=fractions)
    mask = (1 << (52 if fractions else 30)) - 1
    return [replayed(ring, mask) for _ in range(count)]


def test_the_integers_of_seed_1_are_those_of_the_reference() -> None:
    found = numbers(1, 101, fractions=False)
    assert (found[0], found[100]) == (301026822, 1017266016)


def test_the_fractions_of_seed_1_are_those_of_the_reference() -> None:
    found = [n / 2**52 for n in numbers(1, 101, fractions=True)]
    assert found[0] == pytest.approx(0.3612452221, abs=1e-10)
    assert found[100] == pytest.approx(0.5378418232, abs=1e-10)


def test_seeds_give_other_numbers() -> None:
    assert numbers(1, 5, fractions=False) != numbers(2, 5, fractions=False)


def test_the_own_generator_fills_its_range_evenly() -> None:
    state, config = [12345], [0] * f.CONFIG
    found = [below(10, config, state) for _ in range(20_000)]
    assert set(found) == set(range(10))
    assert all(abs(found.count(n) - 2000) < 200 for n in range(10))


@pytest.mark.parametrize("chance", [0.01, 0.3, 0.9])
def test_gaps_are_geometric(chance: float) -> None:
    from math import log

    state = [99]
    found = [gap(state, [1 / log(1 - chance)]) for _ in range(20_000)]
    assert fmean(found) == pytest.approx((1 - chance) / chance, rel=0.05)
    assert found.count(0) / len(found) == pytest.approx(chance, rel=0.1)
