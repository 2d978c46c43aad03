"""Does a row of the DRAM table become the controller, address map and trace that it names?"""

import pytest

from archsim.core.errors import InputError, Unsupported
from archsim.validation.adapters.dram import Dram, _controller
from archsim.validation.suite import HERE, read_table

ROWS = sorted(read_table(HERE / "tables" / "dram_reference.csv"), key=lambda r: int(r["ticks"]))
RAMULATOR = next(r for r in ROWS if r["sim"] == "Ramulator2.1" and r["standard"] == "DDR4")
DRAMSIM3 = next(r for r in ROWS if r["sim"] == "DRAMsim3" and r["standard"] == "DDR4")
CAPPED = next(r for r in ROWS if r["row_policy"] == "ClosedCAP4")
METRICS = {"ticks", "n_act", "n_ref", "avg_read_lat_ticks"}


@pytest.mark.parametrize("row", [RAMULATOR, DRAMSIM3], ids=lambda row: row["sim"])
def test_nothing_is_read_but_the_columns_it_says_it_needs(row):
    adapter = Dram()
    needed = {name: row[name] for name in adapter.NEEDS}
    assert not needed.keys() & {*METRICS, "total_pJ"}
    assert adapter.run(needed) == adapter.run(row)


def test_a_row_of_ramulator_has_no_energy():
    assert Dram().run(RAMULATOR).keys() == METRICS
    assert Dram().run(DRAMSIM3).keys() == METRICS | {"total_pJ"}


def test_options_become_those_of_our_controllers():
    capped = _controller(CAPPED, "unified")
    assert (capped.row_policy, capped.cap) == ("closed_after", 4)
    queued = _controller({**DRAMSIM3, "read_q": "16+cmdq4", "write_q": "24"}, "command_queues")
    assert (queued.read_queue, queued.write_queue, queued.command_queue) == (16, 24, 4)
    assert queued.refresh == "rank_staggered"


@pytest.mark.parametrize(
    ("row", "column", "text", "wanted"),
    [
        (RAMULATOR, "sim", "gem5", 'column sim expects one of Ramulator2.1, DRAMsim3, got "gem5"'),
        (RAMULATOR, "refresh", "RANK_LEVEL_STAGGERED",
         "column refresh expects one of AllBank, PerBank, HBM34PerBankRefresh, NoRefresh, got "
         '"RANK_LEVEL_STAGGERED"'),
        (RAMULATOR, "scheduler", "BLISS",
         'column scheduler expects one of FRFCFS, FRFCFS-RowHit, got "BLISS"'),
        (RAMULATOR, "row_policy", "Closed", 'column row_policy expects one of Open, got "Closed"'),
        (RAMULATOR, "N", "1e3", 'column N expects a whole number from 1, got "1e3"'),
        (RAMULATOR, "channels", "0", 'column channels expects a whole number from 1, got "0"'),
        (RAMULATOR, "mlp", "-1", 'column mlp expects a whole number from 0, got "-1"'),
        (RAMULATOR, "trace_checksum", "7",
         f"trace {RAMULATOR['trace']} has another checksum than the row says"),
        (RAMULATOR, "access_bytes", "32",
         "an access of DDR4_3200AA has 64 bytes, not 32"),
        (DRAMSIM3, "read_q", "32", 'column read_q expects such as 32+cmdq8, got "32"'),
    ],
)  # fmt: skip
def test_a_value_that_makes_no_run_is_refused_by_its_column(row, column, text, wanted):
    with pytest.raises(Unsupported) as error:
        Dram().run({**row, column: text})
    assert error.value.diagnostics[0].message == wanted


@pytest.mark.parametrize(
    ("column", "text"), [("timing_preset", "DDR4_9999"), ("addr_mapper", "RoBaRa"), ("trace", "x")]
)
def test_a_name_that_is_none_is_an_input_error(column, text):
    with pytest.raises(InputError, match=text):
        Dram().run({**RAMULATOR, column: text})


def test_whole_numbers_may_be_printed_as_a_table_with_gaps_prints_them():
    loose = {**RAMULATOR, **{name: f"{RAMULATOR[name]}.0" for name in ("N", "channels", "mlp")}}
    assert Dram().run(loose) == Dram().run(RAMULATOR)
