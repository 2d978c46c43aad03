"""Does the table price what is named, refuse what is not, and say who said so?"""

from itertools import pairwise

import pytest

from archsim.core.errors import InputError
from archsim.energy.scaling import AREA, ENERGY, area_factor, energy_factor
from archsim.energy.sram import macro
from archsim.energy.table import load_table, table_names

NAMES = table_names()


@pytest.mark.parametrize("name", NAMES)
def test_every_row_is_positive_and_says_where_it_comes_from(name):
    table = load_table(name)
    for row in (*table.rows.values(), *table.areas.values(), *table.leakages.values()):
        assert row.source
        assert row.accuracy in ("read from code", "exact from text", "derived", "assumed")
    assert all(row.pj > 0 for row in table.rows.values())
    assert all(row.mm2 > 0 for row in table.areas.values())


def test_an_unknown_action_is_refused_with_the_closest_one():
    with pytest.raises(InputError) as error:
        load_table("7nm").of("mac", "bf61")
    assert error.value.render() == (
        "error[E108]: table 7nm has no energy row for mac.bf61\n"
        '      = help: did you mean "mac.bf16"?'
    )


def test_an_unknown_table_is_refused_with_the_closest_one():
    with pytest.raises(InputError, match="energy table '7mm' is not one of") as error:
        load_table("7mm")
    assert error.value.help == 'did you mean "7nm"?'


def test_a_mac_is_a_multiply_and_an_add():
    assert load_table("45nm").of("mac", "int8").pj == pytest.approx(0.2 + 0.03)
    assert load_table("45nm").of("mac", "fp32").pj == pytest.approx(3.7 + 0.9)
    assert load_table("7nm").of("mac", "bf16").pj == pytest.approx(0.21 + 0.11)


def test_dram_rows_are_pj_per_bit_times_eight():
    assert load_table("7nm").of("dram.hbm2", "read").pj == pytest.approx(3.9 * 8)


@pytest.mark.parametrize("factor", [energy_factor, area_factor])
def test_scaling_is_a_ratio_that_composes_and_undoes_itself(factor):
    assert factor(45, 45) == 1
    assert factor(45, 7) * factor(7, 45) == pytest.approx(1)
    assert factor(65, 32) * factor(32, 7) == pytest.approx(factor(65, 7))


def test_scaling_gives_the_published_factors_and_lies_between_them():
    assert energy_factor(45, 7) == pytest.approx(ENERGY[7])
    assert area_factor(45, 7) == pytest.approx(AREA[7])
    assert ENERGY[7] < energy_factor(45, 8) < ENERGY[10]
    assert energy_factor(45, 3) == energy_factor(45, 7)


def test_a_macro_is_exact_at_a_tabulated_size_and_monotone_between():
    # CACTI 7, 45 nm, 64-bit port, rows of the shipped table
    sizes = [1 << n for n in range(10, 25)]
    reads = [macro(size, 64, 45) for size in sizes]
    for small, large in pairwise(reads):
        assert small.area_mm2 < large.area_mm2
        assert small.leakage_w < large.leakage_w
    between = macro(48 * 1024, 64, 45)
    assert macro(16 * 1024, 64, 45).read_pj < between.read_pj < macro(64 * 1024, 64, 45).read_pj


def test_banks_share_the_capacity_and_add_their_areas():
    table = load_table("45nm")
    one, four = table.sram(1 << 20, 64, 1), table.sram(1 << 20, 64, 4)
    assert four.area_mm2 == pytest.approx(4 * macro((1 << 20) / 4, 64, 45).area_mm2)
    assert four.read.pj < one.read.pj
