"""Does `pim` run what its flags say, print it in every form, and refuse the rest?"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Done

    Archsim = Callable[..., Done]


def measured(archsim: Archsim, *flags: str) -> dict:
    done = archsim("pim", "GDDR6_AiM", *flags, "--format", "json")
    assert done.status == 0, done.stderr
    return json.loads(done.stdout)


def test_a_matrix_has_the_cycles_of_the_aim_simulator(archsim: Archsim) -> None:
    found = measured(archsim)
    assert (found["cycles"], found["counts"]["MAC16"]) == (73728, 32 * 16384)
    assert found["schema"] == "archsim.pim/1"
    assert found["macs"] == 32 * 1024 * 4096


def test_the_text_says_that_the_size_of_a_matrix_is_that_of_each_channel(archsim: Archsim) -> None:
    flags = ("pim", "GDDR6_AiM", "--trace", "gemv:32x1024")
    all_of_them = archsim(*flags).stdout.splitlines()[2]
    assert all_of_them.endswith(", 1,048,576 MACs: 32,768 in each of 32 channels")
    assert (
        archsim(*flags, "--channels", "1")
        .stdout.splitlines()[2]
        .endswith(", 32,768 MACs in 1 channel")
    )


def test_flags_say_channels_refresh_and_exactness(archsim: Archsim) -> None:
    flags = ("--trace", "gemv:64x1024", "--refresh", "all_bank")
    some = measured(archsim, *flags, "--channels", "2")
    each = measured(archsim, *flags, "--channels", "2", "--exact")
    assert [len(g["channels"]) for g in some["channels"]] == [30, 2]
    assert len(each["channels"]) == 32
    assert some["counts"] == each["counts"]


def test_the_text_says_time_commands_waiting_and_energy(archsim: Archsim) -> None:
    done = archsim("pim", "GDDR6_AiM", "--trace", "wr_gb:64x2", "--channels", "1")
    assert (
        done.stdout
        == """\
GDDR6_AiM, commands of AiM, refresh none: 3 instructions

291 cycles, 146 ns

command  count  energy
TMOD     1      -
WRGB     128    -

Channels 0-30, each: rows open 0.0% of the time, 0 of 16 banks on average
Power limit: mac spacing 0.0%, activate spacing 0.0%

waiting for    ticks  share
issuing        0      0.0%
nothing to do  291    100.0%

Channel 31: rows open 0.0% of the time, 0 of 16 banks on average
Power limit: mac spacing 0.0%, activate spacing 0.0%

waiting for     ticks  share
issuing         129    44.3%
column spacing  127    43.6%
mode change     31     10.7%
nothing to do   4      1.4%
"""
    )


def test_csv_is_one_row_a_command(archsim: Archsim) -> None:
    done = archsim("pim", "GDDR6_AiM", "--trace", "AF x3", "--format", "csv")
    rows = {row["command"]: row for row in csv.DictReader(io.StringIO(done.stdout))}
    assert (rows["AF16"]["count"], rows["AF16"]["energy_j"]) == ("96", "")
    assert rows["ACT4"]["count"] == "0"


def test_a_folder_holds_the_result_and_its_tables(archsim: Archsim) -> None:
    flags = ("pim", "GDDR6_AiM", "--trace", "AF x3", "-o", "out")
    assert archsim(*flags).status == 0
    assert sorted(p.name for p in Path("out").iterdir()) == [
        "commands.csv", "result.json", "waiting.csv",
    ]  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(Path("out/waiting.csv").read_text())))
    cycles = json.loads(Path("out/result.json").read_text())["cycles"]
    assert sum(int(row["ticks"]) for row in rows) == cycles
    assert archsim(*flags).status == 2
    assert archsim(*flags, "--force").status == 0


def test_a_mistake_of_a_trace_is_an_input_error(archsim: Archsim) -> None:
    done = archsim("pim", "GDDR6_AiM", "--trace", "MAC_AKB 64 row 0")
    assert done.status == 3
    assert 'did you mean "MAC_ABK"?' in done.stderr
