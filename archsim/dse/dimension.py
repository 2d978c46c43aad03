"""One dimension of a space of designs: which values it has, and how a number becomes one of them.

A dimension is written as choices, as a range in equal or in geometric steps, or as whole numbers. A
choice that is a mapping sets several paths at once. Dimensions together are a space.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from archsim.core.dimensions import convert, known
from archsim.core.errors import InputError
from archsim.core.spec import Spec, problem

_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(\D.*?)?\s*")
MOST_STEPS = 1_000_000
MOST_TRIED = 100  # choices that are tried before a study begins
DIGITS = 6  # of a value that is drawn from a continuum: what anybody can say of a rate or a size
UNITS = {"bytes": "B", "cycles": "cycle"}  # of what is counted

End = Annotated[
    Annotated[int | float, Tag("number")] | Annotated[str, Tag("text")],
    Discriminator(lambda value: "text" if isinstance(value, str) else "number"),
]
"""An end of a range: a number, or a quantity with its unit."""


class DimensionSpec(Spec):
    """The values of a setting, in exactly one form."""

    choices: tuple[Any, ...] | None = Field(default=None, examples=[["16 MiB", "32 MiB"]])
    """Values, each as `--set` takes it; a mapping sets several paths at once."""

    range: tuple[End, End] | None = Field(default=None, examples=[["0.5 TB/s", "4 TB/s"]])
    """Least and largest value; in equal steps, or continuous where there are none. Ends that are
    whole numbers without a unit have whole numbers between them."""

    log_range: tuple[End, End] | None = Field(default=None, examples=[[4096, 65536]])
    """The same in geometric steps."""

    int_range: tuple[int, int] | None = Field(default=None, examples=[[1, 64]])
    """Least and largest whole number."""

    steps: Annotated[int, Field(ge=2, le=MOST_STEPS)] | None = None
    """Values of a range, its ends among them."""

    step: Annotated[int, Field(ge=1)] | None = None
    """Distance of whole numbers. Default: 1."""

    log: bool | None = None
    """Draw small whole numbers as often as large ones, decade by decade."""

    unit: str | None = Field(default=None, examples=["FLOP/B"])
    """Unit of whole numbers."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        forms = ("choices", "range", "log_range", "int_range")
        given = [form for form in forms if getattr(self, form) is not None]
        if len(given) != 1:
            raise problem(
                "E102", f"needs exactly one of {', '.join(forms)}; got {', '.join(given) or 'none'}"
            )
        ranged = {"range": ("steps",), "log_range": ("steps",)}
        fitting = {**ranged, "int_range": ("step", "log", "unit")}
        options = ("steps", "step", "log", "unit")
        said = [name for name in options if getattr(self, name) is not None]
        alien = [name for name in said if name not in fitting.get(given[0], ())]
        if alien:
            raise problem("E202", f"{alien[0]} says nothing of {given[0]}", "leave it out")
        if self.log and self.step:
            raise problem("E202", "whole numbers are drawn by log or have a step, not both")
        return self


AnyDimension = Annotated[
    Annotated[tuple[Any, ...], Tag("list")] | Annotated[DimensionSpec, Tag("mapping")],
    Discriminator(lambda value: "list" if isinstance(value, list | tuple) else "mapping"),
]
"""A list of choices, or a dimension in full."""


@dataclass(frozen=True)
class Span:
    """Everything between two numbers.

    Attributes:
        low, high: the ends, in the unit.
        log: that ratios count, not differences.
        whole: which numbers are whole: none, those that are written, or those in the base unit of
            a dimension that counts (bytes, cycles).
        unit: written after values; empty for a plain number.
    """

    low: float
    high: float
    log: bool
    whole: Literal["none", "written", "base"]
    unit: str

    def at(self, share: float, digits: int | None = None) -> Any:
        """The value at a share in [0, 1] of the way from low to high, as YAML holds it.

        With `digits`, one between the ends is rounded to so many significant ones.
        """
        if self.log:
            found = self.low * (self.high / self.low) ** share
        else:
            found = self.low + (self.high - self.low) * share
        if digits and 0 < share < 1:
            found = float(f"{found:.{digits}g}")
        found = min(max(self.high if share == 1 else found, self.low), self.high)
        if self.whole == "base":
            return _counted_text(found, self.unit)
        number = round(found) if self.whole == "written" else found
        if not self.unit:
            return number
        return f"{repr(number).removesuffix('.0')} {self.unit}"


@dataclass(frozen=True)
class Dimension:
    """A dimension ready to be drawn from.

    Attributes:
        path: the setting, or a label where choices are mappings.
        levels: the values in order; None where there is a continuum.
        ordered: that neighbours are alike, so that a search may learn from them.
        span: the continuum, or the whole numbers that are drawn decade by decade.
        chosen: that values are written one by one, so that one tells nothing of another.
    """

    path: str
    levels: tuple[Any, ...] | None
    ordered: bool
    span: Span | None = None
    chosen: bool = False

    def at(self, share: float) -> Any:
        """The value at a share in [0, 1] of the way through."""
        if self.span is not None:
            return self.span.at(share, DIGITS if self.levels is None else None)
        assert self.levels is not None
        return self.levels[min(int(share * len(self.levels)), len(self.levels) - 1)]

    @property
    def telling(self) -> tuple[Any, ...]:
        """Values that mistakes show in: choices, of many the first; of a range both ends."""
        if self.levels is None:
            return (self.at(0.0), self.at(1.0))
        if self.chosen:
            return self.levels[:MOST_TRIED]
        return tuple(self.levels[i] for i in sorted({0, len(self.levels) - 1}))

    def settings(self, value: Any) -> dict[str, Any]:
        """What a value sets, by path."""
        return dict(value) if isinstance(value, Mapping) else {self.path: value}


