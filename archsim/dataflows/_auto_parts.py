"""Runs of alike tiles along a rank, for many tile extents at once, and how they combine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Part:
    """A run of alike tiles along one rank: how many, how long, whether first or last."""

    count: Ints
    size: Ints
    first: Bools
    last: Bools


def parts_of(extent: int, tile: Ints) -> list[Part]:
    """First, middle and last tiles of a rank; a lone one is the last."""
    steps = -(-extent // tile)
    yes = np.ones(len(tile), dtype=bool)
    alone = steps == 1
    return [
        Part((~alone).astype(np.int64), tile, yes, ~yes),
        Part(np.maximum(steps - 2, 0), tile, ~yes, ~yes),
        Part(np.ones_like(tile), extent - (steps - 1) * tile, alone, yes),
    ]


def merged(parts: list[Part]) -> list[Part]:
    """Full tiles together, where nothing depends on which is the first."""
    first, middle, last = parts
    return [Part(first.count + middle.count, first.size, middle.first, middle.last), last]


def combine(cut: list[list[Part]]) -> Iterator[tuple[Ints, tuple[Part, ...]]]:
    """Every combination of parts of several ranks that some mapping has, and how often."""
    for chosen in product(*cut):
        count = np.ones_like(chosen[0].count)
        for part in chosen:
            count = count * part.count
        if count.any():
            yield count, chosen
