"""Is a standard's file refused, at the right place, when it contradicts itself?"""

import pytest

from archsim.core.errors import InputError
from archsim.memory.standard import load_standard, standard_names, sum_of

GOOD = """\
schema: archsim.dram-standard/1
name: toy
bytes_per_s: 8 GB/s
capacity_bytes: 256 KiB
latency_s: 20 ns
streaming_efficiency: 90 %
energy: ddr4
source: {all: assumed}
device:
  family: TOY
  levels: [channel, rank, bank_group, bank]
  counts: {bank_group: 2, bank: 2}
  rows: 64
  columns: 128
  prefetch: 8
  access_bytes: 64 B
  tick: 1 ns
  refresh_level: rank
  commands: [ACT, PREpb, PREab, RD, WR, RDA, WRA, REFab]
  read_latency: nCL + nBL
  burst_ticks: nBL
  timings: {nBL: 4, nCL: 10, nRCD: 9, nRAS: 20, nRP: 8, nRC: 28, nRRDS: 2, nRRDL: 4}
  rules:
    row:
      - {level: bank, previous: [ACT], next: [RD, WR], ticks: nRCD}
      - {level: bank, previous: [ACT], next: [ACT], ticks: nRAS + nRP}
      - {level: rank, previous: [ACT], next: [ACT], ticks: 12, window: 4}
  source: {all: assumed}
"""


def load(tmp_path, old="", new=""):
    assert old in GOOD
    path = tmp_path / "toy.yaml"
    path.write_text(GOOD.replace(old, new, 1))
    load_standard.cache_clear()
    return load_standard(str(path))


def mistakes(tmp_path, old, new):
    with pytest.raises(InputError) as caught:
        load(tmp_path, old, new)
    return [(d.code, d.line, d.column, d.message, d.help) for d in caught.value.diagnostics]


def test_one_file_is_enough_for_a_new_standard(tmp_path):
    tables = load(tmp_path).tables()
    assert tables.constraints.tolist() == [
        [3, 0, 3, 9, 1, 0],
        [3, 0, 4, 9, 1, 0],
        [3, 0, 0, 28, 1, 0],
        [1, 0, 0, 12, 4, 0],
    ]
    assert (tables.read_latency, tables.banks, tables.row_bytes) == (14, 4, 1024)
    assert (tables.slots, tables.refresh_level) == ("single", 1)


def test_an_unknown_command_in_a_rule_names_the_closest(tmp_path):
    known = "ACT, PREpb, PREab, RD, WR, RDA, WRA, REFab"
    assert mistakes(tmp_path, "next: [RD, WR]", "next: [RD, WRB]") == [
        ("E108", 25, 51, f'command "WRB" is not one of {known}', 'did you mean "WR"?')
    ]


def test_an_unknown_timing_in_a_rule_names_the_closest(tmp_path):
    known = "nBL, nCL, nRCD, nRAS, nRP, nRC, nRRDS, nRRDL"
    assert mistakes(tmp_path, "ticks: nRCD}", "ticks: nRCDRD + 1}") == [
        ("E108", 25, 63, f'timing "nRCDRD" is not one of {known}', 'did you mean "nRCD"?')
    ]


def test_an_unknown_level_names_the_closest(tmp_path):
    assert mistakes(tmp_path, "counts: {bank_group: 2", "counts: {bankgroup: 2") == [
        (
            "E108",
            12,
            23,
            'level "bankgroup" is not one of channel, rank, bank_group, bank',
            'did you mean "bank_group"?',
        )
    ]


def test_a_level_that_this_standard_lacks_is_refused_in_a_rule(tmp_path):
    assert mistakes(tmp_path, "{level: rank", "{level: sid") == [
        ("E108", 27, 17, 'level "sid" is not one of channel, rank, bank_group, bank', None)
    ]


def test_what_is_not_a_sum_is_refused(tmp_path):
    assert mistakes(tmp_path, "ticks: nRAS + nRP", "ticks: nRAS nRP") == [
        (
            "E105",
            26,
            60,
            '"nRAS nRP" is not a sum of timings',
            "example `nCL + nBL + 2`",
        )
    ]


