"""Are quantities read as the field means them, and refused where two people would differ?"""

import pytest

from archsim.core.units import (
    QuantityError,
    canonical,
    format_bytes,
    format_si,
    parse_fraction,
    parse_quantity,
    parse_rate,
)


@pytest.mark.parametrize(
    ("text", "dimension", "value"),
    [
        ("1.2 TB/s", "bytes/s", 1.2e12),
        ("819.2 GB/s", "bytes/s", 819.2e9),
        ("400 Gbit/s", "bytes/s", 50e9),
        ("940 MHz", "hertz", 940e6),
        ("24 MiB", "bytes", 24 * 2**20),
        ("80 GB", "bytes", 80 * 10**9),
        ("40 Mibit", "bytes", 5 * 2**20),
        ("64kB", "bytes", 64_000),
        ("2 bytes", "bytes", 2),
        ("0.8 us", "seconds", 0.8e-6),
        ("0.8 µs", "seconds", 0.8e-6),
        ("0 s", "seconds", 0.0),
        ("3.9 pJ/bit", "pj/bit", 3.9),
        ("31.2 pJ/B", "pj/bit", 3.9),
        ("2.5 mm2", "mm2", 2.5),
        ("2.5 mm^2", "mm2", 2.5),
        ("16 FLOP/B", "flop/byte", 16.0),
        ("275 TFLOP/s", "flop/s", 275e12),
        ("1 TMAC/s", "flop/s", 2e12),
        ("170 W", "watts", 170.0),
        ("1.5 pJ", "joules", 1.5e-12),
        ("8 cycles", "cycles", 8),
        ("1 cycle", "cycles", 1),
        ("1e3 B", "bytes", 1000),
        ("  4   GiB ", "bytes", 4 * 2**30),
        ("1 TB / s", "bytes/s", 1e12),
    ],
)
def test_a_quantity_is_exact_in_base_units(text, dimension, value):
    read = parse_quantity(text, dimension)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "dimension", "code", "message", "help_text"),
    [
        (
            "80",
            "bytes",
            "E103",
            "the value needs a unit, got 80",
            "`80 GiB` or `80 GB`? they differ by 7.4 %",
        ),
        ("4", "hertz", "E103", "the value needs a unit, got 4", "write it like `940 MHz`"),
        (
            "400 Gb/s",
            "bytes/s",
            "E104",
            '"400 Gb/s": "b" is ambiguous',
            "`400 Gbit/s` or `400 GB/s`",
        ),
        (
            "400 Gbps",
            "bytes/s",
            "E104",
            '"400 Gbps": "bps" is ambiguous',
            "`400 Gbit/s` or `400 GB/s`",
        ),
        ("4 GBps", "bytes/s", "E104", '"4 GBps": "Bps" is ambiguous', "`4 GB/s`"),
        (
            "6.4 Gbps/pin",
            "bytes/s",
            "E104",
            '"6.4 Gbps/pin": "bps" is ambiguous',
            "`6.4 Gbit/s/pin` or `6.4 GB/s/pin`",
        ),
        (
            "1.2 pJ/b",
            "pj/bit",
            "E104",
            '"1.2 pJ/b": "b" is ambiguous',
            "`1.2 pJ/bit` or `1.2 pJ/B`",
        ),
        ("40 Mib", "bytes", "E104", '"40 Mib": "b" is ambiguous', "`40 Mibit` or `40 MiB`"),
        ("64 KB", "bytes", "E104", '"64 KB": "K" is ambiguous', "`64 KiB` or `64 kB`"),
        ("64 Kb", "bytes", "E104", '"64 Kb": "b" is ambiguous', "`64 kbit` or `64 kB`"),
        ("12 TOPS", "flop/s", "E104", '"12 TOPS": "OPS" is ambiguous', "`12 TOP/s` or `12 TOP`"),
        (
            "9 TFLOPS",
            "flop/s",
            "E104",
            '"9 TFLOPS": "FLOPS" is ambiguous',
            "`9 TFLOP/s` or `9 TFLOP`",
        ),
        (
            "1 parsec",
            "bytes",
            "E104",
            '"1 parsec": unknown unit "parsec"',
            "write it like `80 GiB`",
        ),
        (
            "5 GB per s",
            "bytes/s",
            "E104",
            '"5 GB per s": unknown unit "GB per s"',
            "write it like `1.2 TB/s`",
        ),
        ("1 Tesla", "bytes", "E104", '"1 Tesla": unknown unit "Tesla"', "write it like `80 GiB`"),
        (
            "fast",
            "bytes/s",
            "E105",
            'the value expects bytes per second, got "fast"',
            "write it like `1.2 TB/s`",
        ),
        (
            "2 GT/s",
            "bytes/s",
            "E105",
            'the value expects bytes per second, got "2 GT/s" (unit GT/s)',
            "write it like `1.2 TB/s`",
        ),
        ("3,35 TB/s", "bytes/s", "E106", '"3,35 TB/s": comma in a number', "`3.35 TB/s`"),
        ("1,000 B", "bytes", "E106", '"1,000 B": comma in a number', "`1.000 B` or `1000 B`"),
        (
            "0 B",
            "bytes",
            "E107",
            "the value must be greater than 0, got 0 B",
            "write it like `80 GiB`",
        ),
        (
            "-1 s",
            "seconds",
            "E107",
            "the value must be 0 or more, got -1 s",
            "write it like `100 ns`",
        ),
        (
            "1 bit",
            "bytes",
            "E107",
            "the value must be a whole number of bytes, got 1 bit",
            "write it like `80 GiB`",
        ),
        (
            "1e30 B",
            "bytes",
            "E107",
            "the value is out of range, got 1e30 B",
            "write it like `80 GiB`",
        ),
        (
            "1e400 s",
            "seconds",
            "E107",
            "the value is out of range, got 1e400 s",
            "write it like `100 ns`",
        ),
        (
            "1e-400 s",
            "seconds",
            "E107",
            "the value is out of range, got 1e-400 s",
            "write it like `100 ns`",
        ),
    ],
)
def test_a_text_that_is_not_the_quantity_is_refused(text, dimension, code, message, help_text):
    with pytest.raises(QuantityError) as caught:
        parse_quantity(text, dimension)
    assert (caught.value.code, caught.value.message, caught.value.help) == (
        code,
        message,
        help_text,
    )


