"""How wrong a proxy is on designs that it did not see, one metric at a time.

Designs are held out a fifth at a time, which tells of more designs with values that were learned;
and a value of a setting at a time, with every design that has it, which tells of values between
them. Models are in `dse.surrogate_models`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import fmean, stdev
from typing import Any

from archsim.dse.agreement import spearman
from archsim.dse.surrogate_models import MODELS, Kind

FOLDS = 5
WITHIN = 0.9  # share of held-out designs whose error is at most the one that is told
MOST_INNER = 3  # values of a setting that are held out


@dataclass(frozen=True)
class Spread:
    """A figure over the folds of a cross-validation.

    Attributes:
        mean, sd: mean, and standard deviation from fold to fold.
    """

    mean: float
    sd: float


@dataclass(frozen=True)
class Score:
    """How a proxy does on designs that it did not see, for one metric.

    Attributes:
        metric: by dotted path.
        log: that its logarithm is learned, since it is never 0 or less.
        mape: mean absolute error over the true value; None where a value is 0.
        within: error of nine designs in ten, over the true value; None where a value is 0.
        between: mean error, over the true value, where a setting has a value that was not learned;
            None where a value is 0, or no setting has three values that many designs share.
        mae: mean absolute error, in the unit of the metric.
        r2: share of the variance that is explained.
        spearman: rank correlation of predicted and true.
    """

    metric: str
    log: bool
    mape: Spread | None
    within: float | None
    between: float | None
    mae: Spread
    r2: Spread
    spearman: Spread

    def error(self, *, between: bool) -> float | None:
        """Mean relative error of a design, with or without a value between those learned."""
        if between:
            return self.between
        return None if self.mape is None else self.mape.mean


def scored(
    kind: Kind, rows: Any, levels: Sequence[Any], metric: tuple[str, Sequence[float]], seed: int
) -> Score:
    """Errors of designs that were held out.

    Args:
        kind: of the model.
        rows: numbers of designs, (designs, width).
        levels: values of each setting that many designs share, (designs,).
        metric: its name and its value for each design.
        seed: of the models and of the parts.
    """
    import numpy as np
    from sklearn.model_selection import KFold

    name, values = metric
    true, by_log = np.asarray(values, dtype=float), min(values) > 0
    targets = forth(values, by_log)

    def guessed(held: Any) -> Any:
        seen = np.setdiff1d(np.arange(len(true)), held)
        model = MODELS[kind](rows[seen], targets[seen], seed)
        return np.asarray(back(model.predict(rows[held]), by_log))

    parts = [held for _, held in KFold(FOLDS, shuffle=True, random_state=seed).split(rows)]
    folds = [(true[held], guessed(held)) for held in parts]
    errors = [np.abs(guess - actual) for actual, guess in folds]
    relative, off = None, []
    if np.all(true != 0):
        relative = [
            error / np.abs(actual) for error, (actual, _) in zip(errors, folds, strict=True)
        ]
        off = [np.abs(guessed(held) / true[held] - 1) for held in _inner(levels)]
    return Score(
        name, by_log,
        None if relative is None else _spread([float(one.mean()) for one in relative]),
        None if relative is None else float(np.quantile(np.concatenate(relative), WITHIN)),
        float(np.concatenate(off).mean()) if off else None,
        _spread([float(one.mean()) for one in errors]),
        _spread([_explained(actual, guess) for actual, guess in folds]),
        _spread([spearman(list(actual), list(guess)) or 0.0 for actual, guess in folds]),
    )  # fmt: skip


def _inner(levels: Sequence[Any]) -> list[Any]:
    """Designs of some values of each setting, neither the least nor the largest."""
    import numpy as np

    found = []
    for column in levels:
        inner = np.unique(column)[1:-1]
        chosen = inner[np.unique(np.linspace(0, len(inner) - 1, MOST_INNER).round().astype(int))]
        found += [np.flatnonzero(column == one) for one in chosen]
    return found


def _explained(true: Any, guess: Any) -> float:
    """R squared; 0 where the true values of a fold are all the same."""
    whole = float(((true - true.mean()) ** 2).sum())
    return 1 - float(((true - guess) ** 2).sum()) / whole if whole else 0.0


def _spread(values: Sequence[float]) -> Spread:
    return Spread(fmean(values), stdev(values))


def forth(values: Sequence[float], by_log: bool) -> Any:
    """What is learned in place of the values."""
    import numpy as np

    return np.asarray([log(v) for v in values] if by_log else values, dtype=float)


def back(learned: Any, by_log: bool) -> list[float]:
    """The values of what is learned."""
    return [exp(v) if by_log else float(v) for v in learned]
