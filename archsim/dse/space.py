"""The space of a study: dimensions, and how a place in them becomes the settings of a design.

A path is a setting as `--set` takes it; the words `hardware` and `workload` alone choose among
descriptions. Which places are tried is decided by samplers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

from archsim.core.errors import InputError
from archsim.dse.dimension import Dimension

CHOSEN = ("hardware", "workload")
"""Paths that choose a description instead of setting something in it."""


@dataclass(frozen=True)
class Space:
    """All designs of a study.

    Attributes:
        dimensions: in the order of their description.
    """

    dimensions: tuple[Dimension, ...]

    @cached_property
    def size(self) -> int | None:
        """Designs there are; None where some dimension is a continuum."""
        counts = [len(d.levels) for d in self.dimensions if d.levels is not None]
        return prod(counts) if len(counts) == len(self.dimensions) else None

    @property
    def continuous(self) -> tuple[str, ...]:
        """Paths without a list of values, which a grid needs."""
        return tuple(d.path for d in self.dimensions if d.levels is None)

    def numbered(self, number: int) -> dict[str, Any]:
        """A design of the grid: counted like digits, the last dimension the fastest."""
        values = []
        for dimension in reversed(self.dimensions):
            assert dimension.levels is not None
            number, digit = divmod(number, len(dimension.levels))
            values.append(dimension.levels[digit])
        return self.settings(values[::-1])

    def at(self, shares: Sequence[float]) -> dict[str, Any]:
        """The design at a place of the unit cube."""
        return self.settings(
            [d.at(share) for d, share in zip(self.dimensions, shares, strict=True)]
        )

    def settings(self, values: Sequence[Any]) -> dict[str, Any]:
        """Path and value of all that one value of each dimension sets."""
        found: dict[str, Any] = {}
        for dimension, value in zip(self.dimensions, values, strict=True):
            found |= dimension.settings(value)
        return found

    def check(self) -> None:
        """Refuse two dimensions that set the same.

        Raises:
            InputError: E202 with the path of the second in its details.
        """
        owner: dict[str, str] = {}
        for dimension in self.dimensions:
            levels = dimension.levels or (None,)
            paths = {path for value in levels for path in dimension.settings(value)}
            for path in sorted(paths):
                first = owner.setdefault(path, dimension.path)
                if first != dimension.path:
                    raise InputError(
                        f"{path} is set by {first} too",
                        code="E202",
                        help="leave it out of one of them",
                        details={"dimension": dimension.path},
                    )


def split(settings: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    """The descriptions that a design chooses, and what it sets in them."""
    chosen = {path: str(value) for path, value in settings.items() if path in CHOSEN}
    return chosen, {path: value for path, value in settings.items() if path not in CHOSEN}
