"""Designs drawn independently."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from archsim.dse.samplers.base import Sampler


class Independent(Sampler):
    """Each design drawn by itself, with a seed that follows from its number."""

    kind = "random"

    def ask(self, number: int) -> Mapping[str, Any]:
        """A design drawn from the whole space."""
        draw = Random(self.search.seed_of(number))
        return self.space.at([draw.random() for _ in self.space.dimensions])
