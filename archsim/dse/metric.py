"""What a study may judge designs by: every number of a result, by dotted path, with its unit."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from archsim.core.dimensions import convert
from archsim.core.errors import nearest
from archsim.report.formulas import unit_of

SHARES = ("", "%")  # of numbers without a unit
_FACTORS = {
    "ps": ("s", Fraction(1, 10**12)),
    "1/s": ("hertz", Fraction(1)),
    "cycles": ("cycle", Fraction(1)),
}  # by the unit of a name: unit and factor of the registry


def measure(metric: str) -> tuple[Any, Fraction]:
    """Kind of quantity that a metric is, told by the end of its name, and the size of its unit."""
    unit = unit_of(metric)
    if unit in SHARES:
        return convert("s/s")[0], Fraction(1, 100) if unit == "%" else Fraction(1)
    name, factor = _FACTORS.get(unit, (unit.replace("mm2", "mm**2"), Fraction(1)))
    kind, size = convert(name)
    return kind, size * factor


def closest(name: str, known: Iterable[str]) -> str | None:
    """The metric that a mistyped name probably means: with its beginning, or spelled alike."""
    words = sorted(known)
    longer = [word for word in words if word.endswith(f".{name}")]
    if longer:
        return min(longer, key=len)
    ends = {word.removeprefix("metrics."): word for word in reversed(words)}
    close = nearest(name.removeprefix("metrics."), ends)
    return ends[close] if close else nearest(name, words)
