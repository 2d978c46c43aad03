"""Studies from Python: `archsim.sweep` gives a table, `archsim.explore` all that was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsim.core.document import Document
from archsim.dse.executors.base import How, executors
from archsim.dse.found import DESCRIBED, Found
from archsim.dse.plan import Plan, prepare
from archsim.dse.run import Running, run
from archsim.dse.spec import load_explore
from archsim.dse.store import Point, Store
from archsim.dse.study import Memory, Study

if TYPE_CHECKING:
    import pandas as pd

ALONE = "serial"  # who runs a study without a folder: no process is started behind a caller's back


def sweep(
    hardware: str | dict[str, Any],
    workload: str | dict[str, Any],
    *,
    space: Mapping[str, Any],
    fidelity: str = "tile",
    seed: int = 0,
    set_: Sequence[str] = (),
    output: str | Path | None = None,
    executor: str | None = None,
    workers: int | None = None,
    **more: Any,
) -> pd.DataFrame:
    """Every design of a space, as a table.

    Args:
        hardware: a machine by name or path, or as data.
        workload: a workload the same way, or `{model: llama-3-8b, phase: decode, batch: 16}`.
        space: dimensions by path, as in the `space` of a study.
        fidelity: bound | analytic | tile | cycle.
        seed: of every draw.
        set_: overrides of the machine, or of the workload where they begin with `workload.`.
        output: folder to keep answers in and to go on from. Default: none is kept.
        executor: who runs designs. Default: this process alone, or as many as there are cores
            where there is a folder.
        workers: processes.
        more: other parts of a study, such as `constraints` or `search`.

    Returns:
        A row a design, in the order of the space: number, status, settings and metrics by path
        (NaN where a design has no answer), and the message of its error.

    Raises:
        InputError: for what the study or its descriptions cannot be.
    """
    data = {
        "schema": "archsim.explore/1", "name": "sweep", "hardware": hardware,
        "workloads": [workload], "space": dict(space), "fidelity": fidelity, "seed": seed, **more,
    }  # fmt: skip
    who = executor or (None if output else ALONE)
    plan = _planned(Document.of(data), set_, who, workers, "grid")
    if output is not None:
        run(plan, output)
        with Store.read(output) as store:
            return _frame(point for point in store.points() if point.fidelity == fidelity)
    memory = Memory()
    _alone(plan, memory)
    return _frame(
        Point(key, number, task.fidelity, task.shown, outcome.status, dict(outcome.metrics),
              dict(outcome.error) if outcome.error else None)
        for key, (number, task) in memory.tasks.items()
        for outcome in [memory.outcomes[key]] if task.fidelity == fidelity
    )  # fmt: skip


def explore(
    study: str | Path | dict[str, Any],
    *,
    set_: Sequence[str] = (),
    output: str | Path | None = None,
    executor: str | None = None,
    workers: int | None = None,
    fresh: bool = False,
) -> Found:
    """Search a space: the front, the designs, and what is known of how good they are.

    Args:
        study: by a shipped name or a path, or as data.
        set_: overrides of machines, of workloads (`workload.`) or of the study (`explore.`).
        output: folder to keep answers in and to go on from. Default: none is kept.
        executor: who runs designs. Default: this process alone, or what the study says where there
            is a folder.
        workers: processes.
        fresh: forget the answers in the folder.

    Raises:
        InputError: for what the study or its descriptions cannot be.
    """
    source = Document.of(study) if isinstance(study, dict) else str(study)
    plan = _planned(source, set_, executor or (None if output else ALONE), workers, "nsga2")
    if output is not None:
        return run(plan, output, Running(fresh=fresh))
    return _alone(plan, Memory())


def _planned(
    source: str | Document, set_: Sequence[str], executor: str | None, workers: int | None,
    usual: str,
) -> Plan:  # fmt: skip
    own = [setting for setting in set_ if setting.startswith("explore.")]
    spec, document = load_explore(source, set_=own)
    how = {"executor": executor, "workers": workers}
    said = {key: value for key, value in how.items() if value is not None}
    spec = spec.model_copy(update={"execution": spec.execution.model_copy(update=said)})
    rest = [setting for setting in set_ if not setting.startswith("explore.")]
    return prepare(spec, document, set_=rest, usual=usual)


def _alone(plan: Plan, memory: Memory) -> Found:
    said = plan.spec.execution
    workers = None if said.workers == "auto" else said.workers
    executor = executors.get(said.executor)(How(workers, said.retries, said.scheduler))
    try:
        return Study(plan, memory, executor).run()
    finally:
        executor.close()


def _frame(points: Any) -> pd.DataFrame:
    """Designs by number as a table."""
    import pandas as pd

    rows = sorted((p for p in points if p.number != DESCRIBED), key=lambda point: point.number)
    return pd.DataFrame(
        [
            {"number": p.number, "status": p.status, **p.settings, **p.metrics,
             "error": (p.error or {}).get("message")}
            for p in rows
        ]
    )  # fmt: skip
