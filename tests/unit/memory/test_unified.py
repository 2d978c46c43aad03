"""Does the unified controller schedule as its options say? Runs small enough to draw by hand."""

import dataclasses

import numpy as np
import pytest

from archsim.core.errors import InputError
from archsim.memory.address import AddressMap, Decoded
from archsim.memory.controller import ControllerSpec
from archsim.memory.controllers.unified import Unified
from archsim.memory.controllers.unified_program import COMMANDS
from archsim.memory.requests import Pacing, Requests
from archsim.memory.standard import load_standard

DDR4, HBM3, LPDDR5 = "DDR4_3200AA", "HBM3_6400Mbps", "LPDDR5_6400"


def build(name=DDR4, channels=1, **options):
    tables = load_standard(name).tables()
    controller = ControllerSpec(**{"refresh": "none"} | options)
    address_map = AddressMap(tables, channels, "RoBaRaCoCh")
    return Unified(tables, controller, address_map, channels)


def asked(device, *places):
    """Requests for (kind, bank, row, column) each; `kind` is "r" or "w"."""
    _, bank, row, column = (np.array(values) for values in zip(*places, strict=True))
    address = device.address_map.encode(Decoded(np.zeros_like(bank), bank, row, column))
    return Requests(address, np.array([int(kind == "w") for kind, *_ in places]))


def diagram(device, *places, **pacing):
    """The run, and its commands as (tick, command, bank)."""
    log = np.full(4000, -1, np.int64)
    run = device.drive(asked(device, *places), Pacing(**pacing), log=log)
    steps = log.reshape(-1, 4)
    steps = steps[steps[:, 0] >= 0].tolist()
    return run, [(tick, COMMANDS[command], bank) for tick, _, command, bank in steps]


def test_a_lone_read_opens_its_row_and_reads():
    run, steps = diagram(build(), ("r", 0, 0, 0))
    assert steps == [(1, "ACT", 0), (23, "RD", 0)]  # nRCD 22
    assert run.ticks == 23 + 26  # nCL 22 + nBL 4
    assert run.read_latency_ticks.tolist() == [49]
    assert (run.row_hits, run.row_misses, run.row_conflicts) == (0, 1, 0)


def test_a_write_is_done_when_its_command_issues():
    run, steps = diagram(build(), ("w", 0, 0, 0))
    assert steps == [(1, "ACT", 0), (23, "WR", 0)]
    assert run.ticks == 23
    assert run.read_latency_ticks.tolist() == []


def test_another_row_is_opened_after_the_first_is_closed():
    run, steps = diagram(build(), ("r", 0, 0, 0), ("r", 0, 1, 0))
    assert steps == [
        (1, "ACT", 0), (23, "RD", 0),
        (53, "PREpb", 0), (75, "ACT", 0), (97, "RD", 0),  # nRAS 52, nRC 74
    ]  # fmt: skip
    assert (run.row_hits, run.row_misses, run.row_conflicts) == (0, 1, 1)


def test_the_first_ready_request_goes_before_an_older_one():
    _, steps = diagram(build(), ("r", 0, 0, 0), ("r", 0, 1, 0), ("r", 0, 0, 1))
    assert [step for step in steps if step[1] == "RD"] == [
        (23, "RD", 0),
        (31, "RD", 0),
        (97, "RD", 0),
    ]


def test_fcfs_serves_one_request_after_the_other():
    places = ("r", 0, 0, 0), ("r", 4, 0, 0), ("r", 0, 1, 0), ("r", 0, 0, 1)
    _, steps = diagram(build(scheduler="fcfs"), *places)
    assert steps == [
        (1, "ACT", 0), (23, "RD", 0),
        (24, "ACT", 4), (46, "RD", 4),
        (53, "PREpb", 0), (75, "ACT", 0), (97, "RD", 0),
        (127, "PREpb", 0), (149, "ACT", 0), (171, "RD", 0),
    ]  # fmt: skip


