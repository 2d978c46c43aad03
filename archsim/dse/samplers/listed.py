"""Designs that are written out, one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archsim.core.errors import InputError
from archsim.dse.samplers.base import LARGE, Sampler, Search
from archsim.dse.space import Space


class Listed(Sampler):
    """The designs under `points`, as they are written."""

    kind = "list"

    def __init__(self, space: Space, search: Search) -> None:
        if space.dimensions:
            raise InputError(
                "a list of points has no space",
                code="E202",
                help="keep `points` or `space`",
                details={"path": "space"},
            )
        if not search.points:
            raise InputError(
                "no points to take",
                code="E102",
                help="example `points: [{memory.hbm.bandwidth: 2 TB/s}]`",
                details={"path": "points"},
            )
        self.space, self.search = space, search
        self.batch, self.total = search.batch or LARGE, len(search.points)

    def ask(self, number: int) -> Mapping[str, Any]:
        """The design of a number."""
        return self.search.points[number]
