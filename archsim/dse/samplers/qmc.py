"""Designs spread evenly: a Sobol sequence, scrambled by the seed (scipy, Joe and Kuo 2008)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from archsim.core.errors import MissingExtra
from archsim.dse.samplers.base import Sampler


class QuasiMonteCarlo(Sampler):
    """Sobol points scrambled by the seed: a longer study begins with all those of a shorter one."""

    kind = "qmc"

    def ask(self, number: int) -> Mapping[str, Any]:
        """The point of a number of the sequence."""
        return self.space.at([float(share) for share in self._sequence[number]])

    @cached_property
    def _sequence(self) -> Any:
        """Points by number, in the unit cube: the next power of two of them, as balance wants."""
        try:
            from scipy.stats import qmc
        except ImportError:
            raise MissingExtra("Sobol points come from scipy", extra="dse") from None
        sobol = qmc.Sobol(len(self.space.dimensions), scramble=True, rng=self.search.seed_of(-1))
        return sobol.random_base2((self.total - 1).bit_length())