def dimension(path: str, said: tuple[Any, ...] | DimensionSpec) -> Dimension:
    """A dimension from its description.

    Raises:
        InputError: for no choices, one given twice, a range that is empty or goes through zero.
    """
    spec = said if isinstance(said, DimensionSpec) else DimensionSpec(choices=said)
    if spec.choices is not None:
        return _of_choices(path, spec.choices)
    if spec.int_range is not None:
        return _of_whole_numbers(path, spec)
    ends = spec.range or spec.log_range
    assert ends is not None
    span = _span(ends, log=spec.log_range is not None)
    if spec.steps is None:
        return Dimension(path, None, True, span)
    values = [span.at(i / (spec.steps - 1)) for i in range(spec.steps)]
    return Dimension(path, tuple(dict.fromkeys(values)), True)


def _of_choices(path: str, choices: tuple[Any, ...]) -> Dimension:
    if not choices:
        raise InputError("no choices", code="E107", help="a list with one value or more")
    shown = [repr(choice) for choice in choices]
    twice = next((text for i, text in enumerate(shown) if text in shown[:i]), None)
    if twice:
        raise InputError(f"{twice} is given twice", code="E002", help="remove one")
    numbers = [size_of(choice) for choice in choices]
    sizes = [number for number in numbers if number is not None]
    ordered = len(sizes) == len(choices) and sizes in (sorted(sizes), sorted(sizes, reverse=True))
    return Dimension(path, choices, ordered, chosen=True)


def _of_whole_numbers(path: str, spec: DimensionSpec) -> Dimension:
    assert spec.int_range is not None
    low, high = spec.int_range
    unit = spec.unit or ""
    _refuse(low, high, f"{low}, {high}", log=bool(spec.log))
    count = (high - low) // (spec.step or 1) + 1
    if count > MOST_STEPS:
        raise InputError(f"{count} values are too many", code="E107", help="a wider `step`")
    numbers = range(low, high + 1, spec.step or 1)
    levels = tuple(f"{n} {unit}" if unit else n for n in numbers)
    return Dimension(
        path, levels, True, Span(low, high, True, "written", unit) if spec.log else None
    )


def _span(ends: tuple[Any, Any], *, log: bool) -> Span:
    """The continuum between two ends, in the unit of the first."""
    first, unit = number_and_unit(ends[0])
    last, other = number_and_unit(ends[1])
    shown = f"{ends[0]}, {ends[1]}"
    if bool(unit) != bool(other):
        raise InputError(f"one end of {shown} has a unit", code="E105", help="both, or none")
    kind, factor = _measure(unit)
    other_kind, other_factor = _measure(other)
    if kind != other_kind:
        raise InputError(f"{shown} are not the same kind of quantity", code="E105")
    low, high = Fraction(first), Fraction(last) * other_factor / factor
    _refuse(low, high, shown, log=log)
    counts = [known()["bytes"][0], known()["cycles"][0]]
    whole: Literal["none", "written", "base"] = "none"
    if unit and kind in counts:
        whole = "base"
    elif not unit and all(isinstance(end, int) for end in ends):
        whole = "written"
    return Span(float(low), float(high), log, whole, unit)


def number_and_unit(value: Any) -> tuple[str, str]:
    """The number and the unit of a value, as text.

    Raises:
        InputError: E105 where it does not begin with a number.
    """
    found = _NUMBER.fullmatch(str(value))
    if found is None or isinstance(value, bool):
        raise InputError(f'"{value}" is no number and no quantity', code="E105")
    return found[1], (found[2] or "").strip()


def _measure(unit: str) -> tuple[Any, Fraction]:
    """What kind of quantity a unit is of, and its size."""
    if not unit:
        return None, Fraction(1)
    if unit == "%":
        return None, Fraction(1, 100)
    try:
        return convert(power_written(unit))
    except KeyError as unknown:
        raise InputError(f'unknown unit "{unknown.args[0]}"', code="E104") from None


def power_written(unit: str) -> str:
    """A unit with its powers as the registry of units reads them: `mm^2` is `mm**2`."""
    return re.sub(r"([A-Za-zµ])\^?([1-9])", r"\1**\2", unit)


def _refuse(low: Any, high: Any, shown: str, *, log: bool) -> None:
    if log and low <= 0:
        raise InputError(
            f"a range of ratios from {shown} goes through zero",
            code="E107",
            help="both ends greater than 0, or equal steps: `range`, after --vary `lin:`",
        )
    if low >= high:
        raise InputError(
            f"the range from {shown} is empty", code="E107", help="the smaller end first"
        )


def _counted_text(value: float, unit: str) -> str:
    """A quantity of whole bytes or cycles: in its unit where that is exact, else in base units."""
    kind, factor = _measure(unit)
    name = "bytes" if kind == known()["bytes"][0] else "cycles"
    base = known()[name][1]
    count = round(value * float(factor / base))
    back = Fraction(count) * base / factor
    return f"{back.numerator} {unit}" if back.denominator == 1 else f"{count} {UNITS[name]}"


def size_of(value: Any) -> Fraction | None:
    """A number or quantity as an exact number; None for a word."""
    try:
        number, unit = number_and_unit(value)
        return Fraction(number) * _measure(unit)[1]
    except InputError:
        return None
