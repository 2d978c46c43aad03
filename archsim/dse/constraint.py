"""What a design must keep: `metric <= quantity`, in a closed grammar that is read, never run.

    constraint = sum ("<=" | "<" | ">=" | ">") quantity
    sum        = product {"+" product}
    product    = factor {"*" factor}
    factor     = metric | number

Words are apart by spaces. The unit of the quantity must fit what the metrics count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import inf, prod
from typing import Any

from archsim.core.dimensions import convert
from archsim.core.errors import InputError
from archsim.dse.dimension import number_and_unit, power_written
from archsim.dse.metric import measure

_FORM = re.compile(r"(.*?)(<=|>=|<|>)(.*)", re.DOTALL)
_METRIC = re.compile(r'[A-Za-z_][\w\-/+"]*(?:\.[\w\-/+"]+|\[\d+\])*')
_LEAST = 1e-12  # of a violation: what is broken by nothing is broken all the same
EXAMPLE = "example `metrics.area_mm2.total <= 850 mm^2`"


@dataclass(frozen=True)
class Constraint:
    """A limit on a sum of products of metrics.

    Attributes:
        text: as it was written.
        terms: of the sum: a number, and the metrics that it is multiplied by.
        least: that the limit is the least value, not the largest.
        strict: that the limit itself is not allowed.
        limit: in the units of the metrics.
        doubt: why the sides are not of one kind, where the names of the metrics say no unit: they
            may be mistyped, which is told first, when names are known.
    """

    text: str
    terms: tuple[tuple[float, tuple[str, ...]], ...]
    least: bool
    strict: bool
    limit: float
    doubt: str = ""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every metric in it."""
        return tuple(dict.fromkeys(name for _, names in self.terms for name in names))

    def value(self, metrics: Mapping[str, float]) -> float | None:
        """The left side; None where a design lacks one of the metrics."""
        if any(name not in metrics for name in self.metrics):
            return None
        return sum(number * prod(metrics[n] for n in names) for number, names in self.terms)

    def violation(self, metrics: Mapping[str, float]) -> float:
        """By how much it is broken, relative to the limit; 0 where it is kept.

        Without a limit to relate to, absolute; without the metric, infinite.
        """
        value = self.value(metrics)
        return inf if value is None else self.excess(value)

    def excess(self, value: float) -> float:
        """The violation of a value of the left side."""
        over = (self.limit - value) if self.least else (value - self.limit)
        if over < 0 or (over == 0 and not self.strict):
            return 0.0
        return max(over / (abs(self.limit) or 1.0), _LEAST)


def constraint(text: str) -> Constraint:
    """A constraint from its text.

    Raises:
        InputError: E701 where it is not of the grammar, or its sides are not of one kind.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise _unread(f'constraint "{text}" has no comparison')
    left, sign, right = found[1].strip(), found[2], found[3].strip()
    if _FORM.fullmatch(right):
        raise _unread(f'constraint "{text}" has two comparisons', "write two constraints")
    terms, kind, size = _sum(left)
    if not any(names for _, names in terms):
        raise _unread(f'constraint "{text}" has no metric on its left side')
    limit, doubt = _limit(right, kind, size)
    return Constraint(text.strip(), terms, sign[0] == ">", len(sign) == 1, limit, doubt)


def _sum(text: str) -> tuple[tuple[tuple[float, tuple[str, ...]], ...], Any, Fraction]:
    """Terms, what kind of quantity they are, and the size of their unit."""
    terms, kind, size = [], None, Fraction(1)
    for part in re.split(r"\s\+\s", text):
        number, names = 1.0, []
        own_kind, own_size = convert("s/s")[0], Fraction(1)
        for word in re.split(r"\s\*\s", part):
            factor = word.strip()
            if _METRIC.fullmatch(factor):
                names.append(factor)
                its_kind, its_size = measure(factor)
                own_kind, own_size = own_kind * its_kind, own_size * its_size
            else:
                number *= _number(factor)
        if kind is None:
            kind, size = own_kind, own_size
        elif own_kind != kind:
            raise _unread(f'"{text}" adds quantities of two kinds')
        terms.append((number * float(own_size / size), tuple(names)))
    return tuple(terms), kind, size


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise _unread(f'"{text}" is no metric and no number') from None


def _limit(text: str, kind: Any, size: Fraction) -> tuple[float, str]:
    """The right side in the units of the left one, and what is doubtful about that."""
    try:
        number, unit = number_and_unit(text)
    except InputError:
        message = f'a quantity is needed on the right side, got "{text}"'
        raise _unread(message) from None
    unit = re.sub(r"\s*/\s*(tok|req)\b", "", re.sub(r"^(tok|req)\s*/\s*s$", "Hz", unit))
    if unit in ("", "%"):
        own_kind, own_size = convert("s/s")[0], Fraction(1, 100 if unit else 1)
    else:
        try:
            own_kind, own_size = convert(power_written(unit))
        except KeyError as unknown:
            raise InputError(
                f'"{text}": unknown unit "{unknown.args[0]}"', code="E104", help=EXAMPLE
            ) from None
    if own_kind == kind:
        return float(Fraction(number) * own_size / size), ""
    if not unit:
        raise _unread(f"the right side {text} needs a unit")
    doubt = f"the sides are of two kinds: {text} does not measure what is on the left"
    if kind != convert("s/s")[0]:
        raise _unread(doubt)
    return float(Fraction(number) * own_size), doubt


def _unread(message: str, help_text: str = EXAMPLE) -> InputError:
    return InputError(message, code="E701", help=help_text)
