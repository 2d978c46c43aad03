"""A design to be run and what came of it, as plain data that travels to a worker and back.

What a space is, who chooses designs, who runs them and where answers are kept have modules of
their own; these two words are what they exchange.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from archsim import __version__
from archsim.core.yamlio import sha256_of

Status = Literal["ok", "infeasible", "failed", "quarantined"]
"""Answered; refused because it cannot fit or be mapped; stopped by an error or a time limit; ended
its worker more often than it may."""


@dataclass(frozen=True)
class Task:
    """One design, at one fidelity, on all workloads of a study.

    Attributes:
        hardware: resolved description of the machine before the settings of the design.
        workloads: the same of each workload.
        settings: path and value of what the design changes; values as YAML holds them.
        fidelity: bound | analytic | tile | cycle.
        seed: of every random draw whose own seed a workload does not say.
        weights: of the workloads, where metrics are summed over them.
        base_sha256: of hardware, workloads and weights; hashed once for a whole study.
        timeout_s: that one design may take; None for ever.
        chosen: names of descriptions that the design chooses, by `hardware` or `workload`; the hash
            of the base tells them apart.
    """

    hardware: dict[str, Any]
    workloads: tuple[dict[str, Any], ...]
    settings: Mapping[str, Any]
    fidelity: str
    seed: int
    weights: tuple[float, ...]
    base_sha256: str
    timeout_s: float | None = None
    chosen: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """Content hash of all that alters the answer: equal keys have equal answers."""
        return sha256_of(
            {"base": self.base_sha256, "settings": dict(sorted(self.settings.items())),
             "fidelity": self.fidelity, "seed": self.seed, "version": __version__}
        )  # fmt: skip

    @property
    def shown(self) -> dict[str, Any]:
        """All that the design says, for people and for stores: what it chooses, what it sets."""
        return {**self.chosen, **self.settings}

    @property
    def overrides(self) -> tuple[str, ...]:
        """The settings as `--set` takes them."""
        return tuple(f"{path}={_written(value)}" for path, value in self.settings.items())


@dataclass(frozen=True)
class Outcome:
    """What came of a design.

    Attributes:
        key: of its task.
        status: whether there is an answer.
        metrics: every number of the result by dotted path, combined over the workloads.
        results: the text of `result.json`, one a workload; empty where there is no answer.
        error: code, message and help where there is none.
        wall_s: that it took; never part of what is compared.
    """

    key: str
    status: Status
    metrics: Mapping[str, float]
    results: tuple[str, ...] = ()
    error: Mapping[str, Any] | None = None
    wall_s: float = 0.0


def _written(value: Any) -> str:
    """A value as the right side of `--set`: YAML, of which JSON is a part; text stays bare."""
    return value if isinstance(value, str) else json.dumps(value)
