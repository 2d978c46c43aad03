"""Run one design on all workloads of a study; whatever goes wrong becomes part of the answer."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from functools import cache
from multiprocessing import parent_process
from typing import Any

from archsim import api
from archsim.core.errors import ArchsimError, Infeasible
from archsim.dse.point import Outcome, Status, Task
from archsim.lowering.lower import times_reused
from archsim.report.explain import leaves
from archsim.report.model import Report
from archsim.sim import kernels

NUMBERS = ("time_ps", "bound_ps", "ratio_to_bound", "metrics", "stalls", "bound")
"""Parts of `result.json` whose numbers are metrics of a design."""
FEW = 8  # designs that take less time than compiled kernels take to load
SUMMED = ("_s", "_ps", "_j")  # endings of what adds up over workloads that follow each other


def evaluate(task: Task) -> Outcome:
    """The outcome of a design; never raises for what the design itself does wrong."""
    began = time.perf_counter()
    if task.fidelity in api.TIMED and times_reused() >= FEW:
        _settle()
    try:
        reports = [
            api.run(
                task.hardware, workload,
                set_=task.overrides, fidelity=task.fidelity, seed=task.seed, advice=False,
            )
            for workload in task.workloads
        ]  # fmt: skip
    except ArchsimError as error:
        status: Status = "infeasible" if isinstance(error, Infeasible) else "failed"
        found = error.to_dict()["errors"][0]
        said = {name: found[name] for name in ("code", "message", "help")}
        return Outcome(task.key, status, {}, (), said, time.perf_counter() - began)
    texts = tuple(report.to_json() for report in reports)
    return Outcome(
        task.key, "ok", combined(reports, task.weights), texts, None, time.perf_counter() - began
    )


@cache
def _settle() -> None:
    """Make a process ready for many more designs: what they share is compiled, and swept no more.

    A run by itself is too short for compiled kernels. Garbage collection skips what a worker holds
    by now, which it keeps to its end; other processes have plans of their own.
    """
    kernels.load()
    if parent_process() is not None:
        gc.freeze()


def numbers_of(result: dict[str, Any]) -> dict[str, float]:
    """Every number of a result that a study can use, by dotted path."""
    return {
        path: value
        for part in NUMBERS if part in result
        for path, value in leaves({part: result[part]})
        if isinstance(value, int | float) and not isinstance(value, bool)
    }  # fmt: skip


def combined(reports: Sequence[Report], weights: Sequence[float]) -> dict[str, float]:
    """Metrics of one design over its workloads.

    Times and energies add up, each as often as its weight says; of all else (areas, rates, shares,
    powers) the largest stands. A metric that some workload lacks is left out.
    """
    each = [numbers_of(report.result) for report in reports]
    if len(each) == 1 and weights[0] == 1:
        return each[0]
    common = [path for path in each[0] if all(path in one for one in each)]
    return {
        path: sum(w * one[path] for w, one in zip(weights, each, strict=True))
        if adds_up(path) else max(one[path] for one in each)
        for path in common
    }  # fmt: skip


def adds_up(path: str) -> bool:
    """Whether a metric is summed over workloads that follow each other."""
    name = path if path.startswith(("time", "bound")) else path.removeprefix("metrics.")
    return name.partition(".")[0].endswith(SUMMED) and "per_" not in name
