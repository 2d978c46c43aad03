"""The loop of a study: ask for a batch, run what the store does not know, tell, go on.

A study always begins with its first design: what it asks for is a function of its description, and
answers come from the store by key, so that going on after an end costs no run twice. Before it, the
machine as it is described runs, which gives metrics their names and figures their star.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil, inf
from typing import Any, Protocol

from archsim.core.errors import MissingExtra
from archsim.dse.agreement import agreement
from archsim.dse.executors.base import Done, Executor
from archsim.dse.executors.limit import stands
from archsim.dse.found import DESCRIBED, Found, Row, row_of
from archsim.dse.hopeless import refuse_hopeless
from archsim.dse.pareto import best, front, hypervolume, usual_reference
from archsim.dse.plan import Plan
from archsim.dse.point import Outcome, Task
from archsim.dse.progress import Progress
from archsim.dse.samplers.base import Told
from archsim.dse.screen import screen
from archsim.dse.spec import Stage

Asked = Sequence[tuple[int, Mapping[str, Any]]]
"""Numbers and settings of designs."""
SCREENED = "bound"  # the fidelity whose closed forms take many designs at once


class Answers(Protocol):
    """Where answers are kept by key: the store of a folder, or memory."""

    def get(self, key: str, number: int | None = None) -> Outcome | None:
        """The answer of a design that ran before."""

    def put(self, task: Task, outcome: Outcome, number: int) -> None:
        """Keep an answer."""


@dataclass
class Memory:
    """Answers that are kept as long as the process.

    Attributes:
        outcomes: by key.
        tasks: number and task, by key.
    """

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    tasks: dict[str, tuple[int, Task]] = field(default_factory=dict)

    def get(self, key: str, number: int | None = None) -> Outcome | None:
        """See `Answers.get`."""
        return self.outcomes.get(key)

    def put(self, task: Task, outcome: Outcome, number: int) -> None:
        """See `Answers.put`."""
        self.outcomes[task.key] = outcome
        self.tasks[task.key] = (number, task)


@dataclass
class Study:
    """A study at work.

    Attributes:
        plan: what is asked.
        answers: where answers are kept.
        executor: who runs designs.
        progress: who hears of each.
        shard: (i, n) to run only the designs whose key falls to part i of n, counted from 1.
        ended: set by others when the study shall end early.
    """

    plan: Plan
    answers: Answers
    executor: Executor
    progress: Progress = field(default_factory=Progress)
    shard: tuple[int, int] | None = None
    ended: threading.Event = field(default_factory=threading.Event)
    _rows: dict[str, Row] = field(default_factory=dict, init=False)
    _named: set[str] = field(default_factory=set, init=False)
    _least: dict[str, float] = field(default_factory=dict, init=False)
    _asked: int = field(default=0, init=False)
    _ran: int = field(default=0, init=False)
    _cached: int = field(default=0, init=False)

    def run(self) -> Found:
        """Run it to its end, or until `ended` is set.

        Raises:
            InputError: E701 for a metric that runs do not have; E704 for a constraint that no
                design can keep.
        """
        refuse_hopeless(self.plan)
        stages = [*self.plan.spec.stages, Stage(fidelity=self.plan.spec.fidelity)]
        volumes = Volumes(self.plan.reference)
        rounds, again = [self._search(stages[0].fidelity, volumes)], 0
        for before, stage in pairwise(stages):
            if self.ended.is_set():
                break
            chosen = going_on(rounds[-1].values(), before.keep)
            again += len(chosen)
            self.progress.begin(stage.fidelity, len(chosen))
            self._describe(stage.fidelity)
            rounds.append(self._answer([(r.number, r.settings) for r in chosen], stage.fidelity))
        whole = len(rounds) == len(stages)
        last = rounds[-1].values() if whole else ()
        rows = {row.key: row for row in last if row.number != DESCRIBED}
        described = self._rows.get(self._task({}, stages[-1].fidelity).key)
        trouble = sum(row.status in ("failed", "quarantined") for row in self._rows.values())
        return Found(
            self.plan, described, sorted(rows.values(), key=lambda row: row.number), self._asked,
            volumes.found, volumes.reference, self._agreement(stages, rounds),
            whole and not self.ended.is_set(), self._ran, self._cached, trouble, again,
        )  # fmt: skip

    def _search(self, fidelity: str, volumes: Volumes) -> dict[int, Row]:
        """The designs that the sampler asks for, by number."""
        sampler = self.plan.sampler()
        self.progress.begin(fidelity, None if self.shard else sampler.total)
        self._describe(fidelity)
        stall = self.plan.spec.search.stop.hypervolume_stall
        found: dict[int, Row] = {}
        for first in range(0, sampler.total, sampler.batch):
            if self.ended.is_set():
                break
            numbers = range(first, min(first + sampler.batch, sampler.total))
            rows = self._answer([(n, sampler.ask(n)) for n in numbers], fidelity)
            found |= rows
            if len(rows) < len(numbers) and not self.shard:
                break  # it was told to end
            self._asked += len(rows)
            sampler.tell(numbers, [_told(rows[n]) for n in numbers if n in rows])
            volumes.add(rows.values(), needed=stall is not None)
            if stall is not None and volumes.stalled(stall):
                break
        return found

    def _describe(self, fidelity: str) -> None:
        """Run the machine as it is described."""
        self._answer([(DESCRIBED, {})], fidelity, count=False)

    def _answer(self, asked: Asked, fidelity: str, *, count: bool = True) -> dict[int, Row]:
        """Rows of designs by number; those that were not begun when the study ended lack."""
        tasks = [(number, self._task(settings, fidelity)) for number, settings in asked]
        todo: dict[str, tuple[int, Task]] = {}
        for number, task in tasks:
            row = self._rows.get(task.key)
            if row is not None and row.number == DESCRIBED != number:
                self._rename(task, number)
            if row is not None or task.key in todo or not self._mine(task, number):
                continue
            before = self.answers.get(task.key, number)
            if before is not None and stands(task, before):
                self._cached += count
                self._take(task, before, number, cached=True)
            else:
                todo[task.key] = (number, task)

        def done(task: Task, outcome: Outcome) -> None:
            number = todo[task.key][0]
            self.answers.put(task, outcome, number)
            self._ran += count
            self._take(task, outcome, number, cached=False)

        if todo and not self.ended.is_set():
            self._run([task for _, task in todo.values()], fidelity, done)
        return {n: self._rows[task.key] for n, task in tasks if task.key in self._rows}

    def _rename(self, task: Task, number: int) -> None:
        """Give the described machine the number of a design that is just that."""
        outcome = self.answers.get(task.key)
        assert outcome is not None
        self.answers.put(task, outcome, number)
        self._rows[task.key] = row_of(self.plan, task, outcome, number)

    def _run(self, tasks: Sequence[Task], fidelity: str, done: Done) -> None:
        """Have designs answered: by closed forms over all of them at once, or one by one."""
        if fidelity != SCREENED:
            self.executor.run(tasks, done)
            return
        screened = screen(tasks, self.plan.spec.seed)
        for i, task in enumerate(tasks):
            if self.ended.is_set():
                return
            done(task, screened.outcome(i))

    def _take(self, task: Task, outcome: Outcome, number: int, *, cached: bool) -> None:
        """Note an answer; the first of a fidelity tells which metrics there are."""
        if outcome.status == "ok" and task.fidelity not in self._named:
            self.plan.check_names(outcome.metrics, task.fidelity)
            self._named.add(task.fidelity)
        row = self._rows[task.key] = row_of(self.plan, task, outcome, number)
        if number == DESCRIBED:
            return
        if row.kept and row.values and row.values[0] < self._least.get(task.fidelity, inf):
            self._least[task.fidelity] = row.values[0]
            first = self.plan.spec.objectives[0]
            self.progress.best = f"{first.metric} {first.sign * row.values[0]:.4g}"
        self.progress.count(outcome, cached=cached)

    def _task(self, settings: Mapping[str, Any], fidelity: str) -> Task:
        return self.plan.task(settings, fidelity)

    def _mine(self, task: Task, number: int) -> bool:
        """Whether a design falls to this shard; the described machine falls to all."""
        if self.shard is None or number == DESCRIBED:
            return True
        part, parts = self.shard
        return int(task.key[:16], 16) % parts == part - 1

    def _agreement(
        self, stages: Sequence[Stage], rounds: Sequence[Mapping[int, Row]]
    ) -> list[dict[str, Any]]:
        """Rank correlations of each two rounds that follow each other."""
        names = [one.metric for one in self.plan.spec.objectives]
        values = [
            {n: row.values for n, row in rows.items() if row.values is not None} for rows in rounds
        ]
        rounded = zip(stages, values, strict=False)
        return [
            {"from": low.fidelity, "to": high.fidelity, **one}
            for (low, before), (high, after) in pairwise(rounded)
            for one in agreement(names, before, after)
        ]


@dataclass
class Volumes:
    """Hypervolume of the front after each batch.

    Attributes:
        wanted: point of reference, if one was given, all to be minimised.
        reference: the one that is used: by default, of the first batch with answers.
        found: one volume a batch.
    """

    wanted: Sequence[float] | None
    reference: tuple[float, ...] = ()
    found: list[float] = field(default_factory=list)
    _front: list[tuple[float, ...]] = field(default_factory=list)

    def add(self, rows: Iterable[Row], *, needed: bool) -> None:
        """One more batch.

        Raises:
            MissingExtra: where volumes are needed and moocore is not installed.
        """
        rows = list(rows)
        answered = [row.values for row in rows if row.values is not None]
        if not self.reference and answered:
            self.reference = tuple(self.wanted or usual_reference(answered))
        self._front += [row.values for row in rows if row.kept and row.values is not None]
        self._front = [self._front[i] for i in front(self._front)]
        try:
            self.found.append(hypervolume(self._front, self.reference))
        except MissingExtra:
            if needed:
                raise

    def stalled(self, batches: int) -> bool:
        """Whether so many batches brought nothing."""
        return len(self.found) > batches and self.found[-1] <= self.found[-1 - batches]


def going_on(rows: Iterable[Row], keep: float) -> list[Row]:
    """The share of the designs that goes on to the next fidelity, by number.

    First those that keep all constraints, by front and room; then the others that have an answer,
    the least broken first: at a higher fidelity they may turn out to keep them.
    """
    distinct = {row.key: row for row in rows if row.number != DESCRIBED}
    count = ceil(keep * len(distinct))
    answered = sorted(
        (row for row in distinct.values() if row.values is not None), key=lambda row: row.number
    )
    kept = [row for row in answered if row.kept]
    chosen = [kept[i] for i in best([row.values or () for row in kept], count)]
    broken = sorted(
        (row for row in answered if not row.kept), key=lambda row: (sum(row.violations), row.number)
    )
    chosen += broken[: count - len(chosen)]
    return sorted(chosen, key=lambda row: row.number)


def _told(row: Row) -> Told:
    return Told(row.values, row.violations)
