"""Every design of a space, in order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archsim.core.errors import InputError
from archsim.dse.samplers.base import LARGE, Sampler, Search
from archsim.dse.space import Space


class Grid(Sampler):
    """Every design once, the last dimension the fastest."""

    kind = "grid"

    def __init__(self, space: Space, search: Search) -> None:
        if space.size is None:
            raise InputError(
                f"{space.continuous[0]} has no steps, and a grid needs them",
                code="E102",
                help="add `steps: 5`, after --vary `:5`; or another sampler: `sampler: qmc`",
                details={"dimension": space.continuous[0]},
            )
        if search.evaluations is not None:
            raise InputError(
                "a grid takes every design, and needs no evaluations",
                code="E202",
                help="leave them out, or take another sampler: `sampler: random`",
                details={"path": "search.evaluations"},
            )
        self.space, self.search = space, search
        self.batch, self.total = search.batch or LARGE, space.size

    def ask(self, number: int) -> Mapping[str, Any]:
        """The design of a number."""
        return self.space.numbered(number)
