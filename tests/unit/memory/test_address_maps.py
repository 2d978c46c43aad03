"""Do addresses land where the published mappings put them, and are bad mappings refused?"""

import numpy as np
import pytest

from archsim.core.errors import InputError
from archsim.memory.address import AddressMap, Decoded
from archsim.memory.standard import find_preset, load_standard

DDR4 = load_standard("DDR4").tables()  # 128 accesses of 64 B a row, 4 groups of 4 banks
HBM3 = load_standard("HBM3").tables()  # 32 accesses of 32 B, 2 pseudo channels, 2 SIDs, 4 x 4


def place(tables, mapping, address, channels=1):
    """Channel, node of each level below it, row and column of one address."""
    got = AddressMap(tables, channels, mapping).decode(np.array([address], np.int64))
    bank, nodes = int(got.bank[0]), []
    for count in reversed(tables.counts[1:]):
        bank, node = divmod(bank, count)
        nodes.insert(0, node)
    return (int(got.channel[0]), *nodes, int(got.row[0]), int(got.column[0]))


def test_robarococh_goes_through_a_row_then_the_bank_groups_then_the_banks():
    at = lambda access: place(DDR4, "RoBaRaCoCh", access * 64)  # noqa: E731
    assert at(0) == (0, 0, 0, 0, 0, 0)
    assert at(127) == (0, 0, 0, 0, 0, 127)
    assert at(128) == (0, 0, 1, 0, 0, 0)
    assert at(4 * 128) == (0, 0, 0, 1, 0, 0)
    assert at(16 * 128 + 5) == (0, 0, 0, 0, 1, 5)


def test_robarococh_puts_pseudo_channels_and_sids_below_the_groups():
    at = lambda access: place(HBM3, "RoBaRaCoCh", access * 32)  # noqa: E731
    assert at(32) == (0, 1, 0, 0, 0, 0, 0)
    assert at(64) == (0, 0, 1, 0, 0, 0, 0)
    assert at(128) == (0, 0, 0, 1, 0, 0, 0)
    assert at(512) == (0, 0, 0, 0, 1, 0, 0)
    assert at(2048) == (0, 0, 0, 0, 0, 1, 0)


def test_charabaroco_stays_in_a_bank_through_all_its_rows():
    at = lambda access: place(DDR4, "ChRaBaRoCo", access * 64)  # noqa: E731
    assert at(128) == (0, 0, 0, 0, 1, 0)
    assert at(128 * 65536) == (0, 0, 0, 1, 0, 0)
    assert at(128 * 65536 * 4) == (0, 0, 1, 0, 0, 0)


def test_mop4clxor_takes_four_accesses_of_a_row_in_turn_and_xors_column_bits():
    at = lambda access: place(DDR4, "MOP4CLXOR", access * 64)  # noqa: E731
    assert at(0) == (0, 0, 0, 0, 0, 0)
    # column 3: its two low bits flip the bank group
    assert at(3) == (0, 0, 3, 0, 0, 3)
    assert at(4) == (0, 0, 1, 0, 0, 0)
    assert at(16) == (0, 0, 0, 1, 0, 0)
    # column 4 (bit 2) flips the bank, column 16 (bit 4) the row
    assert at(64) == (0, 0, 0, 1, 0, 4)
    assert at(256) == (0, 0, 0, 0, 1, 16)
    assert at(64 * 32) == (0, 0, 0, 0, 1, 0)


def test_channels_are_the_lowest_bits_of_ramulators_mappings():
    for mapping in ("RoBaRaCoCh", "MOP4CLXOR", "ChRaBaRoCo"):
        assert [place(HBM3, mapping, access * 32, 16)[0] for access in (0, 1, 15, 16)] == [
            0, 1, 15, 0,
        ]  # fmt: skip


def test_the_pairs_of_dramsim3_go_from_the_most_significant_bit_down():
    tables = load_standard("DDR4_8Gb_x8_2400").tables()
    at = lambda access: place(tables, "rochrababgco", access * 64)  # noqa: E731
    assert at(1) == (0, 0, 0, 0, 0, 1)
    assert at(128) == (0, 0, 1, 0, 0, 0)
    assert at(512) == (0, 0, 0, 1, 0, 0)
    assert at(2048) == (0, 1, 0, 0, 0, 0)
    assert at(4096) == (0, 0, 0, 0, 1, 0)


def test_a_written_order_says_the_same_as_a_name():
    addresses = np.random.default_rng(5).integers(0, DDR4.channel_bytes, 500, dtype=np.int64)
    pairs = {
        "RoBaRaCoCh": "row:16 bank:2 bank_group:2 column:7",
        "MOP4CLXOR": "row:16^column>>4 column:5 bank:2^column>>2 bank_group:2^column column:2",
        "robabgco": "row:16 bank:2 bank_group:2 column:7",
    }
    for name, order in pairs.items():
        named, written = AddressMap(DDR4, 1, name), AddressMap(DDR4, 1, order)
        one, two = named.decode(addresses), written.decode(addresses)
        assert (one.bank == two.bank).all()
        assert (one.row == two.row).all()
        assert (one.column == two.column).all()


