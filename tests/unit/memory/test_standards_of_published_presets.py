"""Are the shipped standards the published presets, number by number and rule by rule?"""

import csv
from collections import Counter, defaultdict
from importlib.resources import files

import pytest

from archsim.core.errors import InputError
from archsim.memory.address import AddressMap
from archsim.memory.dram_energy import DramCounts, charge, dram_energy
from archsim.memory.standard import find_preset, load_standard, standard_names

TABLES = files("archsim.validation") / "tables"
LEVELS = {
    "Channel": "channel", "PseudoChannel": "pseudo_channel", "Sid": "sid", "Rank": "rank",
    "BankGroup": "bank_group", "Bank": "bank",
}  # fmt: skip
SIMULATORS = {  # as the table of presets names them
    "LLMSimulator(Duplex)": "LLMSimulator",
    "AttAcc(pim_ramulator)": "AttAcc",
    "PIMSimulator(Samsung)": "PIMSimulator",
}
RENAMED = {"tXAW_per_4": "tXAW"}


def rows(name):
    lines = (TABLES / f"dram_timing_{name}.csv").read_text().splitlines()
    return list(csv.reader(line for line in lines if not line.startswith("#")))[1:]


def rules_by_preset():
    found = defaultdict(list)
    for simulator, _, preset, *rule in rows("constraints"):
        found[simulator, preset].append(rule)
    return found


RULES = rules_by_preset()


def test_there_are_332_published_rules():
    assert sum(len(rules) for rules in RULES.values()) == 332


@pytest.mark.parametrize(("simulator", "preset"), RULES)
def test_every_published_rule_comes_out_of_the_named_timings_and_no_other(simulator, preset):
    tables = load_standard(find_preset(simulator, *preset.split("+"))).tables()
    want = Counter(
        (LEVELS[level], before, after, *map(int, numbers))
        for level, previous, following, *numbers in RULES[simulator, preset]
        for before in previous.split()
        for after in following.split()
    )
    got = Counter(
        (tables.levels[level], tables.commands[before], tables.commands[after], *map(int, rest))
        for level, before, after, *rest in tables.constraints
    )
    assert got == want


def presets():
    """Parameters by simulator and timing preset."""
    found = defaultdict(dict)
    for simulator, _, preset, name, value, *_ in rows("presets"):
        found[SIMULATORS.get(simulator, simulator), preset.split("+")[-1]][name] = value
    return found


PRESETS = presets()
HOLDERS = {
    (standard.preset.simulator, standard.preset.timing): standard
    for standard in map(load_standard, standard_names())
    if standard.preset
}


def test_every_published_preset_is_shipped():
    assert set(PRESETS) == set(HOLDERS)


@pytest.mark.parametrize("key", PRESETS, ids="-".join)
def test_every_timing_of_a_preset_is_the_published_one(key):
    timings = HOLDERS[key].device.timings
    groups_off = HOLDERS[key].device.counts.get("bank_group") == 1
    given = PRESETS[key]
    compared = 0
    for published, value in given.items():
        name = RENAMED.get(published, published)
        if name not in timings or (groups_off and name.endswith("_L")):
            continue
        assert timings[name] == int(value), name
        compared += 1
    assert compared >= 17


@pytest.mark.parametrize("key", [key for key in PRESETS if key[0] == "Ramulator2.1"], ids="-".join)
def test_the_organisation_of_a_preset_is_the_published_one(key):
    standard, given = HOLDERS[key], PRESETS[key]
    tables = standard.tables()
    for level, count in zip(tables.levels, tables.counts, strict=True):
        words = {ours: theirs for theirs, ours in LEVELS.items()}
        assert count == int(given[f"org.{words[level]}_count"])
    assert tables.rows == int(given["org.Row_count"])
    assert tables.access_bytes == int(given["access_bytes"])
    assert tables.row_bytes == int(given["bytes_per_row_per_bank(SPAGE,1ch)"])
    assert tables.read_latency == int(given["read_latency(RD issue to data end)"])
    assert tables.tick_ps == int(given["tCK_ps"])
    peak = float(given["peak_bandwidth_per_channel"])
    assert tables.peak_bytes_per_s / 1e9 == pytest.approx(peak, abs=1e-4)
    stride = AddressMap(tables, 1, "RoBaRaCoCh").row_stride_bytes
    assert stride == int(given["same_bank_next_row_stride(SROW,1ch)"])


@pytest.mark.parametrize("key", [key for key in PRESETS if key[0] == "DRAMsim3"], ids="-".join)
def test_the_organisation_of_a_configuration_is_the_published_one(key):
    tables, given = HOLDERS[key].tables(), PRESETS[key]
    ranks, groups, banks = tables.counts[1:]
    assert ranks == int(given["derived.ranks"])
    assert groups == int(given["derived.bankgroups"])
    assert banks == int(given["derived.banks_per_group"])
    assert tables.bursts == int(given["derived.bursts_per_row"])
    assert tables.access_bytes == int(given["derived.access_bytes"])
    peak = float(given["derived.peak_used_for_pct"])
    assert tables.peak_bytes_per_s / 1e9 == pytest.approx(peak, abs=1e-3)
    assert tables.tick_ns == float(given["tCK"])


