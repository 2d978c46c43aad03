"""One window of ops as a constraint program: which order, what to hold, what to evict and refetch.

The joint problem of COSMA without addresses: time is a position in the order, a Boolean says that
an op runs at it, another that a tensor is held. A plan found here moves least among all whose bytes
fit; where addresses exist for it too, it is optimal outright. Solved by OR-Tools CP-SAT with one
worker, a fixed seed and a limit in deterministic time, so that an answer can be repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, gcd
from typing import TYPE_CHECKING, Any

from archsim.core.errors import LawViolation, MissingExtra
from archsim.memory.allocation.window import Answer, Window

if TYPE_CHECKING:
    from ortools.sat.python.cp_model import CpModel, CpSolver

    from archsim.memory.allocation.lifetimes import Step


def cp_model() -> Any:
    """The module of the solver.

    Raises:
        MissingExtra: when OR-Tools is not installed.
    """
    try:
        from ortools.sat.python import cp_model as module
    except ImportError:
        raise MissingExtra(
            "an exact allocation needs the library ortools", extra="solver"
        ) from None
    return module


def run(model: CpModel, effort: float) -> tuple[CpSolver, str]:
    """Solve a model within so many seconds of deterministic time; the status is its own word."""
    module = cp_model()
    solver = module.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    solver.parameters.max_deterministic_time = effort
    status = solver.status_name(solver.solve(model)).lower()
    if status == "model_invalid":
        raise LawViolation(f"the solver refuses its model: {model.validate()}")
    return solver, status


def ancestors(steps: Sequence[Step]) -> list[set[int]]:
    """For each op of a window, the ops of the window that must run before it."""
    producer = {x: i for i, step in enumerate(steps) for x in step.writes}
    found: list[set[int]] = []
    for step in steps:
        before: set[int] = set()
        for x in step.reads:
            if x in producer:
                before |= {producer[x]} | found[producer[x]]
        found.append(before)
    return found


class _Program:
    """The variables and laws of one window."""

    def __init__(self, window: Window, start: Answer, *, free_order: bool) -> None:
        self.window = window
        self.model: CpModel = cp_model().CpModel()
        self.count = len(window.steps)
        self.unit = gcd(*window.sizes) or 1
        self.producer = {x: i for i, step in enumerate(window.steps) for x in step.writes}
        self.tensors = range(len(window.sizes))
        self._place_ops(start, free_order=free_order)
        self._hold_tensors(start)

    def _place_ops(self, start: Answer, *, free_order: bool) -> None:
        """`runs[op][t]`: op runs at t; `done[op][t]`: it ran at t or before."""
        n, model = self.count, self.model
        before = ancestors(self.window.steps)
        after = [sum(op in b for b in before) for op in range(n)]
        self.runs: list[dict[int, Any]] = []
        for op in range(n):
            at = start.order.index(op)
            times = range(len(before[op]), n - after[op]) if free_order else range(at, at + 1)
            self.runs.append({t: model.new_bool_var(f"run {op} {t}") for t in times})
            model.add_exactly_one(self.runs[op].values())
            for t, variable in self.runs[op].items():
                model.add_hint(variable, at == t)
        for t in range(n):
            model.add_exactly_one(runs[t] for runs in self.runs if t in runs)
        for op, step in enumerate(self.window.steps):
            for first in {self.producer[x] for x in step.reads if x in self.producer}:
                for t in range(n):
                    model.add(self.done(op, t) <= self.done(first, t - 1))

    def done(self, op: int, t: int) -> Any:
        """Expression that is 1 when an op has run by t."""
        return sum(variable for at, variable in self.runs[op].items() if at <= t)

    def used(self, x: int, t: int, *, reads: bool) -> Any:
        """Expression that is positive when a tensor is read (or written) at t."""
        steps = enumerate(self.window.steps)
        ops = [op for op, s in steps if x in (s.reads if reads else (*s.reads, *s.writes))]
        return [self.runs[op][t] for op in ops if t in self.runs[op]]

    def _hold_tensors(self, start: Answer) -> None:
        """`held[x, t]`: on chip at t; `came[x, t]`: fetched for it; `saved[x]`: written out."""
        model, window = self.model, self.window
        self.held: dict[tuple[int, int], Any] = {}
        self.came: dict[tuple[int, int], Any] = {}
        self.saved: dict[int, Any] = {}
        for x in self.tensors:
            if x not in window.copies:
                self.saved[x] = model.new_bool_var(f"save {x}")
            for t in self._span(x):
                held = self.held[x, t] = model.new_bool_var(f"hold {x} {t}")
                came = self.came[x, t] = model.new_bool_var(f"come {x} {t}")
                model.add_hint(held, x in start.held[t])
                for variable in self.used(x, t, reads=False):
                    model.add_implication(variable, held)
                model.add(came <= sum(self.used(x, t, reads=True)))
                old = self.held.get((x, t - 1), 0) if t else int(x in window.entry)
                born = self.runs[self.producer[x]].get(t, 0) if x in self.producer else 0
                model.add(held <= old + came + born)
                if x in self.saved:
                    model.add_implication(came, self.saved[x])
            if x in window.leave:
                model.add(self.held[x, self.count - 1] == 1)

    def _span(self, x: int) -> range:
        """Positions at which it can pay to hold a tensor: from its birth to its last use."""
        born = min(self.runs[self.producer[x]]) if x in self.producer else 0
        steps = enumerate(self.window.steps)
        ops = [op for op, s in steps if x in s.reads or x in s.writes]
        last = self.count - 1 if x in self.window.leave else max(max(self.runs[op]) for op in ops)
        return range(born, last + 1)

    def room(self, budget: Any) -> None:
        """At no time more bytes than the budget, in units."""
        sizes = self.window.sizes
        for t in range(self.count):
            held = ((x, self.held.get((x, t), 0)) for x in self.tensors)
            total = sum(sizes[x] // self.unit * flag for x, flag in held)
            self.model.add(total <= budget)

    def moved(self) -> Any:
        """Non-compulsory bytes, in units."""
        sizes, fresh = self.window.sizes, self.window.fresh
        fetched = sum(sizes[x] // self.unit * came for (x, _), came in self.came.items())
        saved = sum(sizes[x] // self.unit * flag for x, flag in self.saved.items())
        return fetched + saved - sum(sizes[x] // self.unit for x in self.tensors if x in fresh)

    def once(self) -> None:
        """Nothing is evicted: only what comes from outside is fetched, and once."""
        for x in self.tensors:
            times = sum(self.came[x, t] for t in self._span(x))
            self.model.add(times <= int(x in self.window.fresh))

    def answer(self, solver: CpSolver, status: str) -> Answer:
        """What a solver found, in ops and tensors of the window."""
        order = []
        for t in range(self.count):
            order += [op for op, at in enumerate(self.runs) if t in at and solver.value(at[t])]
        held = (
            frozenset(x for x in self.tensors if solver.value(self.held.get((x, t), 0)))
            for t in range(self.count)
        )
        cost = round(solver.objective_value) * self.unit
        # the objective is whole, the solver's bound a float that may be off by its rounding
        bound = ceil(solver.best_objective_bound - 1e-6) * self.unit
        return Answer(tuple(order), tuple(held), cost, bound, status == "optimal")


def least_traffic(
    window: Window, budget_bytes: int, start: Answer, *, free_order: bool, effort: float
) -> Answer:
    """The order and holding that move fewest non-compulsory bytes.

    Args:
        window: what is asked.
        budget_bytes: the scratchpad's.
        start: an answer to begin with, returned where nothing better is found in time.
        free_order: False keeps the order of `start`.
        effort: limit, in CP-SAT's seconds of deterministic time.

    Raises:
        MissingExtra: when OR-Tools is not installed.
    """
    program = _Program(window, start, free_order=free_order)
    program.room(budget_bytes // program.unit)
    program.model.minimize(program.moved())
    solver, status = run(program.model, effort)
    return program.answer(solver, status) if status in ("optimal", "feasible") else start


def least_peak(window: Window, start: Answer, *, effort: float) -> Answer:
    """The order whose live bytes peak lowest when nothing is evicted.

    Args:
        window: what is asked.
        start: an answer to begin with, returned where nothing better is found in time.
        effort: limit, in CP-SAT's seconds of deterministic time.

    Raises:
        MissingExtra: when OR-Tools is not installed.
    """
    program = _Program(window, start, free_order=True)
    program.once()
    peak = program.model.new_int_var(0, sum(window.sizes) // program.unit, "peak")
    program.room(peak)
    program.model.minimize(peak)
    solver, status = run(program.model, effort)
    return program.answer(solver, status) if status in ("optimal", "feasible") else start