STRIDES = [  # sim, organisation, timing, channels, mapping, next row, row: published trace steps
    ("Ramulator2.1", "DDR4_8Gb_x8", "DDR4_3200AA", 1, "ChRaBaRoCo", 8192, 8192),
    ("Ramulator2.1", "DDR4_8Gb_x8", "DDR4_3200AA", 1, "MOP4CLXOR", 131072, 8192),
    ("Ramulator2.1", "DDR5_16Gb_x8", "DDR5_4800BN", 2, "RoBaRaCoCh", 262144, 8192),
    ("Ramulator2.1", "HBM3_16Gb_8hi", "HBM3_6400Mbps", 1, "ChRaBaRoCo", 1024, 1024),
    ("Ramulator2.1", "HBM3_16Gb_8hi", "HBM3_6400Mbps", 16, "MOP4CLXOR", 1048576, 16384),
    ("Ramulator2.1", "LPDDR5_16Gb_x16", "LPDDR5_6400", 4, "MOP4CLXOR", 131072, 8192),
    ("DRAMsim3", "GDDR6_8Gb_x16", "GDDR6_8Gb_x16", 1, "rochrababgco", 524288, 32768),
    ("DRAMsim3", "HBM2_8Gb_x128", "HBM2_8Gb_x128", 8, "rorabgbachco", 262144, 2048),
    ("DRAMsim3", "LPDDR4_8Gb_x16_2400", "LPDDR4_8Gb_x16_2400", 1, "rochrababgco", 131072, 8192),
]


@pytest.mark.parametrize(
    ("simulator", "organisation", "timing", "channels", "mapping", "stride", "page"), STRIDES
)
def test_the_steps_to_the_next_row_and_the_next_page_are_the_published_ones(
    simulator, organisation, timing, channels, mapping, stride, page
):
    tables = load_standard(find_preset(simulator, organisation, timing)).tables()
    places = AddressMap(tables, channels, mapping)
    assert places.row_stride_bytes == stride
    assert places.page_bytes == page


@pytest.mark.parametrize(
    ("mapping", "code", "message", "help"),
    [
        (
            "RoBaRaCohC", "E108",
            'mapping "RoBaRaCohC" is not one of RoBaRaCoCh, MOP4CLXOR, ChRaBaRoCo, nor made of '
            "the pairs ch pc ra si bg ba ro co, nor a bit order",
            'did you mean "RoBaRaCoCh"?',
        ),
        ("rorababgcoro", "E202", 'mapping "rorababgcoro" repeats row', None),
        (
            "rorabgco", "E202",
            'mapping "rorabgco" drops bits: bank has 2, here 0',
            'the pair of bank is "ba"',
        ),
        (
            "row:15 bank:2 bank_group:2 column:7", "E202",
            'mapping "row:15 bank:2 bank_group:2 column:7" drops bits: row has 16, here 15',
            "every bit of row once, such as `row:1`",
        ),
        (
            "row:16 bank:2 bank_group:2 column:7 bank:1", "E202",
            'mapping "row:16 bank:2 bank_group:2 column:7 bank:1" repeats bits: bank has 2, here 3',
            "every bit of bank once, such as `bank:1`",
        ),
        (
            "row:16 banks:2 column:7", "E108",
            'mapping "row:16 banks:2 column:7": field "banks" is not one of channel, rank, '
            "bank_group, bank, row, column",
            'did you mean "bank"?',
        ),
        (
            "row:16 bank:2^rows bank_group:2 column:7", "E108",
            'mapping "row:16 bank:2^rows bank_group:2 column:7": field "rows" is not one of '
            "channel, rank, bank_group, bank, row, column",
            'did you mean "row"?',
        ),
        (
            "row:16 bank=2 column:7", "E105",
            'mapping "row:16 bank=2 column:7": "bank=2" is not field:bits',
            "example `bank:2^row>>3`",
        ),
        (
            "row:16^bank bank:2^row bank_group:2 column:7", "E202",
            'mapping "row:16^bank bank:2^row bank_group:2 column:7": row is XORed onto bank and '
            "has an XOR of its own",
            "XOR fields that keep their bits, so that every address has its own place",
        ),
        (
            "row:16 bank:2^column>>7 bank_group:2 column:7", "E202",
            'mapping "row:16 bank:2^column>>7 bank_group:2 column:7": column has 7 bits, none '
            "above 7",
            None,
        ),
    ],
)  # fmt: skip
def test_a_bad_mapping_says_what_is_wrong(mapping, code, message, help):
    with pytest.raises(InputError) as caught:
        AddressMap(DDR4, 1, mapping)
    assert (caught.value.code, caught.value.message, caught.value.help) == (code, message, help)


@pytest.mark.parametrize("address", [-1, DDR4.channel_bytes])
def test_an_address_outside_the_capacity_is_never_clamped(address):
    places = AddressMap(DDR4, 1, "RoBaRaCoCh")
    with pytest.raises(InputError) as caught:
        places.decode(np.array([0, address], np.int64))
    assert caught.value.code == "E202"
    assert caught.value.message == (
        f"address {address:#x} (request 1) is outside the 8 GiB of 1 x DDR4"
    )


def test_a_row_that_does_not_exist_has_no_address():
    places = AddressMap(DDR4, 1, "RoBaRaCoCh")
    zero, far = np.zeros(1, np.int64), np.full(1, 65536, np.int64)
    with pytest.raises(InputError, match=r"row outside 0 \.\.\. 65535"):
        places.encode(Decoded(zero, zero, far, zero))


def test_channels_come_in_powers_of_two():
    with pytest.raises(InputError, match="3 channels are not a power of two"):
        AddressMap(DDR4, 3, "RoBaRaCoCh")
