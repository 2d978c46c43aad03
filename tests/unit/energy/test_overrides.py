"""Does a machine that replaces an energy row pay the new price, and say whose it is?"""

import pytest

import archsim
from archsim.core.errors import InputError
from archsim.energy.table import EnergyRow, load_table

ROW = {"class": "dram.hbm2", "action": "read", "value": "8 pJ", "source": "a test",
       "accuracy": "assumed"}  # fmt: skip


def machine(**row):
    return {
        "extends": "scalesim-128",
        "energy": {"table": "45nm", "overrides": [{**ROW, **row}]},
    }


def work():
    return {
        "schema": "archsim.workload/1",
        "name": "one",
        "model": {"layers": [{"name": "a", "m": 64, "n": 64, "k": 64}]},
    }


def test_a_replaced_row_is_the_only_one_that_changes():
    table = load_table("45nm")
    other = table.with_overrides([EnergyRow.model_validate(ROW)])
    assert other.of("dram.hbm2", "read").pj == pytest.approx(8)
    assert {k for k in table.rows if table.rows[k] != other.rows[k]} == {("dram.hbm2", "read")}


def test_the_report_pays_the_new_price_and_names_its_source():
    rows = archsim.run(machine(), work(), advice=False).result["energy_rows"]
    reads = [row for key, row in rows.items() if key.startswith("dram.read.")]
    assert reads
    assert {(row["pj"], row["source"], row["accuracy"]) for row in reads} == {
        (8.0, "a test", "assumed")
    }


def test_a_row_that_nothing_counts_is_refused_with_the_closest_one():
    with pytest.raises(InputError) as error:
        archsim.run(machine(**{"class": "dram.hbm22"}), work(), advice=False)
    assert str(error.value) == (
        "error[E108]: table 45nm has no energy row for dram.hbm22.read\n"
        '      = help: did you mean "dram.hbm2.read"?'
    )


def test_an_override_without_a_source_is_refused():
    row = {k: v for k, v in ROW.items() if k != "source"}
    with pytest.raises(InputError, match="source"):
        archsim.run(
            {"extends": "scalesim-128", "energy": {"overrides": [row]}}, work(), advice=False
        )
