"""A study ready to run: its space, its limits and its bases, checked before the first design.

Names of metrics are checked as soon as one design has answered. Running is in `dse.study`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

from archsim import api
from archsim.core.document import Document, Path_, dotted
from archsim.core.errors import ArchsimError, Diagnostic, InputError
from archsim.core.yamlio import sha256_of
from archsim.dse.bases import Bases, bases
from archsim.dse.constraint import Constraint, constraint
from archsim.dse.dimension import dimension
from archsim.dse.metric import closest
from archsim.dse.objective import usual as usual_objectives
from archsim.dse.point import Task
from archsim.dse.samplers.base import Sampler, Search, samplers
from archsim.dse.space import Space, split
from archsim.dse.spec import ExploreSpec
from archsim.lowering.spec import load_workload

T = TypeVar("T")
ALTERS_NOTHING = ("name", "description", "execution", "output", "provenance")  # no answer
HASHED = ("descriptions",)  # as bases
OF_WORK = "workload."
FIDELITIES = ("bound", "analytic", "tile", "cycle")  # the closest last


@dataclass(frozen=True)
class Plan:
    """A study that can be run.

    Attributes:
        spec, document: the description, and where it came from.
        space: what varies.
        constraints: what a design must keep.
        bases: what settings are laid over.
        kind: of the sampler.
    """

    spec: ExploreSpec
    document: Document
    space: Space
    constraints: tuple[Constraint, ...]
    bases: Bases
    kind: str

    @property
    def sha256(self) -> str:
        """Hash of all that decides which designs are asked for and what they answer."""
        said = {k: v for k, v in self.spec.to_data().items() if k not in (*ALTERS_NOTHING, *HASHED)}
        return sha256_of(
            {**said, "sampler": self.kind, "bases": [b.sha256 for b in self.bases.table.values()]}
        )

    @property
    def reference(self) -> tuple[float, ...] | None:
        """Point that hypervolumes are measured from, all to be minimised; None if none is said."""
        said = self.spec.search.reference
        signs = [one.sign for one in self.spec.objectives]
        return said and tuple(s * r for s, r in zip(signs, said, strict=True))

    def sampler(self) -> Sampler:
        """A sampler that has asked nothing yet.

        Raises:
            InputError: where it cannot draw from such a space.
        """
        search = self.spec.search
        try:
            return _sampler_class(self.kind)(
                self.space,
                Search(
                    len(self.spec.objectives), search.evaluations, search.population,
                    self.spec.seed if search.seed is None else search.seed, self.spec.points,
                ),
            )  # fmt: skip
        except InputError as error:
            raise InputError.of(_at_place(error, self.document)) from None

    def task(self, settings: Mapping[str, Any], fidelity: str) -> Task:
        """A design as something to run."""
        chosen, own = split(settings)
        base = self.bases.get(chosen)
        return Task(
            base.hardware, base.workloads, own, fidelity, self.spec.seed, base.weights,
            base.sha256, self.spec.execution.timeout_per_point, chosen,
        )  # fmt: skip

    def check_names(self, known: Mapping[str, float], fidelity: str) -> None:
        """Refuse objectives and constraints on numbers that runs do not have.

        Raises:
            InputError: E701 with the closest metric, for each.
        """
        found = []
        for i, one in enumerate(self.spec.objectives):
            if one.metric not in known:
                place: Path_ = ("objectives", i, "metric")
                found.append(self._unknown(place, "objective", one.metric, known, fidelity))
        for i, limit in enumerate(self.constraints):
            found += [
                self._unknown(("constraints", i), "constraint", name, known, fidelity)
                for name in limit.metrics if name not in known
            ]  # fmt: skip
            if limit.doubt and all(name in known for name in limit.metrics):
                found.append(self.document.diagnostic(("constraints", i), "E701", limit.doubt))
        if found:
            raise InputError.of(found)

    def _unknown(
        self, place: Path_, what: str, name: str, known: Mapping[str, float], fidelity: str
    ) -> Diagnostic:
        close = closest(name, known)
        message = f'{what} uses "{name}", which a run at fidelity {fidelity} does not have'
        help_text = f'did you mean "{close}"?' if close else "see `archsim list metrics`"
        return self.document.diagnostic(place, "E701", message, help=help_text)


def prepare(
    spec: ExploreSpec, document: Document, *, set_: Sequence[str] = (), usual: str = "grid"
) -> Plan:
    """A study ready to run.

    Args:
        spec: the study.
        document: where it came from.
        set_: overrides of every machine, or of every workload where they begin with `workload.`.
        usual: the sampler where the study names none.

    Raises:
        InputError: with every mistake that can be seen without running, at its place.
    """
    spec = spec.model_copy(
        update={"objectives": spec.objectives or usual_objectives(spec.fidelities)}
    )
    found: list[Diagnostic] = []

    def attempt(place: Path_, make: Callable[[], T]) -> list[T]:
        try:
            return [make()]
        except InputError as error:
            found.extend(_at_place(error, document, place))
            return []

    dimensions = [
        made
        for path, said in spec.space.items()
        for made in attempt(("space", path), partial(dimension, path, said))
    ]
    limits = [
        made
        for i, text in enumerate(spec.constraints)
        for made in attempt(("constraints", i), partial(constraint, text))
    ]
    kind = spec.search.sampler or ("list" if spec.points else usual)
    attempt(("search", "sampler"), partial(_sampler_class, kind))
    if spec.search.reference and len(spec.search.reference) != len(spec.objectives):
        message = f"{len(spec.objectives)} objectives need a reference of as many values"
        found.append(document.diagnostic(("search", "reference"), "E202", message))
    found += _falling(spec, document)
    if not spec.space and not spec.points:
        help_text = "example `space: {memory.hbm.bandwidth: [1 TB/s, 2 TB/s]}`"
        message = "the space is empty: nothing varies"
        found.append(document.diagnostic(("space",), "E102", message, help=help_text))
    if found:
        raise InputError.of(found)
    space = Space(tuple(dimensions))
    attempt(("space",), space.check)
    over = attempt((), lambda: bases(spec, document, dimensions, set_=set_))
    if found:
        raise InputError.of(found)
    found.extend(_unsettable(space, spec.points, over[0], document))
    if found:
        raise InputError.of(found)
    plan = Plan(spec, document, space, tuple(limits), over[0], kind)
    plan.sampler()
    return plan


def _falling(spec: ExploreSpec, document: Document) -> list[Diagnostic]:
    """Rounds that are no cheaper than the one after."""
    found = []
    for i, (low, high) in enumerate(pairwise(spec.fidelities)):
        if FIDELITIES.index(low) >= FIDELITIES.index(high):
            place: Path_ = ("screen", i) if isinstance(spec.screen, tuple) else ("screen",)
            message = f"a round at {low} before one at {high} saves nothing"
            help_text = f"rounds rise in fidelity: {', '.join(FIDELITIES)}"
            place = (*place, "fidelity")
            found.append(document.diagnostic(place, "E202", message, help=help_text))
    return found


def _sampler_class(kind: str) -> type[Sampler]:
    try:
        return samplers.get(kind)
    except InputError as error:
        message = error.message.replace("kind", "sampler", 1)
        help_text = error.help or "see `archsim list samplers`"
        raise InputError(message, code=error.code, help=help_text) from None


def _unsettable(
    space: Space, points: Sequence[Mapping[str, Any]], over: Bases, document: Document
) -> list[Diagnostic]:
    """Settings that no description has, or that are not of its kind.

    Values of a dimension are laid over the descriptions one by one, as far as they tell of others.
    """
    cases: list[tuple[Path_, Mapping[str, Any]]] = [
        (("space", d.path), d.settings(value)) for d in space.dimensions for value in d.telling
    ]
    cases += [(("points", i), point) for i, point in enumerate(points)]
    found: dict[tuple[Any, ...], Diagnostic] = {}
    for place, settings in cases:
        chosen, own = split(settings)
        for error in _refusals(over, chosen, own):
            for one in error.diagnostics:
                if not one.code.startswith(("E0", "E1", "E6")):
                    continue  # another dimension may make it right
                key = place if place[0] == "space" else (*place, one.path)
                mark = document.mark(place, "key" if one.code in ("E601", "E101") else "value")
                moved = mark.diagnostic(one.code, one.message, path=dotted(place), help=one.help)
                found.setdefault((key, one.code), moved)
    return list(found.values())


def _refusals(over: Bases, chosen: Mapping[str, str], own: Mapping[str, Any]) -> list[InputError]:
    """What descriptions say to settings that are laid over them."""
    texts = Task({}, (), own, "", 0, (), "").overrides
    theirs = [text for text in texts if text.startswith(OF_WORK)]
    ours = [text for text in texts if not text.startswith(OF_WORK)]
    some = over.choosable(chosen)
    machines = {id(base.hardware): base.hardware for base in some if ours}
    works = {id(work): work for base in some for work in base.workloads if theirs}
    tries: list[Callable[[], object]] = [
        *(partial(api.load_hardware, one, set_=ours) for one in machines.values()),
        *(partial(load_workload, one, set_=theirs) for one in works.values()),
    ]
    found = []
    for attempt in tries:
        try:
            attempt()
        except InputError as error:
            found.append(error)
        except ArchsimError:
            continue  # what does not fit alone may fit with the rest
    return found


def _at_place(
    error: InputError, document: Document, place: Path_ | None = None
) -> list[Diagnostic]:
    """An error at the part of the study that it is about."""
    said = error.details.get("path")
    own = error.details.get("dimension")
    if own is not None:
        place = ("space", str(own))
    elif said is not None:
        place = tuple(str(said).split("."))
    if place is None:
        place = ()
    return [
        one if one.file else document.diagnostic(place, one.code, one.message, help=one.help)
        for one in error.diagnostics
    ]
