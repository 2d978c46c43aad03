"""What a study found: designs with their objectives, and the front of the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from archsim.dse.objective import turned
from archsim.dse.pareto import front
from archsim.dse.plan import Plan
from archsim.dse.point import Outcome, Status, Task

SUMMARY = "archsim.study/1"
DESCRIBED = -1
"""Number of the machine as it is described, with nothing varied."""


@dataclass(frozen=True)
class Row:
    """A design and how it did.

    Attributes:
        number: the first of the study that asked for it; -1 is the machine as described.
        key: of its task.
        settings: what it chooses and sets.
        status: whether there is an answer.
        values: of the objectives, all to be minimised; None without an answer.
        violations: of the constraints; above zero where one is not kept.
        metrics: of the objectives and the constraints.
        error: code, message and help where there is no answer.
    """

    number: int
    key: str
    settings: Mapping[str, Any]
    status: Status
    values: tuple[float, ...] | None
    violations: tuple[float, ...]
    metrics: Mapping[str, float]
    error: Mapping[str, Any] | None = None

    @property
    def kept(self) -> bool:
        """Whether it has an answer and keeps every constraint."""
        return self.values is not None and not any(v > 0 for v in self.violations)


def row_of(plan: Plan, task: Task, outcome: Outcome, number: int) -> Row:
    """A row from an outcome."""
    metrics = outcome.metrics
    values = turned(plan.spec.objectives, metrics) if outcome.status == "ok" else None
    violations = (
        tuple(limit.violation(metrics) for limit in plan.constraints)
        if outcome.status == "ok" else ()
    )  # fmt: skip
    wanted = [one.metric for one in plan.spec.objectives]
    wanted += [name for limit in plan.constraints for name in limit.metrics]
    return Row(
        number, task.key, task.shown, outcome.status, values, violations,
        {name: metrics[name] for name in dict.fromkeys(wanted) if name in metrics}, outcome.error,
    )  # fmt: skip


@dataclass(frozen=True)
class Found:
    """The answer of a study.

    Attributes:
        plan: what was asked.
        described: the machine as it is described, at the last fidelity; None if not reached.
        rows: the designs of the last round, each once, by number.
        asked: how often the search asked for a design, repeated ones counted again.
        again: designs of later rounds, which went on from one before.
        volumes: hypervolume of the front after each batch of the search.
        reference: of the hypervolumes, all to be minimised; empty without any.
        agreement: rank correlations of each two fidelities, one entry an objective.
        complete: that no design is missing.
        ran, cached: designs that were run now, and that were answered by the store; of all rounds.
        trouble: designs of any round that failed or were quarantined.
        former: answers in the folder that are of another description of the study.
        readopted: those of them that answer this one too.
    """

    plan: Plan
    described: Row | None
    rows: Sequence[Row]
    asked: int
    volumes: Sequence[float]
    reference: Sequence[float]
    agreement: Sequence[Mapping[str, Any]]
    complete: bool
    ran: int = 0
    cached: int = 0
    trouble: int = 0
    again: int = 0
    former: int = 0
    readopted: int = 0

    front: Sequence[Row] = field(init=False)
    """Designs that keep the constraints and that none dominates, by the first objective."""

    def __post_init__(self) -> None:
        """Find the front."""
        kept = [row for row in self.rows if row.kept]
        best = [kept[i] for i in front([row.values or () for row in kept])]
        unlike: dict[tuple[float, ...], Row] = {}
        for row in best:
            unlike.setdefault(row.values or (), row)
        order = sorted(unlike.values(), key=lambda row: (row.values, row.number))
        object.__setattr__(self, "front", order)

    @property
    def counts(self) -> dict[str, int]:
        """Designs of the last round by what came of them."""
        found = {"kept": 0, "broken": 0, "infeasible": 0, "failed": 0, "quarantined": 0}
        for row in self.rows:
            if row.status != "ok":
                found[row.status] += 1
            else:
                found["kept" if row.kept else "broken"] += 1
        return found

    @property
    def dominating(self) -> list[Row]:
        """Designs of the front that beat the described one somewhere and are no worse anywhere."""
        at = self.described.values if self.described else None
        if at is None:
            return []
        return [
            row for row in self.front
            if row.values != at
            and all(a <= b for a, b in zip(row.values or (), at, strict=True))
        ]  # fmt: skip

    def summary(self) -> dict[str, Any]:
        """Plain data for `summary.json`; equal for equal studies, however they were run."""
        spec = self.plan.spec
        signs = [one.sign for one in spec.objectives]
        return {
            "schema": SUMMARY,
            "name": spec.name,
            "spec_sha256": self.plan.sha256,
            "sampler": self.plan.kind,
            "fidelity": spec.fidelity,
            "objectives": [one.to_data() for one in spec.objectives],
            "constraints": list(spec.constraints),
            "complete": self.complete,
            "asked": self.asked,
            "designs": len(self.rows),
            "counts": self.counts,
            "described": _shown(self.described) if self.described else None,
            "front": [_shown(row) for row in self.front],
            "dominating": [row.number for row in self.dominating],
            "hypervolume": {
                "reference": [s * r for s, r in zip(signs, self.reference, strict=False)],
                "by_batch": list(self.volumes),
            },
            "rank_correlation": [dict(one) for one in self.agreement],
        }


def _shown(row: Row) -> dict[str, Any]:
    return {
        "number": row.number,
        "key": row.key,
        "status": row.status,
        "settings": dict(row.settings),
        "metrics": dict(row.metrics),
    }
