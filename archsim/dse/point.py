"""A design to be run and what came of it, as plain data that travels to a worker and back.

What a space is, who chooses designs, who runs them and where answers are kept have modules of
their own; these two words are what they exchange.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.metadata import entry_points
from typing import Any, Literal

from archsim import __version__
from archsim.core.yamlio import sha256_of
from archsim.core.yamlread import value_text

PLUGINS = "archsim.plugins"  # entry points that registries read
Status = Literal["ok", "infeasible", "failed", "quarantined"]
"""Answered; refused because it cannot fit or be mapped; stopped by an error or a time limit; ended
its worker more often than it may."""

OVERTIME = "E501"
"""Code of a design that took longer than it may."""


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
        """Content hash of all that alters an answer: equal keys have equal answers.

        A time limit and a worker that ends are no answers of a design, and not in it.
        """
        return sha256_of(
            {"base": self.base_sha256, "settings": dict(sorted(self.settings.items())),
             "fidelity": self.fidelity, "seed": self.seed, "version": __version__, **added()}
        )  # fmt: skip

    @property
    def shown(self) -> dict[str, Any]:
        """All that the design says, for people and for stores: what it chooses, what it sets."""
        return {**self.chosen, **self.settings}

    @property
    def overrides(self) -> tuple[str, ...]:
        """The settings as `--set` takes them."""
        return tuple(f"{path}={value_text(value)}" for path, value in self.settings.items())


@cache
def added() -> dict[str, dict[str, str]]:
    """Packages that bring plug-ins, name and version under `plugins`; empty where there are none.

    They are those of this process, as the registries find them.
    """
    found = {
        point.dist.name: point.dist.version
        for point in entry_points(group=PLUGINS) if point.dist is not None
    }  # fmt: skip
    return {"plugins": dict(sorted(found.items()))} if found else {}


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

    @property
    def of_its_run(self) -> bool:
        """Whether it says more of the run than of the design.

        A worker that ended, a time that was too short, a fault of ours: another run may answer.
        """
        code = (self.error or {}).get("code")
        return self.status == "quarantined" or code in (OVERTIME, "")
