"""A study from beginning to end: description in, folder out, one call."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from archsim import __version__
from archsim.core.errors import ArchsimError, InputError
from archsim.core.files import atomic_write
from archsim.core.yamlio import canonical_json, dump_yaml
from archsim.dse.again import write
from archsim.dse.bases import bases
from archsim.dse.dimension import dimension
from archsim.dse.executors.base import How, executors
from archsim.dse.folder import DATABASE, MANIFEST, RESOLVED
from archsim.dse.found import Found
from archsim.dse.interrupt import interruptible
from archsim.dse.plan import Plan
from archsim.dse.progress import Progress, nobody
from archsim.dse.samplers.base import samplers
from archsim.dse.spec import load_explore
from archsim.dse.store import Store
from archsim.dse.study import Study

SUMMARY = "summary.json"


@dataclass(frozen=True)
class Running:
    """How a study is run; it alters no answer.

    Attributes:
        fresh: forget the answers that are there.
        shard: (i, n), to run one of n parts.
        progress: who hears of each design.
        tell: hears of an interruption; called in a signal handler.
        argv: the command, for the manifest.
    """

    fresh: bool = False
    shard: tuple[int, int] | None = None
    progress: Progress = field(default_factory=Progress)
    tell: Callable[[str], None] = nobody
    argv: Sequence[str] = ()


def run(plan: Plan, folder: Path | str, running: Running | None = None) -> Found:
    """Run a study, or go on with it, in a folder.

    Raises:
        InputError: for a folder of something else, or metrics that runs do not have.
    """
    running = running or Running()
    if running.shard is not None:
        _refuse_shards(plan)
    spec = plan.spec
    said = spec.execution
    workers = None if said.workers == "auto" else said.workers
    try:
        make = executors.get(said.executor)
    except InputError as error:
        place = ("execution", "executor")
        message = error.message.replace("kind", "executor", 1)
        help_text = error.help or "see `archsim list executors`"
        raise plan.document.error(place, error.code, message, help=help_text) from None
    shard = "/".join(map(str, running.shard)) if running.shard else None
    folder = Path(folder)
    if not running.fresh:
        _refuse_other(plan, folder)
    with Store.open(
        folder, fresh=running.fresh, spec_sha=plan.sha256, shard=shard, keep=said.keep
    ) as store:
        study = resolved(plan)
        atomic_write(folder / RESOLVED, dump_yaml(study))
        write(folder, study)
        began = time.perf_counter()
        executor = make(How(workers, said.retries, said.scheduler))
        try:
            with interruptible(executor.stop, running.tell, grace_s=executor.grace_s) as ended:
                found = Study(plan, store, executor, running.progress, running.shard, ended).run()
        finally:
            executor.close()
        found = replace(found, former=store.former, readopted=store.readopted)
        atomic_write(folder / MANIFEST, _manifest(found, running, time.perf_counter() - began))
        if found.complete:
            atomic_write(folder / SUMMARY, canonical_json(found.summary()) + "\n")
            store.finish()
    return found


def resolved(plan: Plan) -> dict[str, Any]:
    """The description of a study that stands alone: all that it names or chooses is written out."""
    data = plan.spec.to_data()
    base = plan.bases.get({})
    if plan.spec.hardware is not None:
        data["hardware"] = base.hardware
    if plan.spec.workloads:
        data["workloads"] = [
            work if weight == 1 else {"model": work, "weight": weight}
            for work, weight in zip(base.workloads, base.weights, strict=True)
        ]
    data["descriptions"] = plan.bases.written
    data["search"]["sampler"] = plan.kind
    return data


def _refuse_other(plan: Plan, folder: Path) -> None:
    """Leave alone the designs of other machines and workloads: none of them answers this study."""
    if not (folder / DATABASE).exists() or not (folder / RESOLVED).exists():
        return
    try:
        spec, document = load_explore(folder / RESOLVED)
        held = bases(spec, document, [dimension(*one) for one in spec.space.items()])
    except ArchsimError:
        return  # of another version, which the store tells
    if {one.sha256 for one in held.table.values()} & {b.sha256 for b in plan.bases.table.values()}:
        return
    raise InputError(
        f'{folder} holds the designs of another study, "{spec.name}", of other machines or '
        "workloads",
        code="E703", help="choose another folder with -o, or forget them with --fresh",
    )  # fmt: skip


def _manifest(found: Found, running: Running, wall_s: float) -> str:
    """What may differ between equal studies."""
    said = found.plan.spec.execution
    facts = {
        "argv": list(running.argv), "archsim": __version__, "python": platform.python_version(),
        "host": platform.node(), "executor": said.executor, "workers": said.workers,
        "wall_s": wall_s, "simulated": found.ran, "cached": found.cached,
        "points_per_s": found.ran / wall_s if wall_s else 0.0,
    }  # fmt: skip
    return json.dumps(facts, indent=2) + "\n"


def _refuse_shards(plan: Plan) -> None:
    """Only designs that do not depend on others can be cut into parts."""
    if samplers.get(plan.kind).adaptive or plan.spec.stages:
        what = "a screened study" if plan.spec.stages else f"sampler {plan.kind}"
        raise InputError(
            f"{what} learns from all of its designs, and cannot be cut into shards",
            code="E202",
            help="`--executor dask` takes several machines; or a sampler that learns nothing",
        )
