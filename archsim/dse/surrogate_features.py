"""Settings of designs as numbers that a model can learn from.

Quantities become numbers in base units, by their logarithm where a dimension is one of ratios;
words stand side by side. What learns from the numbers is in `dse.surrogate_models`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import log
from typing import Any

from archsim.core.errors import InputError, nearest
from archsim.core.yamlio import canonical_json
from archsim.dse.dimension import AnyDimension, DimensionSpec, size_of

Settings = Mapping[str, Any]
ABSENT = "as described"
FEW = 0.25  # values to a design: with more, designs that are held out have values of their own


@dataclass(frozen=True)
class Column:
    """One setting.

    Attributes:
        path: of the setting.
        low, high: least and largest number, after the logarithm if one is taken; 0 for words.
        log: that ratios count.
        words: the values of a setting that has no numbers; empty for one that has.
        levels: its numbers, where they are few; empty where designs rarely share one.
    """

    path: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    words: tuple[str, ...] = ()
    levels: tuple[float, ...] = ()

    @property
    def width(self) -> int:
        """Numbers that it becomes; none where all designs have the same value."""
        return (len(self.words) if len(self.words) > 1 else 0) + (self.high > self.low)

    def number(self, value: Any) -> float | None:
        """The number of a value; None where it has none, or no logarithm."""
        size = _size(value)
        if size is None or (self.log and size <= 0):
            return None
        return log(size) if self.log else size

    def shares(self, value: Any) -> list[float]:
        """A value as numbers from 0 to 1 where it is among those that were learned."""
        if not self.width:
            return []
        if self.words:
            said = _word(value)
            return [float(word == said) for word in self.words]
        number = self.number(value)
        assert number is not None
        return [(number - self.low) / (self.high - self.low)]

    def holds(self, value: Any) -> bool:
        """Whether a value is among those that were learned, or between two of them."""
        if self.words:
            return _word(value) in self.words
        number = self.number(value)
        return number is not None and self.low <= number <= self.high


@dataclass(frozen=True)
class Features:
    """All settings of a study.

    Attributes:
        columns: one a setting, in their order.
    """

    columns: tuple[Column, ...]

    @property
    def width(self) -> int:
        """Numbers of a design."""
        return sum(column.width for column in self.columns)

    def matrix(self, designs: Sequence[Settings]) -> Any:
        """Designs as an array of floats, (designs, width)."""
        import numpy as np

        rows = [
            [share for c in self.columns for share in c.shares(design.get(c.path, ABSENT))]
            for design in designs
        ]
        return np.asarray(rows, dtype=float).reshape(len(rows), self.width)

    def outside(self, design: Settings) -> list[str]:
        """Settings whose value is beyond all that were learned."""
        return [c.path for c in self.columns if not c.holds(design.get(c.path, ABSENT))]

    def between(self, design: Settings) -> list[str]:
        """Settings whose value lies between two that many designs share."""
        return [
            c.path for c in self.columns
            if c.levels and c.holds(said := design.get(c.path, ABSENT))
            and c.number(said) not in c.levels
        ]  # fmt: skip

    def levels(self, designs: Sequence[Settings]) -> list[Any]:
        """Numbers of each setting that has more than two, and few; arrays of (designs,)."""
        import numpy as np

        return [
            np.asarray([c.number(design[c.path]) for design in designs])
            for c in self.columns if len(c.levels) > 2
        ]  # fmt: skip

    def check(self, design: Settings) -> None:
        """Refuse a design that is not of this space.

        Raises:
            InputError: E601 for a setting that is not varied, E102 for one that is not said, E105
                for a word in place of a number.
        """
        paths = [column.path for column in self.columns]
        for path in design:
            if path not in paths:
                close = nearest(path, paths)
                hint = f"did you mean `{close}`?" if close else f"it varies {', '.join(paths)}"
                raise InputError(f"the study does not vary {path}", code="E601", help=hint)
        for column in self.columns:
            value = design.get(column.path, ABSENT)
            if value == ABSENT and ABSENT not in column.words:
                hint = f'--ask "{column.path}=..."'
                raise InputError(f"the design does not say {column.path}", code="E102", help=hint)
            if not column.words and column.number(value) is None:
                message = f'{column.path} is learned as a quantity, got "{value}"'
                raise InputError(message, code="E105", help="example `64` or `16 MiB`")


def features_of(designs: Sequence[Settings], space: Mapping[str, AnyDimension]) -> Features:
    """What a model sees of the designs of a space."""
    paths = sorted({path for design in designs for path in design})
    return Features(tuple(_column(path, designs, space.get(path)) for path in paths))


def _column(path: str, designs: Sequence[Settings], said: AnyDimension | None) -> Column:
    values = [design.get(path, ABSENT) for design in designs]
    sizes = [_size(value) for value in values]
    numbers = sorted({size for size in sizes if size is not None})
    if None in sizes:
        return Column(path, words=tuple(sorted({_word(value) for value in values})))
    by_ratio = numbers[0] > 0 and _by_ratio(numbers, said)
    levels = tuple(log(number) if by_ratio else number for number in numbers)
    shared = levels if len(levels) <= FEW * len(designs) else ()
    return Column(path, levels[0], levels[-1], by_ratio, levels=shared)


def _by_ratio(numbers: Sequence[float], said: AnyDimension | None) -> bool:
    """Whether a dimension is one of ratios: as it says, or else as its values are spaced."""
    if isinstance(said, DimensionSpec) and said.choices is None:
        return said.log_range is not None or bool(said.log)
    steps = list(pairwise(numbers))
    if len(steps) < 2:  # one step is even both ways
        return False
    return _uneven([log(b / a) for a, b in steps]) < _uneven([b - a for a, b in steps])


def _uneven(steps: Sequence[float]) -> float:
    """Largest over smallest step."""
    return max(steps) / min(steps)


def _size(value: Any) -> float | None:
    """A value in base units; None for words, switches and lists."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    return _size_of(value)


@lru_cache(maxsize=65_536)
def _size_of(value: float | str) -> float | None:
    size = size_of(value)
    return None if size is None else float(size)


def _word(value: Any) -> str:
    return value if isinstance(value, str) else canonical_json(value)
