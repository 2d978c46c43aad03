"""Rooflines beside measured rows: what peaks alone say, and the best that three constants can do.

The scaled one is t0 + max(compute / c, memory / e), its constants chosen for each machine on the
very rows that it is compared on: a lower bound for what an elaborate model must beat, no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

POINTS = 25  # of each axis of the search; the spacing shrinks by a third in each round
ROUNDS = 12


@dataclass(frozen=True)
class Scaled:
    """A roofline with a fixed cost and shares of both peaks."""

    t0_us: float
    compute_share: float
    memory_share: float

    def us(self, compute_us: Floats, memory_us: Floats) -> Floats:
        """Microseconds of rows whose work takes so long at the peaks."""
        busy = np.maximum(compute_us / self.compute_share, memory_us / self.memory_share)
        return np.asarray(self.t0_us + busy)


def ape_pct(got: Floats, want: Floats) -> Floats:
    """Absolute errors in percent."""
    return np.asarray(100.0 * np.abs(got - want) / np.abs(want))


def fit(compute_us: Sequence[float], memory_us: Sequence[float], want: Sequence[float]) -> Scaled:
    """The constants of least mean absolute relative error, by search; the fixed cost is exact.

    Args:
        compute_us: time of each row's operations at the peak.
        memory_us: time of each row's bytes at the peak.
        want: measured times.
    """
    work, moved = np.asarray(compute_us, float), np.asarray(memory_us, float)
    true = np.asarray(want, float)
    centre, width = np.array([0.55, 0.55]), 0.5
    best, least = Scaled(0.0, 1.0, 1.0), np.inf
    for _ in range(ROUNDS):
        axes = [np.clip(np.linspace(x - width, x + width, POINTS), 0.02, 1.2) for x in centre]
        for c in axes[0]:
            busy = np.maximum(work / c, moved / axes[1][:, None])
            t0 = _fixed_us(true - busy, 1.0 / true)
            errors = (np.abs(busy + t0[:, None] - true) / true).mean(axis=1)
            i = int(errors.argmin())
            if errors[i] < least:
                least = float(errors[i])
                best = Scaled(float(t0[i]), float(c), float(axes[1][i]))
        centre, width = np.array([best.compute_share, best.memory_share]), width * 2 / 3
    return best


def _fixed_us(rest: Floats, weight: Floats) -> Floats:
    """The weighted median of each row of `rest`, at least 0: it has the least weighted error."""
    order = np.argsort(rest, axis=1)
    heavy = np.cumsum(weight[order], axis=1)
    middle = (heavy < heavy[:, -1:] / 2).sum(axis=1)
    found = np.take_along_axis(rest, np.take_along_axis(order, middle[:, None], 1), 1)[:, 0]
    return np.asarray(np.maximum(found, 0.0))
