"""Studies without a simulator: designs are answered by a formula, and may be cut short."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Event
from typing import Any

from archsim.core.document import Document
from archsim.core.errors import InputError
from archsim.dse.bases import Base, Bases
from archsim.dse.constraint import constraint
from archsim.dse.dimension import dimension
from archsim.dse.executors.base import Done, Executor
from archsim.dse.plan import Plan
from archsim.dse.point import Outcome, Task
from archsim.dse.space import Space
from archsim.dse.spec import ExploreSpec, load_explore

Formula = Callable[[Mapping[str, Any], str], Mapping[str, float] | None]
"""Metrics of a design from its settings and a fidelity; None where it does not fit."""


class Formulas(Executor):
    """Answers designs by a formula, in this process.

    Attributes:
        ran: keys of the designs that were answered, in order.
    """

    kind = "formulas"

    def __init__(self, formula: Formula, *, most: int | None = None, ended: Event | None = None):
        """Answer by a formula, `most` designs at most; then set `ended` as a signal would."""
        super().__init__()
        self.formula, self.most, self.ended = formula, most, ended or Event()
        self.ran: list[str] = []

    def run(self, tasks: Iterable[Task], done: Done) -> None:
        """See `Executor.run`."""
        for task in tasks:
            if self.most is not None and len(self.ran) >= self.most:
                self.ended.set()
                return
            self.ran.append(task.key)
            metrics = self.formula(task.settings, task.fidelity)
            if metrics is None:
                error = {"code": "E401", "message": "does not fit", "help": None}
                done(task, Outcome(task.key, "infeasible", {}, error=error))
            else:
                done(task, Outcome(task.key, "ok", dict(metrics)))

    def stop(self) -> None:
        """See `Executor.stop`."""
        self.most = len(self.ran)

    def close(self) -> None:
        """Nothing is held."""


def plan_of(space: Mapping[str, Any], **said: Any) -> Plan:
    """A study over settings that no description has to know."""
    data = {"schema": "archsim.explore/1", "name": "formulas", "space": dict(space), **said}
    spec, document = load_explore(Document.of(json.loads(json.dumps(data))))
    return unchecked(spec, document)


def unchecked(spec: ExploreSpec, document: Document) -> Plan:
    """A plan whose settings nothing has looked at."""
    if not spec.objectives:
        raise InputError("say objectives", code="E102")
    dimensions: Sequence[Any] = [dimension(path, one) for path, one in spec.space.items()]
    return Plan(
        spec, document, Space(tuple(dimensions)), tuple(map(constraint, spec.constraints)),
        Bases({(None, None): Base({}, (), (), "0")}), spec.search.sampler or "grid",
    )  # fmt: skip
