"""Does every DRAM standard keep what its file says: peak, capacity, rates, sources, and a run?"""

from collections import Counter

import numpy as np
import pytest

import archsim
from archsim.core.data import find
from archsim.core.errors import InputError
from archsim.core.yamlio import load_yaml
from archsim.memory.address import AddressMap
from archsim.memory.controller import ControllerSpec
from archsim.memory.controllers.unified import Unified
from archsim.memory.dram_energy import DramCounts, dram_energy
from archsim.memory.requests import Pacing
from archsim.memory.standard import load_standard, standard_names
from archsim.memory.tables import NEXT, PREVIOUS, SIBLING, TICKS, WINDOW
from archsim.memory.traces import Place, trace

NAMES = standard_names()
FAMILIES = (
    *("DDR4", "DDR5", "LPDDR4", "LPDDR5", "GDDR5", "GDDR6"),
    *("HBM2", "HBM2E", "HBM3", "HBM3E", "HBM4"),
)
RATED = (
    *("DDR4_3200", "DDR5_4800", "HBM2E_3.2Gbps"),
    *("HBM2_2.0Gbps", "HBM3_5.2Gbps", "HBM3_6.4Gbps"),
)


@pytest.fixture(params=NAMES)
def standard(request):
    return load_standard(request.param)


@pytest.fixture
def tables(standard):
    return standard.tables()


def wait(tables, previous, after, window=1):
    """Ticks from a command to another at one bank, or within one rank for a window."""
    rules = tables.constraints
    pair = (rules[:, PREVIOUS] == tables.command(previous)) & (
        rules[:, NEXT] == tables.command(after)
    )
    found = rules[pair & (rules[:, WINDOW] == window) & (rules[:, SIBLING] == 0), TICKS]
    return int(found.max())


def test_every_family_has_a_standard_of_its_name():
    assert {load_standard(name).device.family for name in FAMILIES} == set(FAMILIES)


def test_its_peak_is_what_its_data_buses_carry(standard, tables):
    # clocks of the sources are whole picoseconds: 312 for 312.5
    peak = tables.peak_bytes_per_s * standard.channels
    assert standard.bytes_per_s == pytest.approx(peak, rel=0.003)


def test_its_capacity_is_that_of_its_rows(standard, tables):
    assert standard.capacity_bytes == tables.channel_bytes * standard.channels


def test_every_number_says_where_it_comes_from(standard):
    numbers = {"bytes_per_s", "capacity_bytes", "latency_s", "streaming_efficiency", "energy"}
    assert set(standard.source) == numbers
    device = standard.device
    parts = {"organisation", "timings", "rules"}
    parts |= {part for part in ("currents", "energies", "pim") if getattr(device, part)}
    assert set(device.source) >= parts
    assert all(standard.source.values())
    assert all(device.source.values())


def test_its_latency_is_at_least_a_row_activate_and_a_read(standard, tables):
    activate = tables.commands[0]
    ticks = wait(tables, activate, "RD") + tables.read_latency
    least_s = ticks * tables.tick_ns * 1e-9
    assert least_s * 0.99 <= standard.latency_s <= 2.5 * least_s


def test_a_row_cycle_is_open_time_plus_precharge(tables):
    activate = tables.commands[0]
    cycle = wait(tables, activate, activate)
    both = wait(tables, activate, "PREpb") + wait(tables, "PREpb", activate)
    assert abs(cycle - both) <= 3


def test_refresh_takes_a_small_share_of_the_time(tables):
    assert 0.01 < tables.refresh_ticks / tables.refresh_interval < 0.15


def test_refresh_waits_for_precharge_and_holds_back_activates(tables):
    assert wait(tables, "PREab", "REFab") > 0
    assert wait(tables, "REFab", tables.commands[0]) >= tables.refresh_ticks - 2


def test_activates_are_paced_by_pair_and_by_four(standard, tables):
    activate = tables.commands[0]
    if "nFAW_unused" in tables.timings:  # the only part that does not limit them
        return
    four = wait(tables, activate, activate, window=4)
    assert four == tables.timing("nFAW", "tFAW", "tXAW")
    rules = tables.constraints
    own = (rules[:, PREVIOUS] == 0) & (rules[:, NEXT] == 0) & (rules[:, WINDOW] == 1)
    pair = tables.timing("nRRDS", "tRRD_S", "tRRDS")
    assert pair in rules[own, TICKS]


