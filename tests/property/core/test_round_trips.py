"""Do quantities and YAML text come back exactly as they went in?"""

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.core.dimensions import DIMENSIONS
from archsim.core.units import canonical, format_si, parse_quantity
from archsim.core.yamlio import dump_yaml, sha256_of
from archsim.core.yamlread import read_text

few = settings(max_examples=300, deadline=None, derandomize=True)
words = st.text(st.characters(blacklist_categories=("Cs",)), max_size=20)
treacherous = [
    "NO",
    "1e9",
    "1_000",
    "0x1F",
    "0o17",
    "12:30",
    "~",
    "null",
    "",
    ".inf",
    "-",
    "2024-01-01",
]
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    words,
    st.sampled_from([*treacherous, "a: b", "#x", "- x", " x ", "x\n", "<<", "="]),
)
LARGEST = 2**63 - 1  # bytes or cycles that a field takes
trees = st.recursive(
    leaves, lambda below: st.one_of(st.lists(below), st.dictionaries(words, below)), max_leaves=12
)


@few
@given(st.floats(min_value=0, allow_infinity=False), st.sampled_from(sorted(DIMENSIONS)))
def test_a_quantity_is_written_as_text_that_parses_to_the_same_number(value, dimension):
    about = DIMENSIONS[dimension]
    if about.whole:
        value = min(int(value), LARGEST)
    if value == 0 and not about.zero:
        value = 1
    assert parse_quantity(canonical(value, dimension), dimension) == value


@few
@given(st.integers(1, LARGEST))
def test_any_number_of_bytes_is_written_exactly(count):
    assert parse_quantity(canonical(count, "bytes"), "bytes") == count


@few
@given(st.decimals("0.001", "9999", places=3), st.sampled_from(["k", "M", "G", "T"]))
def test_decimals_are_scaled_without_rounding_error(number, prefix):
    power = {"k": 3, "M": 6, "G": 9, "T": 12}[prefix]
    exact = float(Fraction(str(number)) * 10**power)
    assert parse_quantity(f"{number} {prefix}Hz", "hertz") == exact


@few
@given(st.floats(1e-17, 1e20))
def test_text_for_people_is_within_half_a_percent(value):
    digits, unit = format_si(value, "s").split(" ")
    power = {"": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
    power |= {"m": -3, "u": -6, "n": -9, "p": -12, "f": -15, "a": -18}
    shown = float(digits) * 10.0 ** power[unit.removesuffix("s")]
    assert math.isclose(shown, value, rel_tol=0.0051)


@few
@given(trees)
def test_plain_data_survives_yaml(data):
    tree = {"data": data}
    assert read_text(dump_yaml(tree), None).data == tree


@given(st.dictionaries(words, st.integers()))
@few
def test_the_hash_of_data_does_not_depend_on_key_order(data):
    backwards = dict(reversed(data.items()))
    assert sha256_of(data) == sha256_of(backwards)


@pytest.mark.parametrize("dimension", sorted(DIMENSIONS))
def test_every_example_in_the_manual_parses(dimension):
    assert all(parse_quantity(text, dimension) > 0 for text in DIMENSIONS[dimension].examples)
