"""Do streams of one command take what arithmetic says, and do channels share one decoder?"""

from __future__ import annotations

import dataclasses
import math

import pytest

from archsim import api
from archsim.memory.dram_energy import charge
from archsim.memory.pim.command_set import CommandSet, load_set, set_names, set_of
from archsim.memory.standard import load_standard

AIM = "GDDR6_AiM"


def cycles(trace, **options):
    return api.pim(AIM, trace, channels=options.pop("channels", 1), **options).cycles


@pytest.mark.parametrize("size", [1, 7, 64])
@pytest.mark.parametrize("rows", [1, 5, 40])
def test_all_bank_macs_pay_a_row_for_each_row(size, rows):
    between = (size - 1) * 2
    period = max(between + 12, 54 - 56) + 32 + 56  # precharge after the last MAC, then a row
    period = max(period, 89)  # rows of all banks are no closer than nRC
    assert cycles(f"mac_abk:{size}x{rows}") == 57 + between + (rows - 1) * period + 2


@pytest.mark.parametrize("size", [1, 7, 64])
def test_element_wise_products_wait_for_their_write(size):
    between = (size - 1) * 2
    first, period = 26, between + 39 + 32 + 25
    # the row must stay open for nRAS, and rows are nRC apart
    period = max(period, 54 + 32, 89)
    assert cycles(f"ewmul:{size}x9") == first + between + 8 * period + 2


@pytest.mark.parametrize("times", [1, 3, 100])
def test_the_global_buffer_takes_a_column_every_other_tick(times):
    assert cycles(f"wr_gb:64x{times}") == 33 + 2 * (64 * times - 1) + 4


def test_a_fresh_bank_costs_a_row_and_a_used_one_a_precharge_too():
    fresh, used = 126 + 1 + 56, 126 + 1 + 32 + 56
    assert cycles("mac_sbk_banks:64x16") == 57 + 126 + 15 * fresh + 2
    assert cycles("mac_sbk_banks:64x32") == 57 + 126 + 15 * fresh + 16 * used + 2


def test_a_read_back_blocks_the_decoder_until_it_returns():
    # TMOD 1, WRMAC16 33, RDMAC16 47 returns at 49, then the end at 50
    assert cycles("WR_BIAS, RD_MAC") == 51
    assert cycles("RD_MAC") == 33 + 4


def test_an_activation_uses_a_row_of_its_own():
    once = cycles("MAC_ABK 1 row 0; AF")
    found = api.pim(AIM, "MAC_ABK 1 row 0; AF; MAC_ABK 1 row 0", channels=1).counts
    assert (found["ACT16"], found["PREA"]) == (3, 2)
    assert cycles("MAC_ABK 1 row 0; AF; AF") == once + 1
    assert api.pim(AIM, "AF; W CFR 2 1; AF", channels=1).counts["ACT16"] == 2
    assert api.pim(AIM, "AF; W CFR 1 1; AF", channels=1).counts["ACT16"] == 1


def test_what_costs_only_the_decoder_costs_it_a_tick():
    assert cycles("W GPR 0; EWADD 4; R GPR 3") == cycles("EWADD 1") + 2


@pytest.mark.parametrize("trace", ["gemv:256x2048", "R MEM 31 0 5", "WR_BIAS, RD_MAC"])
def test_alike_channels_take_the_time_of_one(trace):
    one, all_ = api.pim(AIM, trace, channels=1), api.pim(AIM, trace)
    assert one.cycles == all_.cycles
    shares = {"R MEM 31 0 5": 1}.get(trace, 32)
    assert {k: v * shares for k, v in one.counts.items()} == all_.counts


def test_a_slow_channel_holds_up_the_others_behind_one_decoder():
    slow = "MAC_ABK 64 rows 0..9 mask 1"
    both = f"{slow}; WR_GB 64 mask 2"
    # 33 requests wait in the slow channel when the other's first comes
    assert cycles(both) < cycles(slow) + cycles("WR_GB 64")
    alone = api.pim(AIM, both).run.groups
    waits = {g.channels[0]: g.waits["nothing_to_do"] for g in alone}
    assert waits[30] > 1000


def test_plain_accesses_share_the_channel():
    # ACT 1, RD 37 and 39, data at 91, the end behind it
    assert cycles("R MEM 31 0 5; R MEM 31 0 5") == 37 + 2 + 52 + 1
    found = api.pim(AIM, "R MEM 31 b 5, R MEM 31 b 5, b=0..15", channels=1)
    assert (found.counts["ACT"], found.counts["RD"]) == (16, 32)
    # the second write waits for the row of the first, and serves the read meanwhile
    served = api.pim(AIM, "W MEM 31 0 5; W MEM 31 1 5; R MEM 31 7 7").counts
    assert (served["ACT"], served["RD"]) == (2, 0)


