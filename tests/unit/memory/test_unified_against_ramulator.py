"""Does the unified controller do what Ramulator 2.1 did, to the tick, for every kind of run?"""

import csv
from pathlib import Path

import pytest

import archsim.validation
from archsim.memory.address import AddressMap
from archsim.memory.controller import ControllerSpec
from archsim.memory.controllers.unified import Unified
from archsim.memory.requests import Pacing
from archsim.memory.standard import find_preset, load_standard
from archsim.memory.traces import Place, checksum, trace

TABLE = Path(archsim.validation.__file__).parent / "tables" / "dram_reference.csv"
SCHEDULER = {"FRFCFS": "frfcfs", "FRFCFS-RowHit": "frfcfs_row_hit"}
POLICY = {"Open": {"row_policy": "open"}, "ClosedCAP4": {"row_policy": "closed_after", "cap": 4}}
REFRESH = {
    "AllBank": "all_bank",
    "NoRefresh": "none",
    "PerBank": "per_bank",
    "HBM34PerBankRefresh": "per_bank_interleaved",
}
PACES = ("mlp", "inject_per_tick", "gap_ticks")


def rows():
    """The first run of each kind: standard, scheduler, policy, refresh, channels, pacing."""
    seen = set()
    with TABLE.open() as file:
        for row in csv.DictReader(line for line in file if not line.startswith("#")):
            kind = tuple(row[c] for c in ("standard", "scheduler", "row_policy", "refresh"))
            kind += (row["channels"], row["mlp"] != "0", row["gap_ticks"] != "0")
            if row["sim"] == "Ramulator2.1" and kind not in seen:
                seen.add(kind)
                yield pytest.param(row, id=f"{row['ref_id']}-{row['standard']}-{row['trace']}")


@pytest.mark.parametrize("row", list(rows()))
def test_a_run_of_ramulator_is_repeated_to_the_tick(row):
    tables = load_standard(find_preset(row["sim"], row["org_preset"], row["timing_preset"]))
    tables = tables.tables()
    channels = int(row["channels"])
    controller = ControllerSpec(
        scheduler=SCHEDULER[row["scheduler"]],
        refresh=REFRESH[row["refresh"]],
        read_queue=int(row["read_q"]),
        write_queue=int(row["write_q"]),
        **POLICY[row["row_policy"]],
    )
    place = Place(int(row["access_bytes"]), int(row["SROW"]), int(row["SPAGE"]))
    requests = trace(row["trace"], int(row["N"]), place)
    assert checksum(requests) == int(row["trace_checksum"])
    device = Unified(tables, controller, AddressMap(tables, channels, row["addr_mapper"]), channels)
    run = device.drive(requests, Pacing(*(int(row[pace]) for pace in PACES)))
    got = {
        "ticks": run.ticks,
        "n_act": run.activates,
        "n_pre": run.precharges,
        "n_ref": run.refreshes,
        "row_hits": run.row_hits,
        "row_misses": run.row_misses,
        "row_conflicts": run.row_conflicts,
        "n_fwd": run.forwarded,
        "n_coalesced": run.merged,
    }
    assert got == {name: int(float(row[name])) for name in got}
    if run.reads:
        assert run.mean_read_latency_ticks == pytest.approx(
            float(row["avg_read_lat_ticks"]), abs=5e-5
        )
        assert run.read_latency_max_ticks == int(float(row["max_lat_ticks"]))
        assert run.read_latency_ticks.sum() == run.read_latency_sum_ticks
