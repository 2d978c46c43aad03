"""Do rates that a controller reaches equal what the standard's numbers alone allow?"""

import numpy as np
import pytest

from archsim.memory.address import AddressMap, Decoded
from archsim.memory.controller import ControllerSpec
from archsim.memory.controllers import unified_words as w
from archsim.memory.controllers.unified import Unified
from archsim.memory.requests import Requests
from archsim.memory.standard import load_standard
from archsim.memory.traces import Place, trace

STANDARDS = (
    "DDR4_3200AA", "DDR5_4800BN", "GDDR6_14000_1350mV_double", "HBM2_2000Mbps", "HBM3_6400Mbps",
    "HBM4_8000Mbps",
)  # fmt: skip


def build(name, mapping="MOP4CLXOR", **options):
    tables = load_standard(name).tables()
    return Unified(tables, ControllerSpec(**options), AddressMap(tables, 1, mapping), 1)


def drive(device, requests):
    log = np.full(4 * 8 * len(requests), -1, np.int64)
    run = device.drive(requests, log=log)
    steps = log.reshape(-1, 4)
    return run, steps[steps[:, 0] >= 0]


@pytest.mark.parametrize("name", STANDARDS)
def test_rows_open_four_a_window_or_one_an_activation_gap(name):
    device = build(name, refresh="none")
    tables, timings = device.tables, device.tables.timings
    # a new row each time, bank groups in turn, all behind one rank or pseudo-channel
    n = 3000
    groups = tables.counts[-2]
    index = np.arange(n)
    around = tables.banks // (2 if tables.has_pseudo_channels else 1)
    place = index % around
    bank = place % groups * tables.counts[-1] + place // groups % tables.counts[-1]
    bank += place // (groups * tables.counts[-1]) * groups * tables.counts[-1]
    where = Decoded(index * 0, bank, index // around, index * 0)
    requests = Requests(device.address_map.encode(where), index * 0)
    _, steps = drive(device, requests)
    opened = steps[steps[:, 2] == w.ACT, 0]
    assert len(opened) == n
    four = max(timings["nFAW"], 4 * timings["nRRDS"])
    spans = opened[504::4] - opened[500:-4:4]
    assert spans.min() >= timings["nFAW"]
    # other commands want the slot too, and may put one off by a tick
    assert four <= spans.mean() <= four + 1


@pytest.mark.parametrize("name", ["DDR4_3200AA", "HBM3_6400Mbps", "LPDDR5_6400"])
def test_refresh_takes_its_share_of_a_stream(name):
    with_it, without = build(name), build(name, refresh="none")
    tables, timings = with_it.tables, with_it.tables.timings
    requests = trace("stream_rd", 60_000, Place(tables.access_bytes, 1, 1))
    run, _ = drive(with_it, requests)
    free, _ = drive(without, requests)
    nodes = tables.nodes(tables.refresh_level)
    assert run.refreshes == run.ticks // timings["nREFI"] * nodes
    lost = (run.ticks - free.ticks) / (run.refreshes / nodes)
    precharge = timings.get("nRPab", timings["nRP"])
    # closing and refreshing costs at least that; opening again and an interrupted order, the rest
    assert timings["nRFC"] + precharge <= lost <= timings["nRFC"] + precharge + timings["nRC"] * 1.5


@pytest.mark.parametrize("name", STANDARDS)
def test_a_row_conflict_costs_a_row_cycle(name):
    device = build(name, "RoBaRaCoCh", refresh="none")
    n = 500
    place = Place(device.tables.access_bytes, device.address_map.row_stride_bytes, 1)
    run, steps = drive(device, trace("row_conflict", n, place))
    opened = steps[steps[:, 2] == w.ACT, 0]
    gap = max(
        row[3]
        for row in device.tables.constraints.tolist()
        if row[0] == len(device.tables.levels) - 1
        and device.tables.commands[row[1]] == device.tables.commands[row[2]] == "ACT"
    )
    # precharges fit between, up to an edge of the clock
    assert gap <= np.diff(opened).mean() <= gap + 3
    assert run.row_conflicts == n - 1


@pytest.mark.parametrize("name", STANDARDS)
def test_a_lone_read_takes_activation_and_read_latency(name):
    device = build(name)
    timings = device.tables.timings
    run, _ = drive(device, Requests(np.zeros(1, np.int64), np.zeros(1, np.int64)))
    opening = max(
        row[3]
        for row in device.tables.constraints.tolist()
        if (device.tables.commands[row[1]], device.tables.commands[row[2]]) == ("ACT", "RD")
    )
    assert opening >= timings.get("nRCD", timings.get("nRCDRD"))
    edge = (opening + 1) % 2 == 0 and device.tables.slots == "half_clock"
    assert run.ticks == 1 + opening + edge + device.tables.read_latency
