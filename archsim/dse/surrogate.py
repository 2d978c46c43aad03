"""A proxy of the simulator, learned from the designs of a study, that says how wrong it is.

A proxy answers in microseconds and is wrong by some percent; every answer carries its label and the
error of designs that were held out (ArchGym, Krishnan et al., ISCA 2023). It never enters a store.
Settings become numbers in `dse.surrogate_features`; models are in `dse.surrogate_models`, errors in
`dse.surrogate_score`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archsim.core.errors import InputError
from archsim.dse.found import DESCRIBED
from archsim.dse.metric import closest
from archsim.dse.store import Point, Store
from archsim.dse.stored import StoredStudy, read_study
from archsim.dse.surrogate_features import Features, features_of
from archsim.dse.surrogate_models import MODELS, MOST_GAUSSIAN, Kind, one_thread
from archsim.dse.surrogate_score import Score, back, forth, scored

LEAST = 20
"""Designs that a proxy needs: four in each part that is held out."""
MEASURED_S = 0.2  # that predicting is repeated for, to see how long it takes


@dataclass(frozen=True)
class Prediction:
    """A proxy's answer for one design; no outcome of a run.

    Attributes:
        settings: of the design.
        metrics: predicted, by dotted path.
        error: mean relative error to be expected, by metric; None where none is known: beyond what
            was learned, or for a metric that may be 0.
        between: settings whose value lies between two that were learned; errors tell it.
        outside: settings whose value is beyond all that were learned.
    """

    settings: Mapping[str, Any]
    metrics: Mapping[str, float]
    error: Mapping[str, float | None]
    between: Sequence[str]
    outside: Sequence[str]


@dataclass(frozen=True)
class Speed:
    """What an answer costs, by simulation and by proxy.

    Attributes:
        simulated_s: mean wall time of a worker on a design of the study; None if none is noted.
        batch_s, single_s: of a design of all designs at once, and of one alone.
        learning_s: that learning took, cross-validation included.
    """

    simulated_s: float | None
    batch_s: float
    single_s: float
    learning_s: float


@dataclass(frozen=True)
class Proxy:
    """A model a metric, and how good each is.

    Attributes:
        study: that it learned from.
        kind: of the models.
        points: designs that it learned from.
        features: what it sees of a design.
        models: by metric.
        scores: of held-out designs, one a metric.
        learning_s: that it took to make.
    """

    study: StoredStudy
    kind: Kind
    points: Sequence[Point]
    features: Features
    models: Mapping[str, Any]
    scores: Sequence[Score]
    learning_s: float

    def predict(self, designs: Sequence[Mapping[str, Any]]) -> list[Prediction]:
        """Answers for designs, each of which says every setting that the study varies.

        Raises:
            InputError: E601, E102 or E105 for a design that is not of the study's space.
        """
        for design in designs:
            self.features.check(design)
        if not designs:
            return []
        rows = self.features.matrix(designs)
        with one_thread():
            found = [
                back(self.models[score.metric].predict(rows), score.log) for score in self.scores
            ]
        return [
            self._labelled(design, values) for design, *values in zip(designs, *found, strict=True)
        ]

    def _labelled(self, design: Mapping[str, Any], values: Sequence[float]) -> Prediction:
        """An answer with the error that holds where the design lies."""
        between, outside = self.features.between(design), self.features.outside(design)
        errors = {
            score.metric: None if outside else score.error(between=bool(between))
            for score in self.scores
        }
        return Prediction(design, dict(zip(errors, values, strict=True)), errors, between, outside)

    def speed(self) -> Speed:
        """Time of an answer, measured here and now against what the study noted of its runs."""
        designs = [point.settings for point in self.points]
        with Store.read(self.study.folder) as store:
            simulated_s = store.mean_wall_s(self.study.spec.fidelity)
        return Speed(simulated_s, self._timed(designs), self._timed(designs[:1]), self.learning_s)

    def _timed(self, designs: Sequence[Mapping[str, Any]]) -> float:
        """Seconds a design."""
        self.predict(designs)
        began, rounds = time.perf_counter(), 0
        while time.perf_counter() - began < MEASURED_S:
            self.predict(designs)
            rounds += 1
        return (time.perf_counter() - began) / (rounds * len(designs))


def train(
    folder: Path | str, metrics: Sequence[str] = (), *, kind: Kind = "boosted", seed: int = 0
) -> Proxy:
    """A proxy of the simulator around a study, with its error on designs that it did not see.

    Args:
        folder: of the study.
        metrics: to be learned. Default: the objectives that differ between designs.
        kind: boosted | gaussian.
        seed: of the models and of the parts that are held out.

    Raises:
        InputError: E701 for an unknown metric; E705 for too few designs, too many, or a metric that
            all designs share; E702, E703 for what is no study of this version.
        MissingExtra: where scikit-learn is not installed.
    """
    began = time.perf_counter()
    study = read_study(folder)
    spec = study.spec
    points = [
        p for p in study.points
        if p.status == "ok" and p.fidelity == spec.fidelity and p.number != DESCRIBED
    ]  # fmt: skip
    _refuse_count(study, kind, len(points))
    names = _metrics(points, metrics, [one.metric for one in spec.objectives])
    designs = [point.settings for point in points]
    features = features_of(designs, spec.space)
    models, scores = {}, []
    with one_thread():
        rows, levels = features.matrix(designs), features.levels(designs)
        for name in names:
            values = [float(point.metrics[name]) for point in points]
            scores.append(scored(kind, rows, levels, (name, values), seed))
            models[name] = MODELS[kind](rows, forth(values, scores[-1].log), seed)
    return Proxy(study, kind, points, features, models, scores, time.perf_counter() - began)


def _refuse_count(study: StoredStudy, kind: Kind, count: int) -> None:
    what = f"{study.folder} has {count} designs with an answer at {study.spec.fidelity}"
    if count < LEAST:
        raise InputError(
            f"{what}; a proxy needs {LEAST}", code="E705", help="run more designs of the study"
        )
    if kind == "gaussian" and count > MOST_GAUSSIAN:
        raise InputError(
            f"{what}; a Gaussian process takes {MOST_GAUSSIAN} at most",
            code="E705", help="use `--model boosted`",
        )  # fmt: skip


def _metrics(points: Sequence[Point], asked: Sequence[str], usual: Sequence[str]) -> list[str]:
    """Names of the metrics to be learned."""
    known = set(points[0].metrics).intersection(*(point.metrics for point in points))
    for name in asked or usual:
        if name not in known:
            close = closest(name, known)
            hint = f'did you mean "{close}"?' if close else "see `archsim list metrics`"
            raise InputError(f'designs of the study have no metric "{name}"', code="E701",
                             help=hint)  # fmt: skip
    varied = [n for n in dict.fromkeys(asked or usual) if len({p.metrics[n] for p in points}) > 1]
    for name in asked or usual:
        if name not in varied and (asked or not varied):
            value = points[0].metrics[name]
            raise InputError(
                f"{name} is {value:.6g} in every design; there is nothing to learn", code="E705",
                help="choose another with --metric",
            )  # fmt: skip
    return varied