def test_endless_text_is_no_quantity():
    with pytest.raises(QuantityError, match=r'got "1{40}\.\.\."'):
        parse_quantity("1" * 5000 + " B", "bytes")


def test_a_wrong_dimension_says_which_it_is():
    with pytest.raises(QuantityError) as caught:
        parse_quantity("1 TB/s", "bytes")
    assert caught.value.got == "bytes/s"
    assert caught.value.message == 'the value expects bytes, got "1 TB/s" (bytes per second)'


def test_a_rate_is_per_second_or_per_cycle():
    assert parse_rate("1.2 TB/s") == (1.2e12, "s")
    assert parse_rate("512 B/cycle") == (512.0, "cycle")
    with pytest.raises(QuantityError, match="expects bytes per second"):
        parse_rate("1 s")


def test_a_share_is_a_percentage_or_a_number():
    assert parse_fraction("85 %") == parse_fraction("85%") == parse_fraction("0.85") == 0.85
    assert parse_fraction("1") == 1.0


@pytest.mark.parametrize(
    ("text", "code"), [("0", "E107"), ("101 %", "E107"), ("85 m", "E105"), ("0,85", "E106")]
)
def test_a_share_outside_its_range_is_refused(text, code):
    with pytest.raises(QuantityError) as caught:
        parse_fraction(text)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("value", "dimension", "text"),
    [
        (80 * 2**30, "bytes", "80 GiB"),
        (80 * 10**9, "bytes", "80 GB"),
        (1024, "bytes", "1 KiB"),
        (1000, "bytes", "1 kB"),
        (7, "bytes", "7 B"),
        (1.2e12, "bytes/s", "1.2 TB/s"),
        (512.0, "bytes/cycle", "512 B/cycle"),
        (940e6, "hertz", "940 MHz"),
        (1e-7, "seconds", "100 ns"),
        (0.0, "seconds", "0 s"),
        (3.9, "pj/bit", "3.9 pJ/bit"),
        (2.5e-30, "mm2", "2.5e-30 mm2"),
        (5e-324, "watts", "5e-324 W"),
    ],
)
def test_a_number_is_written_as_the_shortest_exact_text(value, dimension, text):
    assert canonical(value, dimension) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(5 * 2**30, "5.00 GiB"), (1536, "1.50 KiB"), (12, "12 B"), (0, "0 B"), (2**51, "2.00 PiB")],
)
def test_bytes_for_people_are_in_powers_of_two(count, text):
    assert format_bytes(count) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.00123, "1.23 ms"),
        (12.3, "12.3 s"),
        (999.4, "999 s"),
        (999.6, "1.00 ks"),
        (0.0, "0 s"),
        (-0.00123, "-1.23 ms"),
        (5e21, "5000 Es"),
    ],
)
def test_numbers_for_people_have_three_digits_and_a_prefix(value, text):
    assert format_si(value, "s") == text
