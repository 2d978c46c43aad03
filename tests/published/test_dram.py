"""Do DRAM controllers take the ticks that Ramulator 2.1 and DRAMsim3 print?"""

import csv

import pytest

from archsim.validation import validate
from archsim.validation.suite import HERE, read_table

ROWS = read_table(HERE / "tables" / "dram_reference.csv")
FEATURES = (
    "org_preset", "addr_mapper", "scheduler", "row_policy", "refresh", "read_q", "write_q",
    "channels", "mlp", "inject_per_tick", "gap_ticks", "trace",
)  # fmt: skip
PAIRS = (("org_preset", "addr_mapper"), ("org_preset", "trace"), ("org_preset", "refresh"),
         ("scheduler", "org_preset"), ("row_policy", "org_preset"))  # fmt: skip


def features(row):
    """What a row has: each option of each simulator, and standards with the options that matter."""
    single = {(row["sim"], name, row[name]) for name in FEATURES}
    return single | {(row["sim"], *pair, *(row[name] for name in pair)) for pair in PAIRS}


def sample(rows):
    """Rows that together have every feature of the table, those with the fewest ticks first."""
    chosen, seen = [], set()
    for row in sorted(rows, key=lambda row: int(row["ticks"])):
        if features(row) - seen:
            seen |= features(row)
            chosen.append(row)
    return chosen


def test_the_table_has_both_simulators_and_every_option():
    assert len(ROWS) == 524
    assert len({row["org_preset"] for row in ROWS}) == 14
    assert {row["refresh"] for row in ROWS} == {
        "AllBank", "PerBank", "HBM34PerBankRefresh", "NoRefresh", "RANK_LEVEL_STAGGERED",
        "BANK_LEVEL_STAGGERED",
    }  # fmt: skip


def test_a_row_of_every_option_is_exact(tmp_path):
    chosen = sample(ROWS)
    assert 100 < len(chosen) < 400
    path = tmp_path / "sample.csv"
    with path.open("w", newline="") as text:
        writer = csv.DictWriter(text, list(chosen[0]))
        writer.writeheader()
        writer.writerows(chosen)
    result = validate("dram", path)
    assert result.passed, [c for c in result.cases if c.status != "pass"][:5]
    found = result.metrics()
    for metric in ("ticks", "n_act", "n_ref", "avg_read_lat_ticks"):
        assert found[metric]["exact"] == found[metric]["n"] == len(chosen)
    energies = sum(row["sim"] == "DRAMsim3" for row in chosen)
    assert found["total_pJ"]["exact"] == found["total_pJ"]["n"] == energies


@pytest.mark.parametrize("sim", ["Ramulator2.1", "DRAMsim3"])
def test_energy_is_compared_where_the_simulator_prints_one(sim):
    row = next(row for row in ROWS if row["sim"] == sim)
    assert bool(row["total_pJ"]) == (sim == "DRAMsim3")