def test_commands_have_the_numbers_that_controllers_know(tables):
    assert tables.commands[1:8] == ("PREpb", "PREab", "RD", "WR", "RDA", "WRA", "REFab")
    assert tables.commands[0] in ("ACT", "ACT1")


def test_no_rule_is_about_a_level_or_command_that_it_lacks(tables):
    rules = tables.constraints
    assert rules.dtype == np.int64
    assert rules[:, 0].max() < len(tables.levels)
    assert rules[:, 1:3].max() < len(tables.commands)
    assert rules[:, :3].min() >= 0


def test_the_rules_of_processing_in_memory_can_be_evaluated(standard):
    device = standard.device
    rules = device.pim.rules if device.pim else ()
    assert all(device.ticks_of(rule.ticks) >= 0 for rule in rules)


def test_what_it_did_costs_energy_and_more_activates_cost_no_less(tables):
    few = DramCounts(100, 3000, 500, 2, 0, 90_000, 10_000)
    many = DramCounts(3000, 3000, 500, 2, 0, 90_000, 10_000)
    low, high = dram_energy(tables, few), dram_energy(tables, many)
    bits = 3500 * tables.access_bytes * 8
    assert 0.5 < low.total_pj / bits < 40
    assert high.total_pj - low.total_pj == pytest.approx(high.activate_pj - low.activate_pj)
    if low.parts_pj:
        assert sum(low.parts_pj.values()) == pytest.approx(low.read_pj + low.write_pj)


def test_addresses_reach_every_bank_once(standard, tables):
    places = AddressMap(tables, 1, "RoBaRaCoCh")
    first = np.arange(tables.banks * 2, dtype=np.int64) * tables.row_bytes
    found = Counter(places.decode(first).bank.tolist())
    assert found == dict.fromkeys(range(tables.banks), 2)


@pytest.mark.parametrize("name", [*FAMILIES, *RATED])
def test_its_streaming_share_and_latency_are_those_of_the_controller(name):
    standard = load_standard(name)
    tables = standard.tables()
    places = AddressMap(tables, 1, "MOP4CLXOR")
    place = Place(tables.access_bytes, places.row_stride_bytes, places.page_bytes)
    memory = Unified(tables, ControllerSpec(), places, 1)
    stream = memory.drive(trace("stream_rd", 32768, place))
    seconds = stream.ticks * tables.tick_ns * 1e-9
    share = 32768 * tables.access_bytes / seconds / tables.peak_bytes_per_s
    assert share == pytest.approx(standard.streaming_efficiency, abs=0.0006)
    alone = memory.drive(trace("rand_rd", 8192, place), Pacing(outstanding=1))
    latency_s = alone.mean_read_latency_ticks * tables.tick_ns * 1e-9
    assert latency_s == pytest.approx(standard.latency_s, abs=0.06e-9)


@pytest.mark.parametrize("name", [*FAMILIES, *RATED])
def test_a_memory_bound_run_of_tiles_gets_its_streaming_share_of_the_peak(name):
    machine = load_yaml(find("npu", "configs")).data
    machine["memory"]["hbm"] = {"kind": "dram", "standard": name, "stacks": 1, "capacity": "64 GiB"}
    report = archsim.run(machine, "llama-3-8b-decode", fidelity="tile", advice=False)
    standard = load_standard(name)
    share = report.result["metrics"]["utilization"]["by_resource"]["hbm"]
    assert share <= standard.streaming_efficiency
    assert share == pytest.approx(standard.streaming_efficiency, rel=0.02)


def test_a_standard_and_a_flat_bandwidth_together_are_refused():
    machine = load_yaml(find("npu", "configs")).data
    machine["memory"]["hbm"]["standard"] = "HBM2_2.0Gbps"
    with pytest.raises(InputError, match="either standard or bandwidth"):
        archsim.run(machine, "llama-3-8b-decode", advice=False)
