"""The machine of a run, asked again: what its metrics would be with other settings.

Questions are tasks as those of a study, so that any executor answers them and none is run twice.
What to ask is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from archsim.core.errors import InputError
from archsim.core.yamlio import sha256_of
from archsim.dse.evaluate import evaluate, numbers_of
from archsim.dse.executors.base import Executor
from archsim.dse.point import Outcome, Task
from archsim.report.model import Report

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Machine:
    """The machine and the workload of a run, ready for other settings.

    Attributes:
        hardware: its resolved description.
        workload: the same of what ran on it.
        fidelity: of the run, and of every answer that names no other.
        seed: of the run.
        executor: who runs; None for this process.
        answers: given until now, by key of their task.
    """

    hardware: dict[str, Any]
    workload: dict[str, Any]
    fidelity: str
    seed: int
    executor: Executor | None = None
    answers: dict[str, Outcome] = field(default_factory=dict)

    def ask(self, settings: Sequence[Settings], fidelity: str | None = None) -> list[Outcome]:
        """What comes of each of some settings, in their order; none is run twice."""
        base = sha256_of({"hardware": self.hardware, "workloads": [self.workload]})
        tasks = [
            Task(
                self.hardware, (self.workload,), one, fidelity or self.fidelity, self.seed,
                weights=(1.0,), base_sha256=base,
            )
            for one in settings
        ]  # fmt: skip
        new = {task.key: task for task in tasks if task.key not in self.answers}
        if self.executor is None:
            self.answers.update((key, evaluate(task)) for key, task in new.items())
        elif new:
            self.executor.run(new.values(), lambda task, got: self.answers.update({task.key: got}))
        return [self.answers[task.key] for task in tasks]

    def now(self) -> Mapping[str, float]:
        """Metrics of the machine as it is."""
        return self.ask([{}])[0].metrics


def machine_of(report: Report, executor: Executor | None = None) -> Machine:
    """The machine of a run, asked at the run's own fidelity and seed.

    Raises:
        InputError: E708 for a run of the bound alone; E204 for one of another version of archsim,
            whose numbers a comparison with this version's would not be about.
    """
    result = report.result
    if result["fidelity"] == "bound":
        raise InputError(
            "a run at fidelity bound has nothing that a setting could relieve", code="E708",
            help="run at fidelity analytic, tile or cycle",
        )  # fmt: skip
    machine = Machine(
        report.resolved["hardware"], report.resolved["workload"],
        result["fidelity"], result["seed"], executor,
    )  # fmt: skip
    now = machine.now()
    if other := [path for path, value in numbers_of(result).items() if now.get(path) != value]:
        raise InputError(
            f"this version of archsim gives the run another {other[0]} than the folder says",
            code="E204", help="run again with -o and --force",
        )  # fmt: skip
    return machine