def test_the_end_does_not_wait_for_an_access_whose_row_is_opening():
    found = api.pim(AIM, "R MEM 31 0 5")
    assert (found.cycles, found.counts["ACT"], found.counts["RD"]) == (3, 1, 0)


def test_refresh_stops_the_banks_every_interval():
    plain, refreshed = api.pim(AIM, "gemv:1024x4096"), api.pim(
        AIM, "gemv:1024x4096", refresh="all_bank"
    )  # fmt: skip
    assert plain.counts["REFab"] == 0
    assert refreshed.counts["REFab"] == 32 * (refreshed.cycles // 3333)
    assert refreshed.cycles > plain.cycles * (1 + 210 / 3333)


def test_sizes_that_fill_no_tile_are_rounded_up_to_columns_and_banks():
    found = api.pim(AIM, "gemv:100x1500", channels=1).counts
    rows, columns = math.ceil(100 / 16), math.ceil(1500 / 16)
    assert (found["MAC16"], found["WRGB"]) == (rows * columns, columns)
    assert found["RDMAC16"] == 2 * rows


def test_energies_are_counts_times_sourced_rows():
    found = api.pim(AIM, "mac_abk:4x3", channels=2)
    energy = found.energy()
    priced = load_set("AiM").energies
    assert energy["by_command"]["MAC16"] == pytest.approx(24 * priced["MAC16"].value)
    assert energy["total"] == pytest.approx(sum(energy["by_command"].values()))
    assert energy["missing"] == []
    assert api.pim(AIM, "wr_gb:4x3").energy()["missing"] == ["TMOD", "WRGB"]


def test_energies_of_rows_and_accesses_are_those_of_the_currents_they_name():
    tables = load_standard("GDDR6_8Gb_x16").tables()
    of_rank = charge(tables)
    scale = tables.tick_ns / tables.currents["devices"] * 1e-12
    priced = {name: row.value for name, row in load_set("AiM").energies.items()}
    assert priced["ACT"] == pytest.approx(of_rank.activate * scale, rel=1e-3)
    assert priced["ACT16"] == pytest.approx(16 * of_rank.activate * scale, rel=1e-3)
    assert priced["RD"] == pytest.approx(of_rank.read * scale, rel=1e-3)
    assert priced["WR"] == pytest.approx(of_rank.write * scale, rel=1e-3)
    assert priced["MAC"] == pytest.approx((256 * 0.44 + 16 * 0.32) * 1e-12, rel=1e-3)
    assert priced["MAC16"] == pytest.approx(16 * (256 * 0.44 + 16 * 0.32) * 1e-12, rel=1e-3)


def test_another_speed_grade_is_another_standard():
    standard = load_standard(AIM)
    timings = {**standard.device.timings, "nCCDL": 4}
    slower = standard.model_copy(
        update={"device": standard.device.model_copy(update={"timings": timings})}
    )
    trace = "mac_same_row:64x4"
    assert api.pim(slower, trace).cycles == api.pim(standard, trace).cycles + 2 * 255


def test_every_command_of_a_set_is_reached_by_an_instruction_or_a_role():
    for name in set_names():
        found = load_set(name)
        used = {form.command for form in found.instructions.values()}
        roles = set(found.roles.to_data().values()) if found.roles else set()
        forms = found.commands.values()
        roles |= {f.opened_by for f in forms} | {f.closed_by for f in forms}
        assert set(found.commands) <= (used | roles) - {None} <= {*found.commands, "PREab"}
        assert isinstance(found, CommandSet)


def test_a_standard_takes_the_set_whose_commands_and_timings_it_has():
    assert set_of(load_standard(AIM)).name == "AiM"


def test_json_says_what_ran_and_where_every_tick_went():
    data = api.pim(AIM, "gemv:64x1024", channels=4).to_dict()
    assert data["schema"] == "archsim.pim/1"
    assert data["time_s"] == pytest.approx(data["cycles"] * 0.5e-9)
    assert [g["channels"] for g in data["channels"]] == [list(range(28)), [28, 29, 30, 31]]
    for group in data["channels"]:
        ticks = group["issuing_ticks"] + sum(group["waiting_ticks"].values())
        assert ticks == data["cycles"]
    assert dataclasses.asdict(api.pim(AIM, "AF").run)["cycles"] > 0
