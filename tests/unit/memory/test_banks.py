"""Do rows, columns, windows and transposed reads meet in the banks as drawn by hand?"""

import pytest

from archsim.memory.banks import SWEPT, Access, Banks, cycles, requests, sweep

WORD = 32
FOUR = Banks(4, WORD, WORD)


def strided(words, lanes, element=WORD, first=0):
    return Access(((0, words * WORD),), lanes, element, first=first)


def test_a_row_of_words_takes_every_bank_in_turn():
    assert requests(FOUR, strided(1, 4)).tolist() == [1, 1, 1, 1]
    assert cycles(FOUR, strided(1, 4)) == 1
    assert cycles(FOUR, strided(1, 9)) == 3


def test_lanes_that_share_a_word_share_its_reading():
    bytes_of_a_row = Access(((0, 8),), 16, 8)
    assert requests(FOUR, bytes_of_a_row).tolist() == [1, 1, 1, 1]
    assert cycles(FOUR, Access(((0, 0),), 16, 8)) == 1


def test_an_element_across_two_words_asks_for_both():
    assert requests(FOUR, Access(((0, 0),), 1, 16, base_bits=24)).tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("pitch_words", "expected"),
    [(4, 8), (8, 8), (2, 4), (6, 4), (1, 2), (3, 2), (5, 2)],
)
def test_a_column_takes_the_lanes_over_the_banks_that_its_pitch_visits(pitch_words, expected):
    assert cycles(FOUR, strided(pitch_words, 8)) == expected


def test_a_column_of_a_padded_matrix_is_free_of_conflicts():
    narrow, padded = (cycles(FOUR, strided(pitch, 4)) for pitch in (8, 9))
    assert (narrow, padded) == (4, 1)


def test_ports_serve_as_many_words_of_a_bank_at_once():
    assert cycles(Banks(4, WORD, WORD, ports=2), strided(4, 8)) == 4
    assert cycles(Banks(4, WORD, WORD, ports=8), strided(4, 8)) == 1


def test_a_coarse_interleave_keeps_a_short_row_in_one_bank():
    assert requests(Banks(4, WORD, 4 * WORD), strided(1, 6)).tolist() == [4, 2, 0, 0]


def test_an_xor_spreads_the_column_that_a_plain_interleave_piles_up():
    assert cycles(FOUR, strided(4, 4)) == 4
    swizzled = Banks(4, WORD, WORD, xor=True)
    assert requests(swizzled, strided(4, 4)).tolist() == [1, 1, 1, 1]
    # four rows on, the same banks recur
    assert requests(swizzled, strided(16, 4)).tolist() == [4, 0, 0, 0]


def test_an_im2col_window_reads_its_taps_row_by_row():
    # 3 x 3 taps of words on an image 4 words wide: rows begin in the same bank
    window = Access(((3, WORD), (0, 4 * WORD)), 9, WORD)
    assert window.addresses().tolist() == [WORD * x for x in (0, 1, 2, 4, 5, 6, 8, 9, 10)]
    assert requests(FOUR, window).tolist() == [3, 3, 3, 0]
    # on one 5 wide they do not
    assert requests(FOUR, Access(((3, WORD), (0, 5 * WORD)), 9, WORD)).tolist() == [2, 2, 3, 2]


def test_a_window_that_lanes_cut_short_goes_on_where_they_stopped():
    window = Access(((3, WORD), (0, 4 * WORD)), 4, WORD, first=5)
    assert window.addresses().tolist() == [WORD * x for x in (6, 8, 9, 10)]


def test_reading_a_matrix_against_its_rows_costs_what_its_pitch_costs():
    # 8 x 8 words by row: 8 lanes at a time, each a row of two turns of the banks
    row = sweep(FOUR, strided(1, 8), ((0, 8 * WORD),), 8)
    column = sweep(FOUR, strided(8, 8), ((0, WORD),), 8)
    assert (row.accesses, row.cycles, row.words, row.conflict_cycles) == (8, 16, 64, 0)
    assert (column.accesses, column.cycles, column.words, column.conflict_cycles) == (8, 64, 64, 48)


def test_narrow_elements_of_a_column_waste_the_rest_of_each_word():
    column = sweep(FOUR, Access(((0, 5 * WORD),), 4, 8), ((0, 8),), 4)
    assert (column.words, column.cycles, column.conflict_cycles) == (16, 4, 0)


def test_positions_taken_together_are_one_access():
    apart = sweep(FOUR, strided(1, 2), ((0, 2 * WORD),), 4)
    joined = sweep(FOUR, strided(1, 2), ((0, 2 * WORD),), 2, together=2)
    assert (apart.cycles, joined.cycles) == (4, 2)
    assert apart.words == joined.words == 8


def test_a_stream_longer_than_what_is_counted_repeats_the_mean():
    banks = Banks(64, 512, 512)
    window = Access(((3, 8), (0, 1000)), 9, 8)
    stream = ((100, 8), (0, 8192))
    one, four = (sweep(banks, window, stream, n * SWEPT) for n in (1, 4))
    assert four.cycles == 4 * one.cycles
