"""One call from a program to a result, on either engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np

from archsim.sim.code import Code, flatten
from archsim.sim.critical import Log, critical_path
from archsim.sim.executor import Executor
from archsim.sim.fold import watched
from archsim.sim.occupancy import occupancy
from archsim.sim.program import Program
from archsim.sim.result import RunResult
from archsim.sim.slices import unfold

if TYPE_CHECKING:
    from archsim.sim.engine import Behaviour

Engine = Literal["compiled", "simpy"]


def simulate(
    program: Program,
    *,
    engine: Engine = "compiled",
    exact: bool = False,
    critical_path: bool = True,
    slices: int = 0,
    occupied: bool = False,
    watchdog: bool = True,
    behaviours: Mapping[int, Behaviour] | None = None,
) -> RunResult:
    """Run a program that passed `Program.check` and check the laws of time on the outcome.

    Args:
        program: What to run.
        engine: `compiled` (arrays, no event queue) or `simpy` (the reference). Same answer.
        exact: Simulate every step instead of counting periods after which the state recurs.
        critical_path: Attribute the makespan to the rows on the critical path.
        slices: Slices of the timeline to tell at most (see `sim.slices`); 0 for none.
        occupied: Tell how full channels got (see `sim.occupancy`).
        watchdog: Stop a run whose behaviours go past the sum of all durations and lags.
        behaviours: Own behaviour of units, by index: a generator function that gets the unit (see
            `engine.UnitProcess`). Such a run goes to the SimPy engine, unfolded, and has neither
            critical path nor timeline: a behaviour may keep state and spend time of its own.

    Raises:
        Deadlock: Units wait for each other.
        Watchdog: A behaviour goes on past the time limit.
        LawViolation: The outcome breaks a law of time.
    """
    code = flatten(program)
    if engine == "simpy" or behaviours:
        from archsim.sim.reference import run_reference

        result = run_reference(
            code,
            exact=exact,
            critical=critical_path,
            slices=slices,
            occupied=occupied,
            watchdog=watchdog,
            behaviours=behaviours or {},
        )
    else:
        result = run_compiled(
            code, exact=exact, critical=critical_path, slices=slices, occupied=occupied
        )
    result.check(program, own_behaviours=bool(behaviours))
    return result


def run_compiled(
    code: Code,
    *,
    exact: bool,
    critical: bool,
    slices: int = 0,
    occupied: bool = False,
    plain: bool | None = None,
    all_loops: bool = False,
) -> RunResult:
    """Run on the executor.

    Args:
        code: The program, flat.
        exact: Whether to fold nothing.
        critical: Whether to log steps and walk the critical path.
        slices: Slices of the timeline to tell at most; 0 for none.
        occupied: Whether to tell how full channels got.
        plain: Whether to run the kernel as plain Python; None leaves it to what pays.
        all_loops: Fold every loop that may be folded instead of blocks only.
    """
    watch = set() if exact else watched(code, blocks_only=not all_loops, fewest_steps=0)
    run = Executor(code, watch=watch, logging=critical or slices > 0 or occupied, plain=plain)
    run.run()
    program = code.program
    ends = [int(t) for t in run.t]
    steps = [int(n) + int(s) for n, s in zip(run.n, run.skipped, strict=True)]
    path = told = None
    log = Log(run.log_at.tolist(), [int(n) for n in run.n], *run.columns)
    if critical:
        path = critical_path(code, log, run.jumps, ends, steps, plain=run.function is None)
    if slices:
        told = unfold(code, log, run.jumps, slices, plain=run.function is None)
    full = occupancy(code, log, plain=run.function is None) if occupied else None
    count, stall_in, stall_out, stall_shared = (np.array(c, dtype=np.int64) for c in run.counters)
    return RunResult(
        makespan_ps=max(ends, default=0),
        count=count,
        busy_ps=count * np.array([row.dur_ps for row in program.rows], dtype=np.int64),
        stall_in_ps=stall_in,
        stall_out_ps=stall_out,
        stall_shared_ps=stall_shared,
        unit_end_ps=np.array(ends, dtype=np.int64),
        critical_busy_ps=path[0] if path else None,
        critical_lag_ps=path[1] if path else None,
        folds=run.folder.folds(),
        engine="compiled",
        steps=program.steps(),
        steps_simulated=sum(int(n) for n in run.n),
        events=0,
        slices=told,
        occupancy=full,
    )
