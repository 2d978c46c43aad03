"""What a mapping of a cascade may know of a machine, and what a user may settle for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class CascadeTarget:
    """A two-dimensional array with a one-dimensional one beside it, and the buffer of both.

    Attributes:
        engine, vector: names in the machine description.
        rows, cols, count: of the array, and arrays that are alike.
        mac_cycles: cycles of an element for so many multiply-accumulates.
        element_cycles: cycles of an element for a primitive, by name: those that it performs.
        lane_cycles: cycles of all lanes for so many points of some arithmetic.
        clock_hz, vector_clock_hz: clocks.
        buffer_bytes: of the on-chip memory, all of it.
    """

    engine: str
    vector: str
    rows: int
    cols: int
    count: int
    mac_cycles: Callable[[int], int]
    element_cycles: Mapping[str, int]
    lane_cycles: Callable[[Mapping[str, int], int], int]
    clock_hz: float
    vector_clock_hz: float
    buffer_bytes: int


@dataclass(frozen=True)
class Tiling:
    """What a rule may settle; the rest follows from the mapping's own rules.

    Attributes:
        room_bytes: on-chip bytes that tiles are chosen for; None: the whole buffer.
        query_rows: rows of queries that are worked on together; None: as the mapping chooses.
        held: operands that stay on chip over a tile; None: as the mapping chooses.
        counts: `exact`; or `published`, with the slips of FuseMax's published energy.
    """

    room_bytes: int | None = None
    query_rows: int | None = None
    held: frozenset[str] | None = None
    counts: Literal["exact", "published"] = "exact"
