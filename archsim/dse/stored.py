"""A study read back from its folder: designs with their objectives, without anything that runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from archsim.core.errors import InputError
from archsim.dse.constraint import Constraint, constraint
from archsim.dse.folder import DATABASE, MANIFEST, RESOLVED
from archsim.dse.found import DESCRIBED
from archsim.dse.objective import turned
from archsim.dse.pareto import front
from archsim.dse.run import SUMMARY
from archsim.dse.spec import ExploreSpec, load_explore
from archsim.dse.store import Point, Store

Kind = Literal["front", "dominated", "broken", "described"]


@dataclass(frozen=True)
class Design:
    """A design that has an answer.

    Attributes:
        point: its row.
        values: of the objectives as they are.
        less: the same, turned so that less is better.
        kept: whether it keeps every constraint.
        best: whether it keeps them and none dominates it.
    """

    point: Point
    values: tuple[float, ...]
    less: tuple[float, ...]
    kept: bool
    best: bool = False

    @property
    def kind(self) -> Kind:
        """What a figure shows it as."""
        if self.point.number == DESCRIBED:
            return "described"
        return "front" if self.best else "dominated" if self.kept else "broken"


@dataclass(frozen=True)
class StoredStudy:
    """A study as its folder tells it.

    Attributes:
        folder: of the study.
        spec: the description, machines and workloads written out.
        limits: what a design must keep.
        points: every row, of all rounds.
        designs: those of the last round with an answer, the described machine included.
        summary: what the study says of itself; empty until it came to its end.
        manifest: what may differ between equal studies.
        meta: what the store says of itself.
    """

    folder: Path
    spec: ExploreSpec
    limits: tuple[Constraint, ...]
    points: tuple[Point, ...]
    designs: tuple[Design, ...]
    summary: dict[str, Any]
    manifest: dict[str, Any]
    meta: dict[str, str]

    @cached_property
    def paths(self) -> list[str]:
        """Every setting that some design has, in their order."""
        return list(dict.fromkeys(path for point in self.points for path in point.settings))

    @cached_property
    def front(self) -> list[Design]:
        """The best designs, by the first objective."""
        return sorted((d for d in self.designs if d.best), key=lambda d: d.less)

    @property
    def described(self) -> Design | None:
        """The machine as it is described, where it has an answer."""
        return next((d for d in self.designs if d.kind == "described"), None)

    def at(self, fidelity: str) -> list[Design]:
        """Designs with an answer at one fidelity, by number; the best among them marked."""
        return judged(self.spec, self.limits, [p for p in self.points if p.fidelity == fidelity])


def is_study(folder: Path) -> bool:
    """Whether a folder is that of a study."""
    return (folder / DATABASE).is_file()


def read_study(folder: Path | str) -> StoredStudy:
    """The study that a folder holds, finished or not.

    Raises:
        InputError: E702 for one of another version; E703 where the folder is none, or damaged.
    """
    root = Path(folder)
    with Store.read(root) as store:
        points, meta = tuple(store.points()), store.meta
    name, read = RESOLVED, []
    try:
        with (root / RESOLVED).open(encoding="utf-8"):  # missing: the study never began
            spec, _ = load_explore(root / RESOLVED)
        for name in (SUMMARY, MANIFEST):
            found = (root / name).read_text("utf-8") if (root / name).is_file() else "{}"
            read.append(json.loads(found))
    except (OSError, ValueError):
        raise InputError(
            f"{root} is not the folder of a study: {name} is missing or damaged",
            code="E703", help="run the study again: answers that are there are kept",
        ) from None  # fmt: skip
    limits = tuple(constraint(text) for text in spec.constraints)
    last = [p for p in points if p.fidelity == spec.fidelity]
    designs = tuple(judged(spec, limits, last))
    return StoredStudy(root, spec, limits, points, designs, read[0], read[1], meta)


def judged(
    spec: ExploreSpec, limits: Sequence[Constraint], points: Sequence[Point]
) -> list[Design]:
    """Designs of the points that have an answer, by number, the best of them marked."""
    found = []
    for point in sorted(points, key=lambda p: (p.number, p.key)):
        less = turned(spec.objectives, point.metrics) if point.status == "ok" else None
        if less is not None:
            kept = not any(limit.violation(point.metrics) > 0 for limit in limits)
            signs = [one.sign for one in spec.objectives]
            values = tuple(s * v for s, v in zip(signs, less, strict=True))
            found.append(Design(point, values, less, kept))
    rivals = [i for i, d in enumerate(found) if d.kept and d.point.number != DESCRIBED]
    for place in front([found[i].less for i in rivals]):
        i = rivals[place]
        found[i] = Design(found[i].point, found[i].values, found[i].less, kept=True, best=True)
    return found
