"""Does `memory` run what its flags say, print it in every form, and refuse the rest?"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Done

    Archsim = Callable[..., Done]

FEW = ("--requests", "512")


def measured(archsim: Archsim, *flags: str) -> dict:
    done = archsim("memory", *flags, "--format", "json")
    assert done.status == 0, done.stderr
    return json.loads(done.stdout)


def test_a_stream_on_hbm3_has_the_ticks_of_ramulator(archsim: Archsim) -> None:
    found = measured(archsim, "HBM3")
    assert (found["ticks"], found["rows"]["activates"], found["rows"]["refreshes"]) == (
        79583, 1408, 12,
    )  # fmt: skip
    assert found["closed_form"]["unloaded_latency_s"] == pytest.approx(107 * 0.312e-9)


def test_the_other_structure_has_the_ticks_of_dramsim3(archsim: Archsim) -> None:
    flags = ("--structure", "command_queues", "--mapping", "rochrababgco")
    found = measured(archsim, "DDR4_8Gb_x8_3200", *flags, "--row-policy", "open")
    assert found["controller"]["refresh"] == "rank_staggered"
    assert found["of_peak"] == pytest.approx(0.663, abs=0.001)


def test_the_table_says_bandwidth_latency_rows_and_energy(archsim: Archsim) -> None:
    done = archsim("memory", "DDR4", *FEW)
    words = [line.split("  ")[0] for line in done.stdout.splitlines() if line[:1].strip()]
    assert words[0] == "DDR4, 1 channel(s), MOP4CLXOR"
    assert words[1:] == [
        "stream_rd", "bandwidth", "read latency", "rows", "commands", "refresh", "energy",
    ]  # fmt: skip


def test_csv_is_one_row_with_dotted_names(archsim: Archsim) -> None:
    done = archsim("memory", "HBM2", *FEW, "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(done.stdout))
    assert row["requests"] == "512"
    assert {"rows.hits", "read_latency.p99_s", "energy_j.pj_per_bit"} <= row.keys()


def test_policies_carry_a_number(archsim: Archsim) -> None:
    found = measured(archsim, "HBM3", *FEW, "--row-policy", "closed_after:4", "--queue", "16")
    assert found["controller"]["cap"] == 4
    assert found["controller"]["read_queue"] == 16


def test_a_trace_file_is_run(archsim: Archsim) -> None:
    Path("a.trace").write_text("".join(f"{64 * i:#x} R {10 * i}\n" for i in range(100)))
    found = measured(archsim, "DDR4", "--trace", "a.trace")
    assert found["requests"] == 100
    assert found["ticks"] >= 990


def test_a_load_curve_is_drawn(archsim: Archsim) -> None:
    done = archsim("memory", "HBM3", "--trace", "rand_rd", *FEW, "--sweep-load", "-o", "curve")
    assert (done.status, done.stderr) == (0, "look into curve\n")
    assert sorted(p.name for p in Path("curve").iterdir()) == ["load.csv", "load.png", "load.svg"]
    rows = list(csv.DictReader(io.StringIO(Path("curve/load.csv").read_text())))
    reached = [float(row["reached"]) for row in rows]
    assert reached[0] == pytest.approx(0.01, rel=0.1)
    assert reached == sorted(reached)


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("HBM33",), 'did you mean "HBM3"?'),
        (("HBM3", "--trace", "rand_r"), 'did you mean "rand_rd"?'),
        (("HBM3", "--mapping", "MOP4CLXO"), 'did you mean "MOP4CLXOR"?'),
        (("HBM3", "--mapping", "robaracoch"), 'did you mean "RoBaRaCoCh"?'),
        (("HBM3", "--mapping", "rorasibgbaco"), 'the pair of pseudo_channel is "pc"'),
        (("HBM3", "--refresh", "rank_staggered"), "one of: all_bank, per_bank"),
        (("HBM3", "--sweep-load", "--trace", "stream_wr"), "nothing is read"),
        (("HBM3", "--sweep-load", "--requests", "9"), "needs 100 requests, got 9"),
        (("HBM3", "--sweep-load", "--outstanding", "4"), "a cap on requests in flight"),
        (("HBM3", "--sweep-load", "--trace", "timed"), "says when its requests come"),
        (("HBM3", "--channels", "3"), "3 channels are not a power of two"),
        (("HBM3", "--structure", "command_queues", "--scheduler", "fcfs"), "has no scheduler"),
        (("HBM3", "--trace", "bad.csv"), "bad.csv:1:6: error[E110]"),
    ],
)
def test_what_cannot_be_run_is_refused(archsim: Archsim, flags: tuple[str, ...], text: str) -> None:
    Path("bad.csv").write_text("0x20,q\n")
    Path("timed").write_text("".join(f"{64 * i} r {i}\n" for i in range(200)))
    done = archsim("memory", *flags)
    assert done.status == 3
    assert text in done.stderr


def test_arithmetic_on_refresh_is_that_of_the_refresh_that_runs(archsim: Archsim) -> None:
    shares = [
        measured(archsim, "HBM3", *FEW, "--refresh", refresh)["closed_form"]["refresh_share"]
        for refresh in ("all_bank", "none", "per_bank")
    ]
    assert shares == [pytest.approx(0.0897, abs=0.001), 0.0, None]


def test_a_row_policy_that_is_none_is_a_wrong_flag(archsim: Archsim) -> None:
    done = archsim("memory", "HBM3", "--row-policy", "closed_after")
    assert done.status == 2
    assert '"closed_after" is not open, closed, closed_after:N or timeout:N' in done.stderr


def test_an_address_outside_is_named(archsim: Archsim) -> None:
    Path("far.csv").write_text("0xfffffffffff,r\n")
    done = archsim("memory", "HBM3", "--trace", "far.csv")
    assert done.status == 3
    assert "address 0xfffffffffff (request 0) is outside the 1 GiB of 1 x HBM3" in done.stderr
