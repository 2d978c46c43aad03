"""One design of a study, read back: what was described, and the results that its run left behind.

Rows of all designs are the business of `dse.store`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from archsim import api
from archsim.core.errors import InputError
from archsim.dse.bases import bases
from archsim.dse.dimension import dimension
from archsim.dse.folder import RESOLVED
from archsim.dse.point import Task
from archsim.dse.space import split
from archsim.dse.spec import load_explore
from archsim.dse.store import Point, Store
from archsim.lowering.spec import load_workload

AT: Final = "#"
"""Between the folder of a study and the design: `sweeps/mine#9f31c2ab`."""
BASELINE: Final = "baseline"
"""In place of a key: the machine as it is described."""
OF_WORK: Final = "workload."


@dataclass(frozen=True)
class Kept:
    """A design that ran.

    Attributes:
        name: folder and key, as users write it.
        point: its row.
        results: content of `result.json`, one a workload.
    """

    name: str
    folder: Path
    point: Point
    results: list[dict[str, Any]]

    def resolved(self, workload: int = 0) -> dict[str, Any]:
        """Machine and workload of a result as they were simulated, every setting applied.

        Raises:
            InputError: where the description of the study is missing or damaged.
        """
        spec, document = load_explore(self.folder / RESOLVED)
        over = bases(spec, document, [dimension(*one) for one in spec.space.items()])
        chosen, own = split(self.point.settings)
        base = over.get(chosen)
        task = Task(
            base.hardware, base.workloads, own, self.point.fidelity, spec.seed, base.weights,
            base.sha256,
        )  # fmt: skip
        theirs = [s.removeprefix(OF_WORK) for s in task.overrides if s.startswith(OF_WORK)]
        ours = [s for s in task.overrides if not s.startswith(OF_WORK)]
        work, _ = load_workload(base.workloads[workload], set_=theirs, seed=spec.seed)
        return {
            "hardware": api.load_hardware(base.hardware, set_=ours).to_data(),
            "workload": work.to_data(),
        }


def kept(text: str) -> Kept:
    """The design that `STUDY#KEY` names; of the key, as much as tells it from others.

    Raises:
        InputError: E702 or E703 for a folder that is no study of this version; E003 for a key of
            no design, or of several, or of one without a result.
    """
    folder, _, prefix = text.partition(AT)
    with Store.read(folder) as store:
        points = list(store.points())
        if prefix == BASELINE:
            found = [point for point in points if point.number == -1]
        else:
            found = [point for point in points if prefix and point.key.startswith(prefix)]
        path = store.run_path(found[0].key) if len(found) == 1 else Path()
    if len(found) != 1:
        many = f"{len(found)} designs of {folder} have" if found else f"no design of {folder} has"
        raise InputError(
            f'{many} a key that begins with "{prefix}"', code="E003",
            help=f"`archsim export {folder}` lists the keys",
        )  # fmt: skip
    point = found[0]
    if point.status != "ok":
        said = (point.error or {}).get("message", "")
        raise InputError(f"{text} has no result: it is {point.status}; {said}", code="E003")
    try:
        results = json.loads(path.read_text("utf-8"))["results"]
    except (OSError, ValueError, KeyError):
        raise InputError(
            f"{text} has no results beside its metrics: {path.name} is missing or damaged",
            code="E003", help="a study keeps them with `execution: {keep: results}`",
        ) from None  # fmt: skip
    return Kept(f"{folder}{AT}{point.key[:8]}", Path(folder), point, results)
