"""How alike two fidelities order the same designs: Spearman's and Kendall's rank correlation."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

Design = TypeVar("Design", bound=Hashable)


def agreement(
    names: Sequence[str],
    low: Mapping[Design, Sequence[float]],
    high: Mapping[Design, Sequence[float]],
) -> list[dict[str, Any]]:
    """Correlations of each objective over the designs that both have.

    Args:
        names: of the objectives.
        low: values of the objectives by design, at one fidelity.
        high: the same at another.

    Returns:
        One entry an objective: metric, designs, spearman, kendall; None where all are equal.
    """
    both = [design for design in low if design in high]
    found = []
    for i, name in enumerate(names):
        a, b = [low[d][i] for d in both], [high[d][i] for d in both]
        found.append(
            {"metric": name, "designs": len(both), "spearman": spearman(a, b),
             "kendall": kendall(a, b)}
        )  # fmt: skip
    return found


def spearman(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Correlation of ranks; equal values share the mean of theirs."""
    if len(set(a)) < 2 or len(set(b)) < 2:
        return None
    return float(np.corrcoef(_ranks(a), _ranks(b))[0, 1])


def kendall(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Tau-b: pairs in order less pairs out of order, over pairs that differ (Kendall 1945)."""
    if len(set(a)) < 2 or len(set(b)) < 2:
        return None
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    agree = differ_x = differ_y = 0
    for i in range(len(x) - 1):  # a row at a time: memory stays linear
        dx, dy = np.sign(x[i + 1 :] - x[i]), np.sign(y[i + 1 :] - y[i])
        agree += int((dx * dy).sum())
        differ_x += int(np.count_nonzero(dx))
        differ_y += int(np.count_nonzero(dy))
    return float(agree / (differ_x * differ_y) ** 0.5)


def _ranks(values: Sequence[float]) -> Any:
    distinct, place, count = np.unique(
        np.asarray(values, dtype=float), return_inverse=True, return_counts=True
    )
    assert len(distinct) == len(count)
    last = np.cumsum(count)
    return (last - (count - 1) / 2)[place]
