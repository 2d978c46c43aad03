"""What the designs of a study are laid over: machines and workloads, read once and hashed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archsim import api
from archsim.core.document import Document, Path_
from archsim.core.errors import ArchsimError, Diagnostic, InputError
from archsim.core.yamlio import sha256_of
from archsim.dse.dimension import Dimension
from archsim.dse.spec import ExploreSpec, WorkloadRef
from archsim.lowering.spec import load_workload


@dataclass(frozen=True)
class Base:
    """Descriptions that the settings of a design are laid over.

    Attributes:
        hardware, workloads: resolved, as data.
        weights: of the workloads.
        sha256: of all three.
    """

    hardware: dict[str, Any]
    workloads: tuple[dict[str, Any], ...]
    weights: tuple[float, ...]
    sha256: str


@dataclass(frozen=True)
class Bases:
    """Every base that designs may choose.

    Attributes:
        table: by the words that choose machine and workload; None is what the description names.
    """

    table: Mapping[tuple[str | None, str | None], Base]

    @classmethod
    def of(cls, machines: Mapping[str | None, Any], lists: Mapping[str | None, Any]) -> Bases:
        """All pairs of a machine and a list of workloads with their weights."""
        table = {}
        for word, hardware in machines.items():
            for other, (workloads, weights) in lists.items():
                text = sha256_of([hardware, list(workloads), list(weights)])
                table[word, other] = Base(hardware, workloads, weights, text)
        return cls(table)

    @property
    def written(self) -> dict[str, dict[str, Any]]:
        """Every description that designs choose by name, as the study writes them out."""
        found: dict[str, dict[str, Any]] = {"hardware": {}, "workload": {}}
        for (machine, workload), base in self.table.items():
            if machine is not None:
                found["hardware"][machine] = base.hardware
            if workload is not None:
                found["workload"][workload] = base.workloads[0]
        return found

    def get(self, chosen: Mapping[str, str]) -> Base:
        """The base of a design that chooses so; the first of those that fit."""
        return self.choosable(chosen)[0]

    def choosable(self, chosen: Mapping[str, str]) -> list[Base]:
        """Every base that designs may have that choose so."""
        wanted = (chosen.get("hardware"), chosen.get("workload"))
        return [
            base for words, base in self.table.items()
            if all(want in (None, word) for want, word in zip(wanted, words, strict=True))
        ]  # fmt: skip


def bases(
    spec: ExploreSpec,
    document: Document,
    dimensions: Sequence[Dimension],
    *,
    set_: Sequence[str] = (),
) -> Bases:
    """Read what a study names.

    Args:
        spec: the study.
        document: where it came from: paths are relative to its file, mistakes are placed in it.
        dimensions: of its space; those that choose descriptions name more of them.
        set_: overrides of every machine, and of every workload where they begin with `workload.`.

    Raises:
        InputError: with every description that cannot be read, at its place.
    """
    folder = document.file.parent if document.file else Path()
    own = [s for s in set_ if not s.startswith("workload.")]
    theirs = [s for s in set_ if s.startswith("workload.")]
    found: list[Diagnostic] = []
    machines: dict[str | None, dict[str, Any]] = {}
    lists: dict[str | None, tuple[tuple[dict[str, Any], ...], tuple[float, ...]]] = {}

    def machine(word: str | None, said: Any, place: Path_) -> None:
        try:
            machines[word] = api.load_hardware(_beside(said, folder), set_=own).to_data()
        except ArchsimError as error:
            found.extend(_placed(error, document, place))

    def work(word: str | None, said: Sequence[Any], places: Sequence[Path_]) -> None:
        read = []
        for one, place in zip(said, places, strict=True):
            try:
                read.append(_workload(one, folder, theirs, spec.seed))
            except ArchsimError as error:
                found.extend(_placed(error, document, place))
        lists[word] = tuple(data for data, _ in read), tuple(weight for _, weight in read)

    if spec.hardware is not None:
        machine(None, spec.hardware, ("hardware",))
    if spec.workloads:
        work(None, spec.workloads, [("workloads", i) for i in range(len(spec.workloads))])
    for word, place in _choices("hardware", spec, dimensions):
        machine(word, spec.descriptions.hardware.get(word, word), place)
    for word, place in _choices("workload", spec, dimensions):
        work(word, [spec.descriptions.workload.get(word, word)], [place])
    for key, some in (("hardware", machines), ("workloads", lists)):
        if not some and not found:
            message = f'the study needs "{key}"'
            found.append(document.diagnostic((key,), "E102", message, help=f"say `{key}:`"))
    if found:
        raise InputError.of(found)
    return Bases.of(machines, lists)


def _choices(
    path: str, spec: ExploreSpec, dimensions: Sequence[Dimension]
) -> list[tuple[str, Path_]]:
    """Descriptions that designs may choose, each with where it is named."""
    found: dict[str, Path_] = {}
    for dimension in dimensions:
        for value in dimension.levels or ():
            settings = dimension.settings(value)
            if path in settings:
                found.setdefault(str(settings[path]), ("space", dimension.path))
    for i, point in enumerate(spec.points):
        if path in point:
            found.setdefault(str(point[path]), ("points", i, path))
    return list(found.items())


def _workload(
    said: Any, folder: Path, set_: Sequence[str], seed: int
) -> tuple[dict[str, Any], float]:
    """A workload that stands alone, and its weight."""
    if not isinstance(said, WorkloadRef):
        return load_workload(_beside(said, folder), set_=set_, seed=seed)[0].to_data(), 1.0
    spec, _ = load_workload(
        _beside(said.model, folder), set_=set_, phase=said.phase, batch=said.batch,
        context=said.context, tokens=said.tokens, seed=seed,
    )  # fmt: skip
    return spec.to_data(), said.weight


def _beside(said: Any, folder: Path) -> Any:
    """A file beside the study, where there is one; else as it is said."""
    if isinstance(said, str) and (folder / said).exists():
        return str(folder / said)
    return said


def _placed(error: ArchsimError, document: Document, place: Path_) -> list[Diagnostic]:
    """What is wrong with a description: where it is wrong, or where the study names it."""
    return [
        one if one.file else document.diagnostic(place, one.code, one.message, help=one.help)
        for one in error.diagnostics
    ]
