"""Do field types hold plain numbers and show themselves as text with a unit?"""

from typing import Literal

import pytest
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from archsim.core.errors import InputError
from archsim.core.spec import (
    BandwidthRate,
    Bytes,
    Cycles,
    FlopPerByte,
    FlopPerSecond,
    Fraction,
    Hertz,
    Joules,
    Mm2,
    PjPerBit,
    Rate,
    Seconds,
    Spec,
    Watts,
    json_schema,
    problem,
)
from archsim.core.yamlio import load_spec
from archsim.core.yamlread import read_text
from archsim.testing.fuzz import SampleMachine


class Everything(Spec):
    """One field of each type."""

    capacity: Bytes
    """Bytes it holds."""
    bandwidth: Rate
    clock: Hertz
    latency: Seconds = 0.0
    power: Watts
    energy: Joules
    link: PjPerBit
    area: Mm2
    intensity: FlopPerByte
    peak: FlopPerSecond
    share: Fraction
    depth: Cycles


WRITTEN = {
    "capacity": "80 GiB",
    "bandwidth": "512 B/cycle",
    "clock": "940 MHz",
    "latency": "100 ns",
    "power": "170 W",
    "energy": "1.5 pJ",
    "link": "3.9 pJ/bit",
    "area": "2.5 mm2",
    "intensity": "16 FLOP/B",
    "peak": "275 TFLOP/s",
    "share": 0.85,
    "depth": 8,
}


def test_every_type_holds_a_plain_number_in_base_units():
    spec, _ = load_spec(WRITTEN, Everything)
    assert spec.capacity == 80 * 2**30
    assert (spec.clock, spec.latency, spec.power, spec.energy) == (940e6, 1e-7, 170.0, 1.5e-12)
    assert (spec.link, spec.area, spec.intensity, spec.peak) == (3.9, 2.5, 16.0, 275e12)
    assert (spec.share, spec.depth) == (0.85, 8)


def test_every_type_writes_itself_as_it_was_written():
    spec, _ = load_spec(WRITTEN, Everything)
    assert spec.to_data() == WRITTEN


def test_a_rate_becomes_bytes_per_second_at_a_clock():
    assert BandwidthRate(512.0, "cycle").bytes_per_s(1e9) == 512e9
    assert BandwidthRate(1.2e12, "s").bytes_per_s(1e9) == 1.2e12


@pytest.mark.parametrize("value", [None, True, [1], {"a": 1}, ""])
@pytest.mark.parametrize("field", ["capacity", "bandwidth", "share", "depth"])
def test_what_is_neither_text_nor_number_is_a_wrong_dimension(field, value):
    with pytest.raises(InputError) as caught:
        load_spec({**WRITTEN, field: value}, Everything)
    (found,) = caught.value.diagnostics
    assert found.code == "E105"
    assert found.message.startswith(f"{field} expects ")


@pytest.mark.parametrize("field", ["capacity", "bandwidth", "clock"])
def test_a_bare_number_is_refused_where_there_is_a_dimension(field):
    with pytest.raises(InputError) as caught:
        load_spec({**WRITTEN, field: 80}, Everything)
    assert caught.value.code == "E103"


@pytest.mark.parametrize("share", ["85 %", 0.85, "0.85"])
def test_a_share_is_a_percentage_or_a_number(share):
    assert load_spec({**WRITTEN, "share": share}, Everything)[0].share == 0.85


def test_python_code_may_hand_over_a_rate_itself():
    rate = BandwidthRate(512.0, "cycle")
    spec, _ = load_spec(WRITTEN, Everything)
    data = spec.model_dump() | {"bandwidth": rate}
    assert Everything.model_validate(data) == spec


def test_a_spec_is_frozen():
    spec, _ = load_spec(WRITTEN, Everything)
    with pytest.raises(ValidationError, match="frozen"):
        spec.depth = 9


def test_a_number_is_never_made_of_text():
    with pytest.raises(InputError) as caught:
        load_spec({"schema": "archsim.machine/1", "name": 5, "memory": {}}, SampleMachine)
    assert caught.value.message == "name expects text, got 5"


def test_the_json_schema_describes_quantities_as_text_with_examples():
    fields = json_schema(Everything)["properties"]
    assert fields["capacity"]["type"] == "string"
    assert fields["capacity"]["description"] == "Bytes it holds."
    assert fields["capacity"]["examples"] == ["80 GiB", "24 MiB"]
    assert fields["latency"]["default"] == "0 s"
    assert fields["clock"]["description"] == "Hertz, a number with its unit."
    assert fields["share"]["type"] == ["string", "number"]
    assert "extends" in fields


class Pair(Spec):
    """Two fields that must agree."""

    kind: Literal["pair"] = "pair"
    low: int
    high: int
    word: str = "word"

    @model_validator(mode="after")
    def check(self) -> "Pair":
        if self.word == "plain":
            raise ValueError("a plain complaint")
        if self.low > self.high:
            raise problem("E299", "low is above high", help="swap them")
        return self


def test_a_validator_of_a_spec_names_its_own_code_and_help():
    with pytest.raises(InputError) as caught:
        load_spec({"low": 2, "high": 1}, Pair)
    assert caught.value.render() == "error[E299]: low is above high\n      = help: swap them"


def test_a_complaint_about_a_whole_mapping_points_at_its_key():
    document = read_text("pair: {low: 2, high: 1}\n", "d.yaml")
    with pytest.raises(InputError) as caught:
        load_spec(document, TypeAdapter(dict[str, Pair]))
    (found,) = caught.value.diagnostics
    assert (found.line, found.column, found.width, found.path) == (1, 1, 4, "pair")


def test_a_spec_without_a_version_has_no_command_that_lists_its_keys():
    with pytest.raises(InputError) as caught:
        load_spec({"low": 1, "hihg": 2}, Pair)
    assert caught.value.render() == (
        'error[E101]: unknown key "hihg" at the top level\n      = help: did you mean "high"?'
    )
    with pytest.raises(InputError) as caught:
        load_spec({"low": 1}, Pair)
    assert caught.value.render() == 'error[E102]: the file needs "high"'


class Limited(Spec):
    """Fields with limits of pydantic's own."""

    items: list[int] = Field(default=[1], min_length=1)
    word: str = Field(default="ab", pattern="^[a-z]+$")
    step: int = Field(default=2, multiple_of=2)
    ratio: float = 1.0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"items": []}, "items: list should have at least 1 item after validation, not 0"),
        ({"word": "A"}, "word: string should match pattern '^[a-z]+$'"),
        ({"step": 3}, "step must be a multiple of 2, got 3"),
        ({"ratio": float("inf")}, "ratio: input should be a finite number"),
    ],
)
def test_every_other_limit_is_out_of_range_in_pydantics_words(data, message):
    with pytest.raises(InputError) as caught:
        load_spec(data, Limited)
    assert caught.value.render() == f"error[E107]: {message}"


def test_a_plain_complaint_of_a_validator_is_a_contradiction():
    with pytest.raises(InputError) as caught:
        load_spec({"low": 1, "high": 2, "word": "plain"}, Pair)
    assert caught.value.render() == "error[E202]: a plain complaint"