def test_row_hit_first_keeps_a_row_open_for_an_older_hit():
    places = [("r", 0, 0, 0), ("w", 0, 0, 1), ("w", 0, 1, 0)]
    plain = diagram(build(), *places)[1]
    kept = diagram(build(scheduler="frfcfs_row_hit"), *places)[1]
    assert kept == plain  # writes wait for the end of reads; nothing to keep
    places = [("r", 0, 0, column) for column in range(8)] + [("r", 0, 1, 0)]
    _, steps = diagram(build(scheduler="frfcfs_row_hit"), *places)
    names = [name for _, name, _ in steps]
    assert names == ["ACT", *["RD"] * 8, "PREpb", "ACT", "RD"]


def test_reads_go_first_until_writes_fill_their_queue():
    device = build(write_queue=5)
    writes = [("w", 1, 0, column) for column in range(5)]
    _, steps = diagram(device, *writes[:4], ("r", 0, 0, 0), per_tick=5)
    assert [name for _, name, _ in steps].index("RD") < [name for _, name, _ in steps].index("WR")
    _, steps = diagram(device, *writes, ("r", 0, 0, 0), per_tick=6)
    assert steps[0] == (1, "ACT", 1)  # five of five are more than 0.8 of them


def test_a_read_of_a_queued_write_is_answered_by_it():
    run, steps = diagram(build(), ("w", 0, 0, 0), ("r", 0, 0, 0), per_tick=2)
    assert run.forwarded == 1
    assert run.read_latency_ticks.tolist() == [1]
    assert [name for _, name, _ in steps] == ["ACT", "WR"]


def test_a_write_that_is_being_served_answers_no_read():
    run, _ = diagram(build(), ("w", 0, 0, 0), ("r", 0, 0, 0), gap_ticks=2)
    assert run.forwarded == 0


def test_equal_writes_are_merged():
    run, steps = diagram(build(), ("w", 0, 0, 0), ("w", 0, 0, 0), per_tick=2)
    assert (run.writes, run.merged) == (2, 1)
    assert [name for _, name, _ in steps] == ["ACT", "WR"]


def test_closed_rows_are_closed_by_their_column_access():
    _, steps = diagram(build(row_policy="closed"), ("r", 0, 0, 0), ("w", 0, 0, 1))
    assert [name for _, name, _ in steps] == ["ACT", "RDA", "ACT", "WRA"]


def test_a_row_is_closed_after_its_cap_of_accesses():
    places = [("r", 0, 0, column) for column in range(4)]
    device = build(row_policy="closed_after", cap=2)
    _, steps = diagram(device, *places)
    assert [name for _, name, _ in steps] == ["ACT", "RD", "RD", "RDA", "ACT", "RD"]
    _, steps = diagram(device, places[0], places[1], ("r", 4, 0, 0), gap_ticks=60)
    assert (73, "PREpb", 0) in steps  # RD at 61, nRTP 12


def test_a_row_left_alone_is_closed_after_its_timeout():
    device = build(row_policy="timeout", timeout=100)
    _, steps = diagram(device, ("r", 0, 0, 0), ("r", 4, 0, 0), gap_ticks=200)
    assert steps[:3] == [(1, "ACT", 0), (23, "RD", 0), (123, "PREpb", 0)]


def anywhere(n, banks):
    """Reads of n random places."""
    rng = np.random.default_rng(1)
    draws = rng.integers(0, banks, n).tolist(), rng.integers(0, 9, n).tolist()
    return [("r", bank, row, 0) for bank, row in zip(*draws, strict=True)]


def test_two_slots_a_tick_take_a_column_and_a_row_command():
    _, steps = diagram(build("HBM2_2000Mbps"), *anywhere(200, 32))
    both = 0
    for tick in {tick for tick, _, _ in steps}:
        names = [name for t, name, _ in steps if t == tick]
        both += len(names) == 2
        assert len(names) == 1 or (names[0] == "RD" and names[1] in ("ACT", "PREpb"))
    assert both > 10


