"""NSGA-III (Deb and Jain 2014): NSGA-II for many objectives, spread by reference points."""

from __future__ import annotations

import warnings
from typing import Any

from archsim.dse.samplers._optuna import OptunaSampler


class Nsga3(OptunaSampler):
    """NSGA-III by Optuna, for three objectives and more."""

    kind = "nsga3"

    def fresh(self, seed: int) -> Any:
        """A sampler whose population is one batch."""
        make = self.optuna.samplers.NSGAIIISampler
        with warnings.catch_warnings():  # Optuna calls it experimental, and the version is pinned
            warnings.simplefilter("ignore", self.optuna.exceptions.ExperimentalWarning)
            return make(population_size=max(2, self.batch), seed=seed)