def test_a_preset_that_nobody_ships_is_refused():
    with pytest.raises(InputError, match=r"no standard holds Ramulator2\.1 DDR4_8Gb_x8 DDR3_1600"):
        find_preset("Ramulator2.1", "DDR4_8Gb_x8", "DDR3_1600")


def waits(tables, previous, after, a, b):
    """Ticks that a command at bank `b` waits for one at bank `a`; None without a rule."""
    found = []
    for level, before, following, ticks, window, sibling in tables.constraints.tolist():
        if (tables.commands[before], tables.commands[following], window) != (previous, after, 1):
            continue
        below, above = tables.banks_below(level), tables.banks_below(level - 1) if level else 0
        same = a // below == b // below
        if same if not sibling else (not same and a // above == b // above):
            found.append(ticks)
    return max(found, default=None)


DRAMSIM3_DDR4 = {  # DDR4_8Gb_x8_2400 by hand: same bank, same group, same rank, other rank
    ("RD", "RD"): (6, 6, 4, 5),
    ("RD", "WR"): (10, 10, 10, 10),
    ("WR", "WR"): (6, 6, 4, 4),
    ("WR", "RD"): (25, 25, 19, 0),
    ("RD", "PREpb"): (9, None, None, None),
    ("WR", "PREpb"): (34, None, None, None),
    ("RDA", "ACT"): (30, None, None, None),
    ("RDA", "REFpb"): (26, None, None, None),
    ("WRA", "ACT"): (51, None, None, None),
    ("WRA", "REFpb"): (51, None, None, None),
    ("ACT", "RD"): (17, None, None, None),
    ("ACT", "ACT"): (56, 6, 4, None),
    ("ACT", "PREpb"): (39, None, None, None),
    ("ACT", "REFpb"): (None, 56, 56, None),
    ("PREpb", "ACT"): (17, None, None, None),
    ("PREpb", "PREpb"): (None, None, None, None),
    ("REFab", "ACT"): (420, 420, 420, None),
    ("REFpb", "ACT"): (None, 420, 420, None),
    ("REFpb", "REFpb"): (None, 9360, 9360, None),
}


@pytest.mark.parametrize(("previous", "after"), DRAMSIM3_DDR4)
def test_commands_wait_for_each_other_as_in_dramsim3(previous, after):
    tables = load_standard("DDR4_8Gb_x8_2400").tables()
    got = tuple(waits(tables, previous, after, 0, bank) for bank in (0, 1, 4, 16))
    assert got == DRAMSIM3_DDR4[previous, after]


CHARGES = {  # mA V cycles of ACT, RD, WR, REF, bank refresh, active and idle cycle, by hand
    "DDR4_8Gb_x8_2400": (4156.8, 3532.8, 3072, 834624, -7296, 412.8, 326.4),
    "DDR4_8Gb_x8_3200": (6720, 4454.4, 3763.2, 1064448, -9024, 499.2, 355.2),
    "GDDR5_8Gb_x32": (4944, 2244, 2040, 99900, -2880, 366, 360),
    "GDDR6_8Gb_x16": (8683.2, 2019.6, 1836, 306180, -5184, 658.8, 648),
    "HBM2_4Gb_x128": (828, 804, 1068, 60840, -1200, 66, 48),
    "HBM2_8Gb_x128": (828, 804, 1068, 60840, -1200, 66, 48),
    "LPDDR4_8Gb_x16_2400": (8380.8, 7526.4, 6950.4, 438412.8, -4032, 225.6, 163.2),
}


@pytest.mark.parametrize("name", CHARGES)
def test_the_charge_of_each_command_is_that_of_dramsim3(name):
    got = charge(load_standard(name).tables())
    words = ("activate", "read", "write", "refresh", "bank_refresh", "active", "idle")
    assert [getattr(got, word) for word in words] == pytest.approx(list(CHARGES[name]))


def test_energy_in_pj_is_the_charge_times_the_length_of_a_tick():
    tables = load_standard("DDR4_8Gb_x8_3200").tables()
    counts = DramCounts(10, 100, 50, 2, 0, 1000, 500)
    printed = charge(tables).energy(counts, 1)
    assert printed.activate_pj == pytest.approx(67200)
    assert printed.refresh_pj == pytest.approx(2 * 1064448)
    assert printed.background_pj == pytest.approx(1000 * 499.2 + 500 * 355.2)
    assert dram_energy(tables, counts).total_pj == pytest.approx(printed.total_pj * 0.63)


def test_a_bit_of_hbm_pays_its_way_from_the_cell_to_the_pins():
    tables = load_standard("HBM3").tables()
    bits = 1000 * 32 * 8
    energy = dram_energy(tables, DramCounts(10, 900, 100, 1, 0, 0, 0))
    assert energy.activate_pj == 10 * 909
    assert energy.parts_pj == pytest.approx(
        {
            "cell": 0.44 * bits,
            "datapath": 2.24 * bits,
            "tsv": 0.5 * bits,
            "interposer": 0.3 * bits,
        }
    )
    # one refresh opens 16384 / 8192 rows in each of the 32 banks of a pseudo channel
    assert energy.refresh_pj == 2 * 32 * 909
    assert energy.missing == ("background",)
