"""Models that learn a metric from numbers of designs: boosted trees, or a Gaussian process.

Each is scikit-learn's, with one thread and a seed, so that equal stores teach equal models. What
they learn from and how good they are is in `dse.surrogate`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any, Final, Literal

from archsim.core.errors import MissingExtra

Kind = Literal["boosted", "gaussian"]
MOST_GAUSSIAN = 2000
"""Designs of a Gaussian process: its time grows with their cube, its memory with their square."""
TUNED_ON = 200  # of them that its lengths are found with, which takes many factorisations


def boosted(rows: Any, targets: Any, seed: int) -> Any:
    """Gradient-boosted trees over histograms; small leaves, because stores are small."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(
        max_iter=200, learning_rate=0.1, max_leaf_nodes=15, min_samples_leaf=4,
        early_stopping=False, random_state=seed,
    ).fit(rows, targets)  # fmt: skip


def gaussian(rows: Any, targets: Any, seed: int) -> Any:
    """A Gaussian process with a length of its own for each number of a design."""
    import numpy as np
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    lengths = Matern([1.0] * rows.shape[1], (1e-2, 1e3), nu=2.5)
    kernel = ConstantKernel(1.0, (1e-3, 1e4)) * lengths + WhiteKernel(1e-4, (1e-9, 1.0))
    some = np.sort(np.random.default_rng(seed).permutation(len(rows))[:TUNED_ON])
    tuned = GaussianProcessRegressor(kernel, normalize_y=True, random_state=seed)
    with warnings.catch_warnings():
        # a length at its bound says that a setting does not matter, which is an answer
        warnings.simplefilter("ignore", ConvergenceWarning)
        tuned.fit(rows[some], targets[some])
    whole = GaussianProcessRegressor(tuned.kernel_, optimizer=None, normalize_y=True)
    return whole.fit(rows, targets)


MODELS: Final[Mapping[Kind, Callable[[Any, Any, int], Any]]] = {
    "boosted": boosted,
    "gaussian": gaussian,
}
"""Each learns targets (n,) of rows (n, width) with a seed, and returns what predicts them."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Numerical libraries with one thread: sums then have one order."""
    with _pools().limit(limits=1):
        yield


@cache
def _pools() -> Any:
    """Handles of the thread pools of a process, once scikit-learn has loaded them."""
    try:
        import_module("sklearn.ensemble")
        from threadpoolctl import ThreadpoolController
    except ImportError:
        raise MissingExtra("proxies come from scikit-learn", extra="dse") from None
    return ThreadpoolController()
