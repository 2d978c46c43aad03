"""Runs a program on the kernel: sets the arrays up, folds, reports deadlocks, hands counters over.

The kernel is compiled where numba is there and runs as plain Python otherwise; both give the same
answer. Here lives everything of the compiled engine that is not its inner loop.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, MutableSequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsim.core.errors import LawViolation
from archsim.sim import kernel
from archsim.sim.code import Code
from archsim.sim.deadlock import Blocked, deadlock
from archsim.sim.fold import Folder, Jump, State, expected_steps
from archsim.sim.kernels import compiled, pays
from archsim.sim.snapshot import snapshot

Ints = MutableSequence[int]
FIRST_LOG = 4096  # steps of a unit logged before the log grows, where folding keeps them few
NEVER = -1


class Executor:
    """One run of the compiled engine; its arrays are numpy when compiled, lists otherwise.

    `plain` says whether to run the kernel as plain Python; None leaves it to what pays.
    """

    def __init__(
        self,
        code: Code,
        *,
        watch: Collection[int],
        logging: bool,
        timed: bool = True,
        plain: bool | None = None,
    ) -> None:
        self.code = code
        self.jumps: list[Jump] = []
        self.timed = timed
        if plain is None:
            plain = not pays(expected_steps(code, watch))
        self.function = None if plain else compiled("advance")
        self.folder = Folder(self)
        self._program_arrays()
        self._state_arrays(set(watch))
        self._log_arrays(logging, folding=bool(watch))

    def run(self) -> None:
        """Run to the end.

        Raises:
            Deadlock: Units wait for each other.
            LawViolation: Tokens or claimed slots are left.
        """
        ready = len(self.mode)
        stack = self._ints(range(ready))
        function = self.function or kernel.advance
        parked: list[int] = []
        while True:
            status, ready = function(ready, stack, *self.fixed, *self.varying, *self.log)
            if status >= 0:
                loop = self.code.slot_loop[status]
                if self.code.loops[loop].aligned:
                    ready -= 1  # it stays where it is until nobody else can move
                    parked.append(status)
                    self.parked[0] = 1
                else:
                    self.due[status] = self.folder.visit(loop, status)
            elif status == kernel.QUIET:
                ready = self._go_on(parked, stack)
                parked = []
            elif status == kernel.LOG_FULL:
                self._grow_log(int(stack[ready - 1]))
            elif status == kernel.DEADLOCK:
                raise deadlock(self.code, self._blocked())
            else:
                break
        for ring, level in enumerate(self.ring_n):
            expected = self.code.ring_depth[ring] if ring % 2 else 0
            if level != expected:
                name = self.code.program.channels[ring // 2].name
                what = "slots free" if ring % 2 else "tokens"
                raise LawViolation(f"channel {name} ends with {level} {what}, not {expected}")

    def _go_on(self, parked: list[int], stack: Ints) -> int:
        """Sample loops at which units have stopped, and let those go on; returns how many.

        Which unit stops first does not matter: between grants, what units can do before they all
        come to an iteration or wait for one that has does not depend on who goes first.
        """
        for loop in sorted({self.code.slot_loop[slot] for slot in parked}):
            here = [slot for slot in parked if self.code.slot_loop[slot] == loop]
            following = self.folder.visit(loop, min(here))
            for slot in self.code.loops[loop].aligned:
                self.due[slot] = following
        for i, slot in enumerate(parked):
            stack[i] = self.code.slot_unit[slot]
        self.parked[0] = 0
        return len(parked)

    def _ints(self, values: Iterable[int]) -> Any:
        if self.function is None:
            return list(values)
        return np.array(list(values), dtype=np.int64)

    def _program_arrays(self) -> None:
        code, rows = self.code, self.code.program.rows
        order = sorted(range(len(code.start)), key=code.rank.__getitem__)
        sharers = [u for u in order if self.timed and code.timeline[u] >= 0]
        self.timeline = code.timeline if self.timed else [-1] * len(code.start)
        columns: tuple[Iterable[int], ...] = (
            code.op,
            code.arg,
            code.target,
            code.slot_n,
            (row.dur_ps if self.timed else 0 for row in rows),
            (row.lag_ps if self.timed else 0 for row in rows),
            (row.run for row in rows),
            code.verb_at,
            code.verb_ring,
            code.ring_at,
            code.ring_depth,
            self.timeline,
            sharers,
        )
        self.parked = self._ints([0])
        self.fixed = (*(self._ints(column) for column in columns), self.parked)

    def _state_arrays(self, watch: set[int]) -> None:
        code = self.code
        units, rings, slots = len(code.start), len(code.ring_depth), len(code.slot_n)

        def zeros(size: int) -> Any:
            return self._ints([0] * size)

        self.mode, self.pc, self.left = zeros(units), self._ints(code.start), zeros(units)
        self.at, self.t, self.bind = self._ints([-1] * units), zeros(units), zeros(units)
        self.via, self.pred, self.n, self.since = (zeros(units) for _ in range(4))
        self.granted = zeros(units)
        self.ring_n = self._ints(d if r % 2 else 0 for r, d in enumerate(code.ring_depth))
        self.ring_head, self.ring_wait = zeros(rings), self._ints([-1] * rings)
        self.stamp = zeros(code.ring_at[-1])
        self.author = self._ints([-1] * code.ring_at[-1])
        self.cnt, self.due = zeros(slots), zeros(slots)
        sampled = {s for i in watch for s in code.loops[i].aligned or (code.loops[i].slot,)}
        first_due = self._ints(1 if slot in sampled else NEVER for slot in range(slots))
        lines = len(code.timelines)
        self.until, self.last_user, self.last_step = zeros(lines), zeros(lines), zeros(lines)
        self.counters = tuple(zeros(len(code.program.rows)) for _ in range(4))
        self.skipped = np.zeros(units, dtype=np.int64)
        self.varying = (
            *(self.mode, self.pc, self.left, self.at, self.t, self.bind, self.via, self.pred),
            *(self.n, self.since, self.granted, self.ring_n, self.ring_head, self.ring_wait),
            *(self.stamp, self.author, self.cnt, self.due, first_due),
            *(self.until, self.last_user, self.last_step, *self.counters),
        )

    def _log_arrays(self, logging: bool, *, folding: bool) -> None:
        code = self.code
        room = [0] * len(code.start)
        if logging:
            pairs = zip(code.program.counts(), code.program.rows, strict=True)
            for count, row in pairs:
                room[row.unit] += count
            if folding:
                room = [min(steps, FIRST_LOG) for steps in room]
        self.logging = logging
        self._lay_log(room)

    def _lay_log(self, room: list[int]) -> None:
        """Fresh log columns of the given capacities; a page is real only once it is written."""
        total = sum(room)
        self.log_at = np.cumsum([0, *room])[:-1]
        self.columns = tuple(np.empty(total, dtype) for dtype in (np.int32, np.int32, np.int16))
        columns: tuple[Any, ...] = self.columns
        if self.function is None:
            columns = tuple(memoryview(column) for column in columns)
        self.room = room
        self.log = (int(self.logging), self._ints(self.log_at), self._ints(room), *columns)

    def _grow_log(self, unit: int) -> None:
        old, starts, kept = self.columns, self.log_at, self.room
        room = [
            2 * most if int(n) > most // 2 else most for n, most in zip(self.n, kept, strict=True)
        ]
        room[unit] = 2 * kept[unit]  # and those that are soon full: each time all is copied
        self._lay_log(room)
        for column, before in zip(self.columns, old, strict=True):
            for start, was, size in zip(self.log_at, starts, kept, strict=True):
                column[start : start + size] = before[was : was + size]

    def _blocked(self) -> dict[int, Blocked]:
        code = self.code
        return {
            u: Blocked(
                code.verb_ring[self.at[u]],
                int(self.since[u]) if self.timed else None,
                code.arg[self.pc[u]],
            )
            for u in range(len(self.mode))
            if self.mode[u] == kernel.WAITING
        }

    # What folding needs (fold.Machine).

    def iteration(self, slot: int) -> int:
        """Iteration a loop slot is in, from 0."""
        return int(self.cnt[slot])

    def totals(self) -> NDArray[np.int64]:
        """All counters, then the steps of each unit with the skipped ones."""
        return np.concatenate([*self.counters, np.asarray(self.n) + self.skipped])

    def state(self, loop: int, slot: int) -> State:
        """State at the moment the unit of a slot starts an iteration (see `snapshot`)."""
        return snapshot(self, loop, slot)

    def skip(
        self, times: int, period_ps: int, moves: dict[int, int], delta: NDArray[np.int64]
    ) -> None:
        """Let periods pass: every time stamp moves, finished units stay where they ended."""
        shift = times * period_ps
        rows = len(self.code.program.rows)
        for k, counter in enumerate(self.counters):
            _add(counter, times * delta[k * rows : (k + 1) * rows])
        steps = times * delta[4 * rows :]
        self.skipped += steps
        for u in range(len(self.mode)):
            if self.mode[u] != kernel.HALTED:
                self.t[u] += shift
                self.bind[u] += shift
                if steps[u]:
                    self.since[u] += shift
        _add(self.stamp, np.full(len(self.stamp), shift))
        _add(self.until, np.full(len(self.until), shift))
        for slot, step in moves.items():
            self.cnt[slot] += times * step


def _add(array: Ints, amounts: NDArray[np.int64]) -> None:
    array[:] = (np.asarray(array) + amounts).tolist()