def test_half_clock_edges_hold_everything_but_precharges():
    device = build(HBM3)
    _, steps = diagram(device, *anywhere(200, 64))
    assert all(tick % 2 for tick, name, _ in steps if name != "PREpb")
    assert any(tick % 2 == 0 for tick, name, _ in steps if name == "PREpb")


def test_opening_a_row_of_lpddr5_takes_two_commands_and_reading_needs_a_running_clock():
    run, steps = diagram(build(LPDDR5), ("r", 0, 0, 0), ("r", 0, 0, 1))
    assert steps == [
        (1, "ACT", 0), (2, "ACT2", 0),
        (16, "CAS", 0), (17, "RD", 0), (21, "RD", 0),
    ]  # fmt: skip
    assert run.activates == 1


def test_every_rank_or_pseudo_channel_is_refreshed_once_an_interval():
    for name, nodes in ((DDR4, 1), (HBM3, 2), ("GDDR6_14000_1350mV_double", 1)):
        device = build(name, refresh="all_bank")
        interval = device.tables.timings["nREFI"]
        at = np.array([0, 10 * interval + interval // 2])
        run = device.drive(asked(device, ("r", 0, 0, 0), ("r", 0, 0, 0)), Pacing(at=at))
        assert run.refreshes == 10 * nodes


def test_banks_are_refreshed_in_turn():
    device = build("HBM2_2000Mbps", refresh="per_bank")
    _, steps = diagram(device, ("r", 0, 0, 0), ("r", 0, 0, 0), gap_ticks=122 * 33)
    banks = [bank for _, name, bank in steps if name == "REFpb"]
    assert banks[:33] == [*range(32), 0]


def test_a_standard_without_bank_refresh_refuses_it():
    with pytest.raises(InputError) as error:
        build(DDR4, refresh="per_bank").drive(asked(build(), ("r", 0, 0, 0)))
    assert error.value.diagnostics[0].message == (
        "DDR4_3200AA has no nREFIpb, which refresh 'per_bank' needs"
    )


def test_an_address_outside_the_capacity_is_refused():
    with pytest.raises(InputError, match=r"\(request 1\) is outside the 8 GiB of 1 x DDR4_3200AA"):
        build().drive(Requests(np.array([0, 8 << 30]), np.zeros(2, np.int64)))


def test_channels_must_be_those_of_the_mapping():
    device = build()
    with pytest.raises(InputError, match="2 channels of 16 banks, but the mapping is of 1"):
        Unified(device.tables, device.controller, device.address_map, 2)


def test_no_requests_take_no_time():
    run = build().drive(Requests(np.zeros(0, np.int64), np.zeros(0, np.int64)))
    assert (run.ticks, run.reads, dict(run.commands)) == (0, 0, {})


def test_a_capped_number_of_requests_is_outstanding():
    device = build()
    places = [("r", 0, 0, column) for column in range(6)]
    run, steps = diagram(device, *places, outstanding=1)
    reads = [tick for tick, name, _ in steps if name == "RD"]
    assert np.diff(reads).tolist() == [27] * 5  # back after 26 ticks, the next comes a tick later
    assert run.read_latency_ticks.tolist() == [49, *[27] * 5]


@pytest.mark.parametrize("window", [2, 3, 5])
def test_a_window_counts_back_as_far_as_it_is_wide(window):
    device = build()
    kinds = [device.tables.command(name) for name in ("RD", "RD")]
    wide = np.array([[0, *kinds, 100, window, 0]], dtype=np.int64)
    rules = np.concatenate([device.tables.constraints, wide])
    tables = dataclasses.replace(device.tables, constraints=rules)
    device = Unified(tables, device.controller, device.address_map, 1)
    _, steps = diagram(device, *[("r", 0, 0, column) for column in range(12)])
    reads = np.array([tick for tick, name, _ in steps if name == "RD"])
    assert (reads[window:] - reads[:-window]).tolist() == [100] * (12 - window)
