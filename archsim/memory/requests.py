"""What is asked of a memory controller, how fast, and what came of it.

Here live the request list, its pacing and the record of a drive or a served burst. Who serves them
is in `memory.controllers`; named request lists are in `memory.traces`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from archsim.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Requests:
    """Accesses in their order, each of the standard's access size."""

    address: NDArray[np.int64]
    """Byte address of each, shape (n,)."""

    write: NDArray[np.int64]
    """1 where it writes, else 0, shape (n,)."""

    def __post_init__(self) -> None:
        """Refuse two lists of different length."""
        if self.address.shape != self.write.shape or self.address.ndim != 1:
            raise InputError(
                f"requests need one address and one write flag each, got shapes "
                f"{self.address.shape} and {self.write.shape}",
                code="E202",
            )

    def __len__(self) -> int:
        """Number of accesses."""
        return int(self.address.shape[0])


@dataclass(frozen=True, slots=True)
class Pacing:
    """When requests come: each as soon as it is allowed to, in order, or at a given tick."""

    outstanding: int = 0
    """Requests accepted and not yet done at a time; 0 for no cap."""

    per_tick: int = 1
    """Requests that may be accepted in one tick, over all channels."""

    gap_ticks: int = 0
    """Request i comes no earlier than tick i x gap."""

    at: NDArray[np.int64] | None = None
    """Tick before which each request does not come, shape (n,)."""

    def __post_init__(self) -> None:
        """Refuse a pace at which nothing would ever come."""
        if self.outstanding < 0 or self.gap_ticks < 0 or self.per_tick < 1:
            raise InputError(
                f"a pace needs outstanding >= 0, gap_ticks >= 0 and per_tick >= 1, got "
                f"{self.outstanding}, {self.gap_ticks} and {self.per_tick}",
                code="E202",
            )


@dataclass(frozen=True, slots=True)
class MemoryRun:
    """What a drive took and did, summed over channels."""

    ticks: int
    """Ticks until the last request was done: data back for a read, accepted as done for a write."""

    reads: int
    """Reads accepted."""

    writes: int
    """Writes accepted."""

    activates: int
    """Rows opened (ACT, or ACT1 where opening takes two commands)."""

    precharges: int
    """Single banks closed by PREpb; all-bank and automatic precharges are in `commands`."""

    refreshes: int
    """REFab and REFpb together."""

    row_hits: int
    """Requests whose first command was a column access."""

    row_misses: int
    """Requests whose first command opened a row of a closed bank."""

    row_conflicts: int
    """Requests whose first command closed another row."""

    forwarded: int
    """Reads answered from a queued write."""

    merged: int
    """Requests that joined an equal one in a queue."""

    read_latency_ticks: NDArray[np.int64]
    """Ticks from acceptance to data of each read, in order of acceptance; empty if not kept."""

    read_latency_sum_ticks: int
    """Sum of all read latencies, kept or not."""

    read_latency_max_ticks: int
    """Largest read latency."""

    active_ticks: int
    """Ticks with an open bank, summed over ranks; 0 where the structure does not count them."""

    idle_ticks: int
    """Ticks with every bank closed, summed over ranks; 0 where the structure does not count."""

    commands: Mapping[str, int]
    """Commands issued by name."""

    @property
    def mean_read_latency_ticks(self) -> float:
        """Mean read latency; 0 without reads."""
        return self.read_latency_sum_ticks / self.reads if self.reads else 0.0


@dataclass(frozen=True, slots=True)
class Served:
    """What became of a burst of requests while the controller goes on."""

    accepted_tick: int
    """Tick after which the last request was accepted; the next burst may come from here."""

    done_tick: int
    """Tick by which the last data is back and the last write is in its row."""

    counts: Mapping[str, int]
    """What was counted up to the acceptance, by command or event name."""
