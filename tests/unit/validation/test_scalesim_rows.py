"""Does a row of the SCALE-Sim table become the machine and layer that it names?"""

import pytest

from archsim.core.errors import Unsupported
from archsim.validation.adapters.scalesim import ScaleSim
from archsim.validation.suite import HERE, read_table

ROWS = read_table(HERE / "tables" / "scalesim_reference.csv")
PREDICTED = (
    "folds", "compute_cycles", "mapping_eff_pct", "sram_ifmap_reads", "sram_filter_reads",
    "sram_ofmap_writes", "dram_ifmap_reads", "dram_filter_reads",
)  # fmt: skip
CONV = next(row for row in ROWS if row["filt_h"] and row["bw_mode"] == "CALC")
USER = next(row for row in ROWS if row["bw_mode"] == "USER")


@pytest.mark.parametrize("row", [CONV, USER], ids=["conv", "gemm"])
def test_nothing_is_read_but_the_columns_it_says_it_needs(row):
    adapter = ScaleSim()
    needed = {name: row[name] for name in adapter.NEEDS}
    assert not set(PREDICTED) & set(needed)
    assert adapter.run(needed) == adapter.run(row)
    for metric in PREDICTED:
        assert adapter.gates(metric, needed) == adapter.gates(metric, row)


def test_whole_numbers_may_be_printed_as_a_table_with_gaps_prints_them():
    adapter = ScaleSim()
    loose = {k: f"{v}.0" if k in adapter.NEEDS and v.isdigit() else v for k, v in CONV.items()}
    assert loose["filt_h"].endswith(".0")
    assert adapter.run(loose) == adapter.run(CONV)


@pytest.mark.parametrize(
    ("column", "text", "wanted"),
    [
        ("M", "2.5", "a whole number"),
        ("M", "", "a number above 0"),
        ("K", "0", "a number above 0"),
        ("rows", "-8", "a number above 0"),
        ("cols", "inf", "a number above 0"),
        ("N", "many", "a number above 0"),
        ("user_bw_words_per_cycle", "nan", "a number above 0"),
        ("dataflow", "rs", "one of os, ws, is"),
        ("bw_mode", "calc", "one of CALC, USER"),
    ],
)
def test_a_value_that_makes_no_machine_or_layer_is_refused_by_its_column(column, text, wanted):
    with pytest.raises(Unsupported) as error:
        ScaleSim().run({**USER, column: text})
    assert error.value.message == f'column {column} expects {wanted}, got "{text}"'


def test_a_bandwidth_may_be_a_fraction_of_a_word_a_cycle():
    adapter = ScaleSim()
    assert adapter.run({**USER, "user_bw_words_per_cycle": "0.5"})["folds"] == float(USER["folds"])


def test_dram_reads_gate_where_nothing_can_be_fetched_twice():
    gate = ScaleSim().gates
    row = {**USER, "bw_mode": "CALC", "M": "64", "N": "64", "K": "64", "filt_h": "",
           "ifmap_sram_kb": "8", "filter_sram_kb": "8", "ofmap_sram_kb": "8"}  # fmt: skip
    assert gate("dram_ifmap_reads", row)  # 4096 B each: half of 8 KB to the byte
    assert not gate("dram_ifmap_reads", {**row, "M": "65"})
    assert not gate("dram_filter_reads", {**row, "bw_mode": "USER"})


def test_output_writes_gate_unless_idle_drain_slots_are_counted():
    gate = ScaleSim().gates
    assert not gate("sram_ofmap_writes", {**USER, "dataflow": "os"})
    assert gate("sram_ofmap_writes", {**USER, "dataflow": "ws"})
    assert gate("sram_ofmap_writes", {**USER, "dataflow": "is"})
