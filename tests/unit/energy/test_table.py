"""Does the table price what is named, refuse what is not, and say who said so?"""

import pytest

from archsim.core.errors import InputError
from archsim.energy.sram import macro
from archsim.energy.table import load_table, table_names

NAMES = table_names()


@pytest.mark.parametrize("name", NAMES)
def test_every_row_is_positive_and_says_where_it_comes_from(name):
    table = load_table(name)
    for row in (*table.rows.values(), *table.areas.values(), *table.leakages.values()):
        assert row.source
        assert row.accuracy in ("read from code", "exact from text", "derived", "assumed")
    # what a published model charges nothing for says so
    free = "FuseMax artifact: "
    assert all(row.pj > 0 or row.source.startswith(free) for row in table.rows.values())
    assert all(row.mm2 > 0 for row in table.areas.values())


@pytest.mark.parametrize(
    ("what", "pair", "message", "help_"),
    [
        ("of", ("mac", "bf61"), "no energy row for mac.bf61", 'did you mean "mac.bf16"?'),
        ("of", ("dram.hbm5", "read"), "no energy row for dram.hbm5.read",
         'did you mean "dram.hbm4.read"?'),
        ("area", ("mac", "cel"), "no area row for mac.cel", 'did you mean "mac.cell"?'),
        ("area", ("pll", "one"), "no area row for pll.one",
         "rows: crossbar.point, dram.pim.byte, dram.pim.mac, dram.pim.tsv, lut.entry, "
         "lut.lookup, mac.cell, mac.fp32, mac.fp4, mac.fp8, "
         "mac.fp8_e4m3, mac.fp8_e5m2, mac.int16, mac.int2, mac.int3, mac.int32, mac.int4, "
         "mac.int8, mac.mxfp4, mac.mxfp6, mac.mxfp8, mac.nvfp4, mac.ternary, mac.tf32, "
         "pe.bit_serial, phy.board, phy.cable, phy.package, register.byte, router.port, "
         "vector.add, vector.div, vector.exp, vector.gather, vector.lane, vector.max, vector.mul, "
         "vector.rsqrt"),
        ("leakage", ("logic", "mm3"), "no leakage row for logic.mm3", 'did you mean "logic.mm2"?'),
        ("leakage", ("pll", "one"), "no leakage row for pll.one", "rows: logic.mm2"),
    ],
)  # fmt: skip
def test_a_pair_without_a_row_is_refused_with_the_closest_one(what, pair, message, help_):
    with pytest.raises(InputError) as error:
        getattr(load_table("7nm"), what)(*pair)
    assert error.value.render() == (f"error[E108]: table 7nm has {message}\n      = help: {help_}")


@pytest.mark.parametrize(
    ("name", "help_"), [("7mm", '\n      = help: did you mean "7nm"?'), ("tsmc", "")]
)
def test_an_unknown_table_is_refused_with_the_closest_one(name, help_):
    with pytest.raises(InputError) as error:
        load_table(name)
    assert error.value.render() == (
        f"error[E108]: energy table {name!r} is not one of 45nm, 7nm, fusemax{help_}"
    )


@pytest.mark.parametrize(
    ("name", "dtype", "multiply_pj", "add_pj"),
    [
        ("45nm", "int8", 0.2, 0.03),  # Horowitz, ISSCC 2014
        ("45nm", "fp16", 1.1, 0.4),
        ("45nm", "fp32", 3.7, 0.9),
        ("7nm", "int8", 0.07, 0.007),  # Jouppi et al., ISCA 2021
        ("7nm", "bf16", 0.21, 0.11),
        ("7nm", "fp16", 0.34, 0.16),
        ("7nm", "fp32", 1.31, 0.38),
    ],
)
def test_a_mac_is_a_multiply_and_an_add(name, dtype, multiply_pj, add_pj):
    assert load_table(name).of("mac", dtype).pj == pytest.approx(multiply_pj + add_pj)


@pytest.mark.parametrize("name", [n for n in NAMES if ("mac", "fp32") in load_table(n).rows])
def test_vector_rows_are_made_of_those_of_fp32(name):
    table = load_table(name)
    add, mul = (table.of("vector", p).pj for p in ("add", "mul"))
    assert table.of("mac", "fp32").pj == pytest.approx(mul + add)
    assert table.of("vector", "exp").pj == pytest.approx(6 * (mul + add) + add)  # FuseMax
    assert table.of("vector", "div").pj == pytest.approx((mul + add) * 36.25 / 17.16, rel=1e-5)
    assert table.of("vector", "rsqrt").pj == table.of("vector", "div").pj


def test_dram_rows_are_pj_per_bit_times_eight():
    assert load_table("7nm").of("dram.hbm2", "read").pj == pytest.approx(3.9 * 8)


def test_banks_share_the_capacity_and_add_their_areas():
    table = load_table("45nm")
    one, four = table.sram(1 << 20, 64, 1), table.sram(1 << 20, 64, 4)
    assert four.area_mm2 == pytest.approx(4 * macro((1 << 20) / 4, 64, 45).area_mm2)
    assert four.read.pj < one.read.pj


@pytest.mark.parametrize("banks", [1, 2, 8, 64])
def test_a_byte_of_a_bank_costs_its_share_of_an_access(banks):
    one = macro((1 << 20) / banks, 128, 45)
    rows = load_table("45nm").sram(1 << 20, 128, banks)
    assert rows.read.pj == pytest.approx(one.read_pj / 16)
    assert rows.write.pj == pytest.approx(one.write_pj / 16)
    assert rows.leakage_w == pytest.approx(one.leakage_w * banks)
    assert (rows.read.source, rows.read.accuracy) == (one.source, "derived")
