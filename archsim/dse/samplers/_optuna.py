"""Optuna by ask and tell, so that a resumed study asks what an uninterrupted one asks.

Optuna keeps no state of its generators. So each design gets a fresh sampler whose seed follows from
the number of the design (optuna/optuna#3255 has the trap), trials live in memory, and a batch is
told as a whole, in order.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from archsim.core.errors import MissingExtra
from archsim.dse.dimension import Dimension
from archsim.dse.samplers.base import Sampler, Search, Told
from archsim.dse.space import Space

WORST = 1e30  # of a constraint on a number that a design does not have: no NaN and no infinity


class OptunaSampler(Sampler):
    """A sampler of Optuna's, told by its numbers and asked with a seed for each."""

    adaptive: ClassVar[bool] = True
    usual_batch: ClassVar[int] = 24

    def __init__(self, space: Space, search: Search) -> None:
        super().__init__(space, search)
        self.batch = search.batch or self.usual_batch
        self.optuna = _library()
        self.trials: dict[int, Any] = {}
        self.study = self.optuna.create_study(
            directions=["minimize"] * search.objectives, sampler=self.fresh(0)
        )
        self.distributions = {str(i): self._distribution(d) for i, d in enumerate(space.dimensions)}

    @abstractmethod
    def fresh(self, seed: int) -> Any:
        """Optuna's sampler with a seed."""

    def ask(self, number: int) -> Mapping[str, Any]:
        """What Optuna suggests after all that it was told."""
        self.study.sampler = self.fresh(self.search.seed_of(number))
        trial = self.trials[number] = self.study.ask(self.distributions)
        values = [trial.params[str(i)] for i in range(len(self.space.dimensions))]
        found = zip(self.space.dimensions, values, strict=True)
        return self.space.settings(
            [d.at(v) if isinstance(v, float) else _level(d, v) for d, v in found]
        )

    def tell(self, numbers: Sequence[int], told: Sequence[Told]) -> None:
        """How a batch did; a design without an answer counts as failed."""
        for number, one in sorted(zip(numbers, told, strict=True), key=lambda pair: pair[0]):
            trial = self.trials.pop(number)
            for i, violation in enumerate(one.violations):
                trial.set_constraint(str(i), min(violation, WORST))
            if one.values is None:
                self.study.tell(trial, state=self.optuna.trial.TrialState.FAIL)
            else:
                self.study.tell(trial, list(one.values))

    def _distribution(self, dimension: Dimension) -> Any:
        """Shares of a continuum, numbers of ordered levels, or choices that stand side by side."""
        kinds = self.optuna.distributions
        if dimension.span is not None:
            return kinds.FloatDistribution(0.0, 1.0)
        assert dimension.levels is not None
        count = len(dimension.levels)
        if dimension.ordered:
            return kinds.IntDistribution(0, count - 1)
        return kinds.CategoricalDistribution(tuple(range(count)))


def _level(dimension: Dimension, number: int) -> Any:
    assert dimension.levels is not None
    return dimension.levels[number]


def _library() -> Any:
    try:
        import optuna
    except ImportError:
        raise MissingExtra("searches come from Optuna", extra="dse") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
