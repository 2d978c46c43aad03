"""Run one design on all workloads of a study; whatever goes wrong becomes part of the answer."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from functools import cache
from itertools import count
from multiprocessing import parent_process
from typing import Any

from archsim import api
from archsim.core.errors import ArchsimError, Infeasible
from archsim.dse.combine import combined
from archsim.dse.point import Outcome, Status, Task
from archsim.report.explain import leaves
from archsim.sim import kernels

NUMBERS = ("time_ps", "bound_ps", "ratio_to_bound", "metrics", "stalls", "bound")
"""Parts of `result.json` whose numbers are metrics of a design."""
FEW = 8  # designs that take less time than compiled kernels take to load
SWEPT = 20_000  # new objects between sweeps for garbage: those of a few designs


def evaluate(task: Task) -> Outcome:
    """The outcome of a design; never raises for what the design itself does wrong."""
    began = time.perf_counter()
    if task.fidelity in api.TIMED and next(_timed()) >= FEW:
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
    metrics = combined([numbers_of(report.result) for report in reports], task.weights)
    return Outcome(task.key, "ok", metrics, texts, None, time.perf_counter() - began)


@cache
def _timed() -> Iterator[int]:
    """Counts the designs that this process has timed."""
    return count()


@cache
def _settle() -> None:
    """Make a process ready for many more designs: what they share is compiled, and swept no more.

    A run by itself is too short for compiled kernels. Garbage collection skips what a worker holds
    by now, which it keeps to its end, and comes once in a few designs; other processes have plans
    of their own.
    """
    kernels.load()
    if parent_process() is not None:
        gc.freeze()
        gc.set_threshold(SWEPT)


def numbers_of(result: dict[str, Any]) -> dict[str, float]:
    """Every number of a result that a study can use, by dotted path."""
    return {
        path: value
        for part in NUMBERS if part in result
        for path, value in leaves({part: result[part]})
        if isinstance(value, int | float) and not isinstance(value, bool)
    }  # fmt: skip
