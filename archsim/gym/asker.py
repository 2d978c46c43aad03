"""Designs answered for an environment: each is run once, whoever asks for it and how often.

What a study knows is read, never added to: designs of agents have no number in it. Their own
answers are kept in memory, as many as fit a bound.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from archsim.core.errors import Infeasible, InputError
from archsim.dse.executors.limit import answered, stands
from archsim.dse.plan import Plan
from archsim.dse.point import Outcome, Task

MOST = 4096
"""Designs that are remembered: a few ten MB, metrics of a run take some KB; assumed."""


class Known(Protocol):
    """Answers that are there already: the store of a study, or the memory of one."""

    def get(self, key: str) -> Outcome | None:
        """The answer of a design that ran before."""


@dataclass
class Recent:
    """Answers of the designs that were asked for last; several environments may share one.

    Attributes:
        most: designs that are remembered.
    """

    most: int = MOST
    _outcomes: OrderedDict[str, Outcome] = field(default_factory=OrderedDict)

    def get(self, key: str) -> Outcome | None:
        """The answer of a design, which counts as the last one asked for from now on."""
        found = self._outcomes.get(key)
        if found is not None:
            self._outcomes.move_to_end(key)
        return found

    def put(self, key: str, outcome: Outcome) -> None:
        """Remember an answer without the texts of its results, and forget the oldest."""
        self._outcomes[key] = replace(outcome, results=())
        self._outcomes.move_to_end(key)
        if len(self._outcomes) > self.most:
            self._outcomes.popitem(last=False)


@dataclass
class Asker:
    """Answers to settings.

    Attributes:
        plan: the study whose designs they are.
        answers: what is known before anything is run; only read.
        recent: what was asked for last, by this environment and those that share it.
        run: who answers a design that is in neither.
        asked: designs that were asked for.
        ran: of them, those that were run.
    """

    plan: Plan
    answers: Known | None = None
    recent: Recent = field(default_factory=Recent)
    run: Callable[[Task], Outcome] = answered
    asked: int = 0
    ran: int = 0

    def ask(self, settings: Mapping[str, Any]) -> tuple[Task, Outcome]:
        """A design and what comes of it; never raises for what the design itself does wrong."""
        task = self.plan.task(settings, self.plan.spec.fidelity)
        self.asked += 1
        found = self.recent.get(task.key)
        if found is None:
            found = self.answers.get(task.key) if self.answers is not None else None
            if found is None or not stands(task, found):
                found = self.run(task)
                self.ran += 1
            self.recent.put(task.key, found)
        return task, found

    def described(self, settings: Mapping[str, Any]) -> Mapping[str, float]:
        """Metrics of the design that others are measured against.

        Raises:
            Infeasible: where it does not fit; InputError where something else is wrong with it.
            InputError: E701 where objectives or constraints are on numbers that it does not have.
        """
        _, outcome = self.ask(settings)
        if outcome.status != "ok":
            said = dict(outcome.error or {})
            kind = Infeasible if outcome.status == "infeasible" else InputError
            what = "the design of `against`" if settings else "the machine as described"
            raise kind(
                f"{what} gives no answer to measure others against: {said.get('message')}",
                code=str(said.get("code") or ""),
                help="settings with which it runs: `against: {memory.hbm.capacity: 96 GiB}`",
            )
        self.plan.check_names(outcome.metrics, self.plan.spec.fidelity)
        return outcome.metrics
