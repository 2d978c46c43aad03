"""What a run leaves behind: integer counters and picoseconds by index, and the laws they obey.

Names, energy and everything derived belong to the callers; no live object of an engine
comes here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from archsim.core.errors import LawViolation
from archsim.sim.program import Program

if TYPE_CHECKING:
    from archsim.sim.occupancy import Occupancy
    from archsim.sim.slices import Slices

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Fold:
    """Iterations of a loop that were counted because the state recurred.

    Attributes:
        loop: Name of the loop.
        period: Iterations after which the state recurred.
        simulated: Iterations simulated, over all runs of the loop that were folded.
        counted: Iterations counted instead.
    """

    loop: str
    period: int
    simulated: int
    counted: int


@dataclass(frozen=True)
class RunResult:
    """Outcome of one run.

    Attributes:
        makespan_ps: Time the last step ended.
        count: Executions, by row id.
        busy_ps: Use of the timeline, by row id.
        stall_in_ps: Waits for tokens, by row id.
        stall_out_ps: Waits for slots, by row id.
        stall_shared_ps: Waits for a grant of a shared timeline, by row id.
        unit_end_ps: Time the last step of each unit ended (0 for a unit without rows), by unit.
        critical_busy_ps: Use of timelines on the critical path, by row id; None when not asked for.
        critical_lag_ps: Latency of tokens on it, by the row id that put them; None likewise.
        folds: What was counted instead of simulated.
        engine: `compiled` or `simpy`.
        steps: Steps of the program, all counted.
        steps_simulated: Steps that went through an engine.
        events: Events of the event queue; 0 for the compiled engine, which has none.
        slices: What each unit did when; None when not asked for.
        occupancy: How full channels got; None when not asked for.
    """

    makespan_ps: int
    count: Ints
    busy_ps: Ints
    stall_in_ps: Ints
    stall_out_ps: Ints
    stall_shared_ps: Ints
    unit_end_ps: Ints
    critical_busy_ps: Ints | None
    critical_lag_ps: Ints | None
    folds: tuple[Fold, ...]
    engine: str
    steps: int
    steps_simulated: int
    events: int
    slices: Slices | None = None
    occupancy: Occupancy | None = None

    def check(self, program: Program, *, own_behaviours: bool = False) -> None:
        """Refuse a result that breaks a law of time.

        Args:
            program: What was run.
            own_behaviours: Whether units had behaviours of their own, which may spend time that no
                row says; the laws that need durations are then left to the watchdog.

        Raises:
            LawViolation: Naming the first law broken.
        """
        if type(self.makespan_ps) is not int:
            raise LawViolation(f"time is {type(self.makespan_ps).__name__}, not int")
        _equal("executions differ from the program's", self.count, np.array(program.counts()))
        if not own_behaviours:
            durations = np.array([row.dur_ps for row in program.rows], dtype=np.int64)
            _equal("busy time is not executions x duration", self.busy_ps, self.count * durations)
            self._check_owners(program)
            self._check_limit(program)
        self._check_bounds(program)

    def _check_owners(self, program: Program) -> None:
        """Every picosecond of every unit has one owner."""
        stalls = (self.stall_in_ps, self.stall_out_ps, self.stall_shared_ps)
        if any(int(counter.min(initial=0)) < 0 for counter in stalls):
            raise LawViolation("a stall is negative")
        owned = by_unit(program, self.busy_ps + stalls[0] + stalls[1] + stalls[2])
        _equal("busy + stalls + idle is not the makespan of every unit", owned, self.unit_end_ps)

    def _check_bounds(self, program: Program) -> None:
        busy = by_unit(program, self.busy_ps)
        work: dict[str, int] = {}
        for unit, ps in zip(program.units, busy.tolist(), strict=True):
            resource = f"unit {unit.name}" if unit.timeline is None else f"timeline {unit.timeline}"
            work[resource] = work.get(resource, 0) + ps
        for resource, ps in work.items():
            if ps > self.makespan_ps:
                raise LawViolation(f"{resource} works {ps} ps in a run of {self.makespan_ps} ps")
        last = int(self.unit_end_ps.max(initial=0))
        if last != self.makespan_ps:
            raise LawViolation(f"makespan {self.makespan_ps} ps, but the last unit ends at {last}")
        if self.critical_busy_ps is not None and self.critical_lag_ps is not None:
            path = int(self.critical_busy_ps.sum()) + int(self.critical_lag_ps.sum())
            if path != self.makespan_ps:
                raise LawViolation(f"critical path {path} ps, makespan {self.makespan_ps} ps")

    def _check_limit(self, program: Program) -> None:
        limit = program.upper_bound_ps()
        if self.makespan_ps > limit:
            raise LawViolation(f"makespan {self.makespan_ps} ps exceeds all durations, {limit} ps")


def by_unit(program: Program, by_row: Ints) -> Ints:
    """Sum of a counter over the rows of each unit."""
    total = np.zeros(len(program.units), dtype=np.int64)
    if program.rows:
        np.add.at(total, np.array([row.unit for row in program.rows]), by_row)
    return total


def _equal(law: str, found: Ints, expected: Ints) -> None:
    if not np.array_equal(found, expected):
        at = int(np.argmax(found != expected))
        raise LawViolation(f"{law}: {int(found[at])} against {int(expected[at])} at index {at}")