def test_a_row_cycle_that_is_not_open_time_plus_precharge_is_refused(tmp_path):
    assert mistakes(tmp_path, "nRC: 28", "nRC: 31") == [
        (
            "E202",
            22,
            62,
            "nRC is 31, but nRAS + nRP is 28",
            "a clock cycle apart is allowed; name it in `contradicts` if its source has more",
        )
    ]


def test_a_row_cycle_one_clock_apart_or_excused_is_accepted(tmp_path):
    assert load(tmp_path, "nRC: 28", "nRC: 29").device.timings["nRC"] == 29
    excused = "contradicts: [nRC]\n  timings: {nRC: 31,"
    assert load(tmp_path, "timings: {", excused.replace("nRC: 31,", "nX: 1, ")).device
    text = GOOD.replace("nRC: 28", "nRC: 31").replace("  rules:", "  contradicts: [nRC]\n  rules:")
    (tmp_path / "kept.yaml").write_text(text)
    assert load_standard(str(tmp_path / "kept.yaml")).device.timings["nRC"] == 31


def test_a_long_time_shorter_than_its_short_one_is_refused(tmp_path):
    assert [found[3] for found in mistakes(tmp_path, "nRRDL: 4", "nRRDL: 1")] == [
        "nRRDL is 1, less than nRRDS, which is 2"
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rows: 64", "rows: 65", "65 is not a power of two"),
        ("bank: 2}", "bank: 3}", "3 is not a power of two"),
        ("prefetch: 8", "prefetch: 256", "exceeds the 128 columns of a row"),
        ("nBL: 4", "nBL: -4", "-4 is negative"),
        ("[channel, rank,", "[rank,", "the outermost level is one channel"),
        ("refresh_level: rank", "refresh_level: sid", 'level "sid" is not one of'),
        ("[ACT, PREpb, PREab,", "[ACT, PREab, PREpb,", "must be one that activates, then PREpb"),
    ],
)
def test_a_shape_that_cannot_be_addressed_is_refused(tmp_path, old, new, message):
    assert any(message in found[3] for found in mistakes(tmp_path, old, new))


def test_all_mistakes_of_a_file_are_told_at_once(tmp_path):
    text = GOOD.replace("rows: 64", "rows: 65").replace("nRC: 28", "nRC: 35")
    (tmp_path / "two.yaml").write_text(text)
    with pytest.raises(InputError) as caught:
        load_standard(str(tmp_path / "two.yaml"))
    assert [d.line for d in caught.value.diagnostics] == [13, 22]


def test_a_standard_without_a_channel_has_no_tables(tmp_path):
    flat = tmp_path / "flat.yaml"
    flat.write_text(GOOD[: GOOD.index("device:")])
    with pytest.raises(InputError) as caught:
        load_standard(str(flat)).tables()
    assert caught.value.code == "E102"
    assert caught.value.message == "standard toy has peak and latency but no channel to simulate"


def test_an_unknown_standard_names_the_closest():
    with pytest.raises(InputError) as caught:
        load_standard("HBM3_6.4Gbit")
    assert caught.value.code == "E108"
    assert caught.value.help == 'did you mean "HBM3_6.4Gbps"?'


def test_a_missing_timing_is_named():
    tables = load_standard("DDR4").tables()
    with pytest.raises(InputError, match="DDR4 has no timing nREFIpb"):
        _ = tables.bank_refresh_interval


def test_sums_are_read_with_their_signs():
    assert sum_of("nCL + nBL + 2 - nCWL") == [(1, "nCL"), (1, "nBL"), (1, "2"), (-1, "nCWL")]
    assert sum_of("-nCL") == [(-1, "nCL")]
    for text in ("", "nCL nBL", "nCL +", "2 * nBL", "max(nBL, nCCDS)"):
        assert sum_of(text) == []


def test_names_are_those_of_the_files():
    assert all(load_standard(name).name == name for name in standard_names())
