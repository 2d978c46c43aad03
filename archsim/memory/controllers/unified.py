"""The unified controller: one read and one write buffer a channel, searched as Ramulator 2.1 does.

Here requests are decoded, handed to the inner loop, and its words read back. The scheduling itself
is in `unified_kernel`, options in `memory.controller`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from archsim.core.errors import ArchsimError, InputError
from archsim.memory.controllers import unified_words as w
from archsim.memory.controllers.unified_lanes import run
from archsim.memory.controllers.unified_link import compiled
from archsim.memory.controllers.unified_program import COMMANDS, program
from archsim.memory.requests import MemoryRun, Pacing, Requests, Served

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from archsim.memory.address import AddressMap
    from archsim.memory.controller import ControllerSpec
    from archsim.memory.tables import Tables

CHUNK = 1 << 16
"""Requests decoded at a time, so that a long list needs little more memory than itself."""

AS_FAST_AS_TAKEN = Pacing()
COUNTED = {
    "reads": w.READS, "writes": w.WRITES, "forwarded": w.FORWARDED, "merged": w.MERGED,
    "row_hits": w.HITS, "row_misses": w.MISSES, "row_conflicts": w.CONFLICTS,
} | {name: w.COUNT + number for number, name in enumerate(COMMANDS)}  # fmt: skip


class Unified:
    """Controllers and devices of some channels of one standard.

    `drive` runs a list from a fresh state. `serve` goes on from where the last call left it.
    """

    def __init__(
        self,
        tables: Tables,
        controller: ControllerSpec,
        address_map: AddressMap,
        channels: int,
        *,
        plain: bool = False,
    ) -> None:
        """Without `plain`, the inner loop is compiled where numba is installed.

        Raises:
            InputError: E202 a mapping of another number of channels, or too many banks or channels.
        """
        if address_map.channels != channels or max(tables.banks, channels) > w.FIELDS:
            raise InputError(
                f"{channels} channels of {tables.banks} banks, but the mapping is of "
                f"{address_map.channels} and there may be {w.FIELDS} of each",
                code="E202",
            )
        self.tables = tables
        self.controller = controller
        self.address_map = address_map
        self.channels = channels
        self._loop: Callable[..., int] = run if plain else compiled()
        self._plain = self._loop is run
        self._digits = self._words(_digits(address_map))
        self._live: _Live | None = None

    def drive(
        self,
        requests: Requests,
        pacing: Pacing = AS_FAST_AS_TAKEN,
        *,
        keep_latencies: bool = True,
        log: NDArray[np.int64] | None = None,
    ) -> MemoryRun:
        """Run a whole list from a fresh state until its last request is done.

        Args:
            requests: The list; every channel takes its own of it, in order over all channels.
            pacing: When requests come.
            keep_latencies: Whether to keep the latency of each read.
            log: Room for commands, 4 words each: tick, channel, command (a number of
                `unified_program.COMMANDS`) and bank; what does not fit is left out.

        Raises:
            InputError: E202 an address outside the capacity.
        """
        self._check(requests)
        made = program(self.tables, self.controller, pacing)
        made.options[w.CHANNELS] = self.channels
        options, rules = self._words(made.options), self._words(made.rules)
        state = self._words(np.tile(made.reset, self.channels))
        n = len(requests)
        latency = self._words(np.zeros(n if keep_latencies else 0, np.int64))
        asked = self._words(np.empty(w.REQUEST_WORDS * min(n, CHUNK), np.int64))
        none = np.empty(0, np.int64)
        lane = np.zeros(2, np.int64)
        for first in range(0, max(n, 1), CHUNK):
            end = min(first + CHUNK, n)
            address, write = requests.address[first:end], requests.write[first:end]
            when = none if pacing.at is None else self._words(pacing.at[first:end])
            stop = self._loop(
                state, options, rules, self._digits, self.address_map.offset_bits,
                self._words(address), self._words(write), end - first,
                when, False, end == n, asked, none, lane, latency, none if log is None else log,
                none,
            )  # fmt: skip
            self._check_end(stop)
        waits = np.asarray(latency, np.int64)
        if keep_latencies:
            waits = waits[requests.write == 0]
        return _result(np.asarray(state, np.int64).reshape(self.channels, -1), waits)

    def serve(self, requests: Requests, at_tick: int) -> Served:
        """Serve a burst that comes at a tick, and go on from its acceptance at the next call.

        Each channel takes its requests in order, one a tick, refused while its queue is full. Then
        a copy of its state is run on, with nothing more coming, until the burst is done.

        Args:
            requests: The burst.
            at_tick: Tick after which the first request may be accepted; a channel that accepted
                later before goes on from there.

        Raises:
            InputError: E202 an address outside the capacity.
        """
        self._check(requests)
        n = len(requests)
        if self._live is None:
            self._live = _Live(self)
        live = self._live
        live.make_room(self, n)
        live.options[w.START] = at_tick
        live.out[0] = live.out[1] = at_tick
        stop = self._loop(
            live.state, live.options, live.rules, self._digits, self.address_map.offset_bits,
            self._words(requests.address), self._words(requests.write), n, live.none, True, False,
            live.asked, live.unsorted, live.at, live.none, live.none, live.out,
        )  # fmt: skip
        self._check_end(stop)
        out = live.out if self._plain else live.out.tolist()
        counts = {name: out[2 + word] for name, word in COUNTED.items()}
        return Served(accepted_tick=out[0], done_tick=out[1], counts=counts)

    def reset(self) -> None:
        """Forget what was served: the next burst finds every bank closed and tick 0."""
        self._live = None

    def _words(self, values: NDArray[np.int64]) -> Any:
        """As the inner loop wants them.

        Machine code is made for one type of array only; plain Python is many times faster on lists.
        """
        if self._plain:
            return values.tolist()
        fits = values.dtype == np.int64 and values.flags.carray
        return values if fits else np.array(values, np.int64)

    def _check(self, requests: Requests) -> None:
        address = requests.address
        if len(address) and (address.min() < 0 or address.max() >= self.address_map.capacity_bytes):
            self.address_map.decode(address)  # names the request

    def _check_end(self, end: int) -> None:
        if end == w.STUCK:
            raise ArchsimError(f"the controller of {self.tables.name} stands still")


class _Live:
    """State that bursts leave behind, and the room that a burst needs."""

    def __init__(self, device: Unified) -> None:
        words = device._words
        made = program(device.tables, device.controller, AS_FAST_AS_TAKEN)
        made.options[w.CHANNELS] = 1
        self.options, self.rules = words(made.options), words(made.rules)
        self.state = words(np.tile(made.reset, device.channels + 1))  # the last is room
        self.at = words(np.zeros(device.channels + 1, np.int64))
        self.out = words(np.zeros(2 + w.SCALARS, np.int64))
        self.none = np.empty(0, np.int64)
        self.room = 0

    def make_room(self, device: Unified, n: int) -> None:
        """Have room for a burst of n requests."""
        if n > self.room:
            self.room = max(1024, 2 * n)
            room = np.empty(w.REQUEST_WORDS * self.room, np.int64)
            self.asked, self.unsorted = device._words(room), device._words(room.copy())


def _digits(address_map: AddressMap) -> NDArray[np.int64]:
    """Place of each value of each address digit; linear over XOR, so from single bits."""
    offset = address_map.offset_bits
    bits = (address_map.capacity_bytes - 1).bit_length() - offset
    count = -(-bits // w.DIGIT_BITS)
    one = address_map.decode(np.int64(1) << np.arange(offset, offset + bits, dtype=np.int64))
    place = (one.row << 2 * w.FIELD_BITS) | (one.bank << w.FIELD_BITS) | one.channel
    place = np.concatenate([place, np.zeros(count * w.DIGIT_BITS - bits, np.int64)])
    table = np.zeros((count, w.DIGITS), np.int64)
    value = np.arange(w.DIGITS)
    for bit in range(w.DIGIT_BITS):
        single = place.reshape(count, w.DIGIT_BITS)[:, bit, None]
        table ^= np.where((value >> bit) & 1, single, 0)
    return table.reshape(-1)


def _result(state: NDArray[np.int64], latency: NDArray[np.int64]) -> MemoryRun:
    """Sum the channels' counters."""
    total = state[:, : w.SCALARS].sum(axis=0)
    count: Mapping[str, int] = {name: int(total[word]) for name, word in COUNTED.items()}
    commands = {name: count[name] for name in COMMANDS if count[name]}
    return MemoryRun(
        ticks=int(state[0, w.CLOCK]),
        reads=count["reads"],
        writes=count["writes"],
        activates=count["ACT"],
        precharges=count["PREpb"],
        refreshes=count["REFab"] + count["REFpb"],
        row_hits=count["row_hits"],
        row_misses=count["row_misses"],
        row_conflicts=count["row_conflicts"],
        forwarded=count["forwarded"],
        merged=count["merged"],
        read_latency_ticks=latency,
        read_latency_sum_ticks=int(total[w.LATENCY_SUM]),
        read_latency_max_ticks=int(state[:, w.LATENCY_MAX].max()),
        active_ticks=0,
        idle_ticks=0,
        commands=commands,
    )
