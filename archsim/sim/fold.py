"""Folding: when the whole state at a loop's boundary recurs, the periods in between are counted.

Serves both engines through the `Machine` protocol: an engine can describe its state relative to
now, add up its counters, and jump. Here lives when to look, what to compare and how far to jump;
what belongs to a state lives with each engine.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from archsim.sim.code import Code
from archsim.sim.result import Fold

WINDOW = (
    8  # iterations compared with a remembered one, at least; periods up to 8 were seen (measured)
)
SHORTEST = 4  # iterations a loop must have: two are compared, one is skipped, the last is simulated


@dataclass(frozen=True, slots=True)
class State:
    """An engine's state at one instant.

    Attributes:
        key: Everything that decides the future, relative to now; equal keys, equal futures.
        now_ps: The instant it is relative to.
        moving: For each unit the slot of the loop it moves in, or -1; that counter is not in `key`.
    """

    key: tuple[object, ...]
    now_ps: int
    moving: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Jump:
    """Periods that were counted.

    Attributes:
        at: Steps of each unit (skipped ones included) when the period began.
        period: Steps of each unit in one period.
        times: Periods skipped right after the one simulated.
        period_ps: Time of one period.
        grown: What one period adds to the counters of rows: executions, then the three stalls.
    """

    at: NDArray[np.int64]
    period: NDArray[np.int64]
    times: int
    period_ps: int
    grown: NDArray[np.int64]


class Machine(Protocol):
    """What folding needs from an engine."""

    code: Code
    jumps: list[Jump]

    def state(self, loop: int, slot: int) -> State:
        """State at this instant, for a fold of one loop; now is that of the unit of a slot."""

    def iteration(self, slot: int) -> int:
        """Iteration a loop slot is in, from 0."""

    def totals(self) -> NDArray[np.int64]:
        """All counters that are sums, the steps of each unit last."""

    def skip(
        self, times: int, period_ps: int, moves: dict[int, int], delta: NDArray[np.int64]
    ) -> None:
        """Let `times` periods have passed: clock, counters and loop slots (iterations a period)."""


@dataclass(slots=True)
class _Mark:
    """The remembered sample of one loop; iterations are counted from `base`."""

    base: int
    at: int
    last: int
    state: State
    iterations: dict[int, int]
    totals: NDArray[np.int64]


@dataclass
class Folder:
    """Compares samples of the watched loops of one run, and jumps."""

    machine: Machine
    marks: dict[int, _Mark] = field(default_factory=dict)
    folded: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    last_instance: dict[int, int] = field(default_factory=dict)

    def visit(self, loop: int, slot: int) -> int:
        """Take a sample as the unit of a slot starts an iteration; returns the next to sample."""
        state = self.machine.state(loop, slot)
        i = self.machine.iteration(slot)
        mark = self.marks.get(loop)
        if mark is None or i <= mark.last:
            mark = self._remember(loop, slot, i - 1, state)
        elif mark.state.key == state.key and self._jump(loop, slot, mark, state):
            i = self.machine.iteration(slot)
            mark = self._remember(loop, slot, i - 1, self.machine.state(loop, slot))
        elif i - mark.base >= 2 * mark.at:
            mark = self._remember(loop, slot, mark.base, state)
        mark.last = i
        following = i - mark.base + 1
        if following > mark.at + max(WINDOW, mark.at // 8):
            following = max(following, 2 * mark.at)
        return mark.base + following

    def folds(self) -> tuple[Fold, ...]:
        """What was folded, by loop in preorder and by period."""
        loops = self.machine.code.loops
        return tuple(
            Fold(loops[loop].name, period, simulated, counted)
            for (loop, period), (simulated, counted) in sorted(self.folded.items())
        )

    def _remember(self, loop: int, slot: int, base: int, state: State) -> _Mark:
        machine = self.machine
        i = machine.iteration(slot)
        iterations = {slot: machine.iteration(slot) for slot in state.moving if slot >= 0}
        mark = _Mark(base, i - base, i, state, iterations, machine.totals())
        self.marks[loop] = mark
        return mark

    def _jump(self, loop: int, slot: int, mark: _Mark, state: State) -> bool:
        """Skip as many periods as every unit can while it stays inside the loop it moves in."""
        machine = self.machine
        moves = {
            slot: machine.iteration(slot) - before
            for slot, before in mark.iterations.items()
            if machine.iteration(slot) > before
        }
        times = min(
            (machine.code.slot_n[slot] - 1 - machine.iteration(slot)) // step
            for slot, step in moves.items()
        )
        if times < 1:
            return False
        delta = machine.totals() - mark.totals
        units = len(machine.code.start)
        period_ps = state.now_ps - mark.state.now_ps
        at, period, grown = mark.totals[-units:], delta[-units:], delta[:-units]
        machine.jumps.append(Jump(at.copy(), period.copy(), times, period_ps, grown.copy()))
        fresh = machine.iteration(slot) < self.last_instance.get(loop, 1 << 62)
        machine.skip(times, period_ps, moves, delta)
        self.last_instance[loop] = machine.iteration(slot)
        entry = self.folded.setdefault((loop, moves[slot]), [0, 0])
        entry[0] += (machine.code.slot_n[slot] if fresh else 0) - times * moves[slot]
        entry[1] += times * moves[slot]
        return True


def place(
    code: Code, word: int, outer: frozenset[int], iteration: Sequence[int]
) -> tuple[int, tuple[int, ...]]:
    """The slot of the loop a unit moves in, or -1, and its other loops' iterations.

    It is the first loop around the unit's word that does not enclose the loop being folded; of
    loops that stand beside it, as those of another device do, the one as deep as it, or the
    innermost. Any choice that the word alone decides is exact; this one lets both sides recur.
    """
    around = code.around[word]
    beside = outer and around and code.slot_loop[around[0]] not in outer
    skipped = min(len(outer), len(around) - 1) if beside else 0
    moving = -1
    fixed = []
    for depth, slot in enumerate(around):
        if moving < 0 and depth >= skipped and code.slot_loop[slot] not in outer:
            moving = slot
        else:
            fixed.append(iteration[slot])
    return moving, tuple(fixed)


def expected_steps(code: Code, watch: Collection[int]) -> int:
    """Steps a run simulates if every watched loop recurs at once, as blocks of models do."""
    folded = sum(
        loop.steps - loop.steps // loop.n * SHORTEST
        for i, loop in enumerate(code.loops)
        if i in watch and not loop.outer & set(watch)
    )
    return code.program.steps() - folded


def watched(code: Code, *, blocks_only: bool, fewest_steps: int) -> set[int]:
    """Loops worth sampling: blocks, or every loop whose run has at least so many steps."""
    return {
        i
        for i, loop in enumerate(code.loops)
        if loop.fold
        and loop.n >= SHORTEST
        and (loop.block or (not blocks_only and loop.steps >= fewest_steps))
    }
