"""Does the instruction that finds the lowest bit say what its plain text says?"""

from __future__ import annotations

import numpy as np

from archsim.interconnect.flit_bits import lowest, machine


def test_the_lowest_bit_of_every_word_of_one_or_two_bits() -> None:
    for low in range(64):
        for high in range(low, 64):
            assert lowest(1 << low | 1 << high) == low


def test_the_instruction_agrees_for_all_64_bits_and_indices_are_unsigned() -> None:
    from numba import njit

    inside = machine()
    count, index = inside["lowest"], inside["index"]
    found = njit(lambda words: [count(words[index(i)]) for i in range(len(words))])
    masks = [1 << low | 1 << high for low in range(64) for high in range(low, 64)]
    words = np.array(masks, dtype=np.uint64).view(np.int64)
    assert found(words) == [lowest(mask) for mask in masks]
