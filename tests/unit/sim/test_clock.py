"""Are cycles and picoseconds exchanged exactly?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsim.sim.clock import Clock


@pytest.mark.parametrize(
    ("hz", "cycles", "ps"),
    [(10**9, 3, 3000), (940_000_000, 1, 1064), (940_000_000, 94, 100_000), (3 * 10**9, 1, 333)],
)
def test_a_duration_is_rounded_once_from_whole_cycles(hz, cycles, ps):
    assert Clock(hz).ps(cycles) == ps


@given(st.integers(1, 10**12), st.integers(0, 10**15))
def test_cycles_survive_the_way_to_picoseconds_and_back(hz, cycles):
    clock = Clock(hz)
    assert clock.cycles(clock.ps(cycles)) == cycles
