"""A memory down to its banks, as whole-model runs use it: streams of transfers in, times out.

Many channels make one memory; they take its bursts in turn. A stream whose pieces keep all of them
equally busy is simulated on one of them and counted for all. How a controller works is in
`unified`, how bursts of a transfer are made in `memory.layout`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archsim.memory.address import AddressMap
from archsim.memory.controller import ControllerSpec
from archsim.memory.controllers.measure import unloaded_ticks
from archsim.memory.controllers.unified import Unified
from archsim.memory.controllers.unified_words import RD, RDA, WR, WRA
from archsim.memory.requests import MemoryRun, Requests
from archsim.memory.tables import Tables

Ints = NDArray[np.int64]
COLUMN_COMMANDS = (RD, WR, RDA, WRA)
LOG_WORDS, LOG_TICK, LOG_COMMAND = 4, 0, 2  # of a logged command: words, and which is which
COMMANDS = 4  # of a burst at most: it closes a row, opens one, reads; and its share of refreshes
SPARE = 1024  # commands that refresh a short stream


@dataclass(frozen=True)
class Stream:
    """What a stream of transfers took, and what the banks did; counts are those of all channels.

    Attributes:
        hold_ps: By transfer, the time by which it moved the end of the stream, shape (n,).
        bursts: That were simulated, or that simulated ones stand for.
        row_hits: Bursts that found their row open.
        row_misses: Bursts that found their bank closed.
        row_conflicts: Bursts that found another row open.
        activates: Rows that were opened.
        refreshes: Refresh commands.
    """

    hold_ps: Ints
    bursts: int
    row_hits: int
    row_misses: int
    row_conflicts: int
    activates: int
    refreshes: int


class Banked:
    """Channels with banks behind a controller each; equal ones have the same `key`."""

    def __init__(
        self, name: str, tables: Tables, controller: ControllerSpec, mapping: str, channels: int
    ) -> None:
        self.name, self.tables, self.controller = name, tables, controller
        self.address_map, self.channels = AddressMap(tables, 1, mapping), channels
        self.access_bytes = tables.access_bytes
        self.key = (tables.name, controller.model_dump_json(), mapping, channels)

    @property
    def latency_ps(self) -> int:
        """Latency of a lone read."""
        return round(unloaded_ticks(self.tables) * self.tables.tick_ns * 1000)

    @property
    def capacity_bytes(self) -> int:
        """Bytes of the rows of all channels."""
        return self.channels * self.tables.channel_bytes

    def serve(self, addresses: Ints, writes: Ints, ends: Ints, *, alike: bool) -> Stream:
        """Send bursts through the controllers as fast as they take them.

        Channels take bursts in turn and go on independently; a transfer has moved when the last of
        its channels has moved its part.

        Args:
            addresses: Byte address of each burst; within one channel where channels are alike.
            writes: 1 where it is written, else 0.
            ends: Past the last burst of each transfer, shape (n,).
            alike: Whether one channel's bursts are given, to stand for those of all.
        """
        if alike:
            moved, run = self._channel(addresses, writes, ends)
            return self._stream(moved, [run], self.channels)
        line = addresses // self.access_bytes
        order = np.argsort(line % self.channels, kind="stable")
        first = np.searchsorted((line % self.channels)[order], np.arange(self.channels + 1))
        moved, runs = np.zeros(len(ends), dtype=np.int64), []
        for channel in range(self.channels):
            mine = order[first[channel] : first[channel + 1]]
            if len(mine):
                inside = line[mine] // self.channels * self.access_bytes
                until, run = self._channel(inside, writes[mine], np.searchsorted(mine, ends))
                moved = np.maximum(moved, until)
                runs.append(run)
        return self._stream(moved, runs, 1)

    def _channel(self, addresses: Ints, writes: Ints, ends: Ints) -> tuple[Ints, MemoryRun]:
        """Tick by which each transfer has moved on one channel, 0 before the first burst.

        Controllers reorder bursts of neighbours; the n-th burst that is moved is taken for the n-th
        of the stream, so that every tick is in exactly one transfer.
        """
        addresses = addresses % self.address_map.capacity_bytes  # beyond the last row: the first
        log = np.full(LOG_WORDS * (COMMANDS * len(addresses) + SPARE), -1, dtype=np.int64)
        device = Unified(self.tables, self.controller, self.address_map, 1)
        run = device.drive(Requests(addresses, writes), keep_latencies=False, log=log)
        command = log.reshape(-1, LOG_WORDS)
        ticks = command[np.isin(command[:, LOG_COMMAND], COLUMN_COMMANDS), LOG_TICK]
        # bursts that were merged or forwarded have no command: transfers share what there is
        last = -(-ends * len(ticks) // int(ends[-1])) - 1
        return np.where(ends > 0, ticks[last] + self.tables.burst_ticks, 0), run

    def _stream(self, moved: Ints, runs: Sequence[MemoryRun], times: int) -> Stream:
        """What transfers took, by the ticks at which they have moved; runs count so many times."""
        opened = unloaded_ticks(self.tables) - self.tables.read_latency  # that is latency
        until = np.maximum.accumulate(moved)
        hold = np.diff(until, prepend=min(opened, int(until[0])))
        return Stream(
            hold_ps=np.round(hold * (self.tables.tick_ns * 1000)).astype(np.int64),
            bursts=sum(run.reads + run.writes for run in runs) * times,
            row_hits=sum(run.row_hits for run in runs) * times,
            row_misses=sum(run.row_misses for run in runs) * times,
            row_conflicts=sum(run.row_conflicts for run in runs) * times,
            activates=sum(run.activates for run in runs) * times,
            refreshes=sum(run.refreshes for run in runs) * times,
        )
