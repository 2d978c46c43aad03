"""NSGA-II (Deb et al. 2002): a population, ranked by dominance, crossed and mutated."""

from __future__ import annotations

from typing import Any

from archsim.dse.samplers._optuna import OptunaSampler


class Nsga2(OptunaSampler):
    """NSGA-II by Optuna; with one objective, a genetic algorithm that keeps its best."""

    kind = "nsga2"

    def fresh(self, seed: int) -> Any:
        """A sampler whose population is one batch."""
        make = self.optuna.samplers.NSGAIISampler
        return make(population_size=max(2, self.batch), seed=seed)
