"""The best assignment of stages to engines as a constraint program (OR-Tools CP-SAT).

One optional interval for each stage and engine that could run it; intervals of an engine do not
overlap, stages of a network follow each other. Times are counted in ticks of a ten-thousandth of
the longest chain, so `proven` is to within that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

from archsim.core.errors import Infeasible
from archsim.core.units import PS_PER_S
from archsim.dse.assign import Assignment, Job, assign, judge, over, refuse_hopeless
from archsim.memory.allocation.solver import cp_model, run

TICKS = 10_000  # of the schedule that single moves find
EFFORT_S = 20.0  # of deterministic time, which a machine's load does not change


def assign_exactly(
    work: Sequence[Job],
    leakage_w: float,
    objective: str = "latency",
    limits: Mapping[str, float] | None = None,
) -> Assignment:
    """The best assignment by the closed forms, or the best found within the solver's effort.

    Arguments as `assign`; `edp` is not linear, so it starts from moves and is improved at the
    latency that they reach.

    Raises:
        Infeasible: E401 when it is proven that limits cannot be kept.
        MissingExtra: when OR-Tools is not installed.
    """
    limits = dict(limits or {})
    refuse_hopeless(work, limits)
    start = assign(work, leakage_w, objective, limits)
    tick_ps = max(1, round(start.latency_s * PS_PER_S / TICKS))
    program = _Program(work, start, tick_ps, leakage_w)
    program.bound(limits)
    if objective == "edp":
        program.bound({"latency_s": start.latency_s})
    program.minimise(objective)
    solver, status = run(program.model, EFFORT_S)
    if status in ("infeasible", "unknown"):
        if over(start, limits) == 0:
            return start
        if status == "infeasible":
            raise Infeasible("no assignment keeps the budgets", code="E401", help="a wider budget")
        return start
    engines = program.chosen(solver)
    makespan, energy_j = judge(work, engines, leakage_w)
    proven = status == "optimal" and objective != "edp"
    found = Assignment(engines, makespan / PS_PER_S, energy_j, "cp-sat", proven)
    return min(found, start, key=lambda a: (over(a, limits), a.value(objective)))


class _Program:
    """Variables and laws."""

    def __init__(
        self, work: Sequence[Job], start: Assignment, tick_ps: int, leakage_w: float
    ) -> None:
        self.work, self.tick_ps = work, tick_ps
        self.model: Any = cp_model().CpModel()
        self.leakage_j = leakage_w * tick_ps / PS_PER_S  # of a tick
        self.unit_j = max(start.energy_j / 10**7, 1e-18)
        horizon = sum(max(1, -(-max(j.time_ps.values()) // tick_ps)) for j in work)
        self.end = self.model.new_int_var(0, horizon, "end")
        self.runs: dict[tuple[str, str], Any] = {}
        lanes: dict[str, list[Any]] = {}
        last: dict[str, Any] = {}
        for job in work:
            begin = self.model.new_int_var(0, horizon, "")
            finish = self.model.new_int_var(0, horizon, "")
            for engine, time_ps in sorted(job.time_ps.items()):
                here = self.model.new_bool_var("")
                size = -(-time_ps // tick_ps)
                lane = self.model.new_optional_interval_var(begin, size, finish, here, "")
                lanes.setdefault(engine, []).append(lane)
                self.runs[job.path, engine] = here
                self.model.add_hint(here, start.engines[job.path] == engine)
            self.model.add_exactly_one(self.runs[job.path, e] for e in job.time_ps)
            if job.network in last:
                self.model.add(begin >= last[job.network])
            last[job.network] = finish
        for intervals in lanes.values():
            self.model.add_no_overlap(intervals)
        for finish in last.values():
            self.model.add(self.end >= finish)

    @property
    def energy(self) -> Any:
        """Energy in units of the model, leakage included."""
        active = [
            round(job.energy_j[engine] / self.unit_j) * self.runs[job.path, engine]
            for job in self.work
            for engine in job.energy_j
        ]
        return sum(active) + round(self.leakage_j / self.unit_j) * self.end

    def bound(self, limits: Mapping[str, float]) -> None:
        """Budgets as laws, wider by what rounding may add: what is found is judged afterwards."""
        slack = len(self.work) + 1
        if "latency_s" in limits:
            self.model.add(self.end <= slack + ceil(limits["latency_s"] * PS_PER_S / self.tick_ps))
        if "energy_j" in limits:
            self.model.add(self.energy <= slack + ceil(limits["energy_j"] / self.unit_j))

    def minimise(self, objective: str) -> None:
        """What is best."""
        self.model.minimize(self.end if objective == "latency" else self.energy)

    def chosen(self, solver: Any) -> dict[str, str]:
        """The engine of every job."""
        return {path: engine for (path, engine), here in self.runs.items() if solver.value(here)}
