"""A DRAM standard as the integers that a controller's inner loop reads.

Here lives the evaluated form: counts, timing rules and latencies in ticks. How a standard is
written is in `memory.standard`; which bits of an address name a bank is in `memory.address`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from archsim.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

Slots = Literal["single", "dual", "half_clock"]
LEVEL, PREVIOUS, NEXT, TICKS, WINDOW, SIBLING = range(6)
"""Columns of `Tables.constraints`."""


@dataclass(frozen=True, slots=True)
class Tables:
    """A standard with its timing evaluated for one channel. All times in ticks."""

    name: str
    """Name of the standard's file."""

    family: str
    """Standard it is a speed grade of, such as `HBM3`."""

    levels: tuple[str, ...]
    """Levels, outermost first: `channel`, `pseudo_channel` or `rank`, ..., `bank_group`, `bank`."""

    counts: tuple[int, ...]
    """Nodes of each level within one parent; the first is 1, as channels never share a rule."""

    rows: int
    """Rows of a bank."""

    bursts: int
    """Column bursts of a row."""

    access_bytes: int
    """Bytes of one column burst."""

    tick_ps: int
    """Picoseconds of a tick."""

    tick_ns: float
    """Nanoseconds of a tick; finer than `tick_ps` only where the source is."""

    commands: tuple[str, ...]
    """Commands by number, as the constraints name them."""

    constraints: NDArray[np.int64]
    """(n, 6): level, previous command, next command, ticks, window, sibling.

    Once `previous` is issued at a node of the level, `next` is illegal there until `ticks` after
    the window-th most recent `previous`; with sibling 1 at the other nodes of its parent instead.
    """

    timings: Mapping[str, int]
    """Every timing parameter under its source's own name; nREFI, nREFIpb and nRFCpb in any case,
    where the source has them under whatever name."""

    read_latency: int
    """Ticks from the issue of RD to the end of its data."""

    burst_ticks: int
    """Ticks that one access holds the data bus."""

    slots: Slots
    """Commands a tick: one; one column then one row command; or those on half-clock edges."""

    refresh_level: int
    """Index of the level whose node one REFab covers."""

    currents: Mapping[str, float]
    """IDD in mA, VDD in V, devices of a rank; empty where the source has none."""

    energies: Mapping[str, float]
    """`activate_pj` of a row and `..._pj_per_bit` of an access; empty where currents are known."""

    def nodes(self, level: int) -> int:
        """Nodes of a level in one channel."""
        return math.prod(self.counts[: level + 1])

    @property
    def banks(self) -> int:
        """Banks of a channel; a bank's number is mixed radix over `counts`, outermost first."""
        return math.prod(self.counts)

    def banks_below(self, level: int) -> int:
        """Banks under one node of a level; a bank's node there is its number divided by this."""
        return math.prod(self.counts[level + 1 :])

    def command(self, name: str) -> int:
        """Number of a command, or -1 where the standard has none of that name."""
        return self.commands.index(name) if name in self.commands else -1

    @property
    def row_bytes(self) -> int:
        """Bytes of one row of one bank."""
        return self.bursts * self.access_bytes

    @property
    def channel_bytes(self) -> int:
        """Bytes of one channel."""
        return self.banks * self.rows * self.row_bytes

    @property
    def column_ticks(self) -> int:
        """Ticks between two reads that share a data bus: its burst, or their spacing if longer."""
        read = self.command("RD")
        bus = self.constraints[
            (self.constraints[:, LEVEL] < self.levels.index("bank_group"))
            & (self.constraints[:, PREVIOUS] == read)
            & (self.constraints[:, NEXT] == read)
            & (self.constraints[:, SIBLING] == 0)
        ]
        return max(self.burst_ticks, *(int(ticks) for ticks in bus[:, TICKS]))

    @property
    def peak_bytes_per_s(self) -> float:
        """Peak bandwidth of one channel: every data bus below it always busy."""
        buses = self.nodes(self.levels.index("pseudo_channel")) if self.has_pseudo_channels else 1
        return buses * self.access_bytes / (self.column_ticks * self.tick_ns * 1e-9)

    @property
    def has_pseudo_channels(self) -> bool:
        """Whether the channel holds independent data buses."""
        return "pseudo_channel" in self.levels

    def timing(self, *names: str) -> int:
        """The first timing parameter of some names that the source has.

        Raises:
            InputError: E102 when it has none of them.
        """
        for name in names:
            if name in self.timings:
                return self.timings[name]
        raise InputError(f"{self.name} has no timing {' or '.join(names)}", code="E102")

    @property
    def refresh_interval(self) -> int:
        """Ticks between all-bank refreshes of one node of the refresh level."""
        return self.timing("nREFI")

    @property
    def refresh_ticks(self) -> int:
        """Ticks that an all-bank refresh takes."""
        return self.timing("nRFC", "nRFCab", "tRFC")

    @property
    def bank_refresh_interval(self) -> int:
        """Ticks between refreshes of single banks."""
        return self.timing("nREFIpb")

    @property
    def bank_refresh_ticks(self) -> int:
        """Ticks that the refresh of a single bank takes."""
        return self.timing("nRFCpb")
