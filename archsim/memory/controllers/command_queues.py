"""The controller with command queues: transaction queues that feed one short queue for each bank.

It schedules as DRAMsim3 does. Here requests are decoded, handed to the inner loop and its words
read bacw. The scheduling itself is in `command_queues_kernel`, options in
`memory.controller`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from archsim.core.errors import ArchsimError
from archsim.memory.controllers import (
    command_queues_accept,
    command_queues_issue,
    command_queues_kernel,
)
from archsim.memory.controllers import command_queues_words as w
from archsim.memory.controllers.command_queues_program import COMMANDS, program
from archsim.memory.controllers.linked import linked
from archsim.memory.requests import MemoryRun, Pacing, Requests

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from archsim.memory.address import AddressMap
    from archsim.memory.controller import ControllerSpec
    from archsim.memory.controllers.command_queues_program import Program
    from archsim.memory.tables import Tables

CHUNK = 1 << 16
"""Requests decoded at a time, so that a long list needs no more memory than itself."""

AT_ONCE = Pacing()
"""Each request as soon as there is room for it, one a ticw."""


PARTS = (command_queues_accept, command_queues_issue, command_queues_kernel)


@functools.cache
def compiled() -> Callable[..., int]:
    """Machine code of the inner loop, or the plain text of it where numba is not installed."""
    return linked(w, PARTS, "advance")


class CommandQueues:
    """Controllers and devices of some channels of one standard."""

    def __init__(
        self, tables: Tables, controller: ControllerSpec, address_map: AddressMap, channels: int
    ) -> None:
        self.tables = tables
        self.controller = controller
        self.address_map = address_map
        self.channels = channels

    def drive(
        self,
        requests: Requests,
        pacing: Pacing = AT_ONCE,
        *,
        keep_latencies: bool = True,
        log: NDArray[np.int64] | None = None,
        plain: bool = False,
    ) -> MemoryRun:
        """Run a whole list from a fresh state until the last request is done.

        A write is done one tick after it is accepted, so those that still wait at the end are in no
        count of commands. Of the column commands, a hit is one that is not the first after its
        activate; the first is a conflict where a request had closed another row, else a miss.

        Args:
            requests: In order.
            pacing: When they may come.
            keep_latencies: Whether to return each read's latency, not only their sum.
            log: (4 n,) filled with the first n commands: tick, channel, command, bank.
            plain: Run the uncompiled text.

        Raises:
            InputError: E202 an address outside the capacity, or a standard this cannot issue.
        """
        words = program(self.tables, self.controller, pacing, self.channels)
        state: Any = np.tile(words.reset, self.channels)
        reads = int(len(requests) - requests.write.sum())
        latency: Any = np.zeros(reads if keep_latencies else 0, np.int64)
        link: Any = np.zeros_like(latency)
        record: Any = np.zeros(0, np.int64) if log is None else log
        options: Any = words.options
        run: Callable[..., int] = command_queues_kernel.advance if plain else compiled()
        as_given = run is not command_queues_kernel.advance
        if not as_given:  # plain Python reads lists faster than arrays
            state, latency, link = state.tolist(), latency.tolist(), link.tolist()
            options = options.tolist()
        n = len(requests)
        for first in range(0, max(n, 1), CHUNK):
            part = slice(first, min(first + CHUNK, n))
            place = self.address_map.decode(requests.address[part])
            at: Any = np.zeros(0, np.int64) if pacing.at is None else pacing.at[part]
            same = requests.address[part] // self.tables.access_bytes
            columns = [place.channel, place.bank, place.row, same, requests.write[part]]
            asked: Any = np.stack(columns, axis=1).reshape(-1)
            if not as_given:
                at, asked = at.tolist(), asked.tolist()
            last = part.stop == n
            end = run(state, options, at, asked, len(same), last, latency, link, record)
            if end == w.STUCK:
                raise ArchsimError(f"the controller of {self.tables.name} stands still")
        return self._result(words, np.array(state, np.int64), np.array(latency, np.int64))

    def _result(
        self, words: Program, state: NDArray[np.int64], latency: NDArray[np.int64]
    ) -> MemoryRun:
        """Sum the channels' counters and what rows are still open."""
        channel = state.reshape(self.channels, -1)
        total = channel[:, : w.SCALARS].sum(axis=0)
        counts = total[w.COUNT :].tolist()
        commands = {name: counts[i] for i, name in enumerate(COMMANDS) if counts[i]}
        ticks = int(channel[0, w.CLOCK])
        ranks = int(words.options[w.BANKS] // words.options[w.RANK_BANKS])
        opened = channel[:, words.options[w.OPENED] :][:, :ranks]
        since = channel[:, words.options[w.SINCE] :][:, :ranks]
        active = int(total[w.ACTIVE] + ((ticks - since) * (opened > 0)).sum())
        return MemoryRun(
            ticks=ticks,
            reads=int(total[w.READS]),
            writes=int(total[w.WRITES]),
            activates=commands.get("ACT", 0),
            precharges=commands.get("PREpb", 0),
            refreshes=commands.get("REFab", 0) + commands.get("REFpb", 0),
            row_hits=int(total[w.HITS]),
            row_misses=int(total[w.MISSES]),
            row_conflicts=int(total[w.CONFLICTS]),
            forwarded=int(total[w.FORWARDED]),
            merged=int(total[w.MERGED]),
            read_latency_ticks=latency,
            read_latency_sum_ticks=int(total[w.LATENCY_SUM]),
            read_latency_max_ticks=int(channel[:, w.LATENCY_MAX].max()),
            active_ticks=active,
            idle_ticks=ticks * ranks * self.channels - active,
            commands=commands,
        )
