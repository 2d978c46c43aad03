"""Tree-structured Parzen estimators (Bergstra et al. 2011): draw where good designs were dense."""

from __future__ import annotations

from typing import Any, ClassVar

from archsim.dse.samplers._optuna import OptunaSampler


class Tpe(OptunaSampler):
    """TPE by Optuna, of all parameters jointly; designs of a batch keep away from each other."""

    kind = "tpe"
    usual_batch: ClassVar[int] = 4

    def fresh(self, seed: int) -> Any:
        """A sampler that models all parameters jointly."""
        make = self.optuna.samplers.TPESampler
        return make(multivariate=True, constant_liar=True, seed=seed)
