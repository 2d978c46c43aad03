"""How the layers of a model fall into blocks: runs of alike layers, or of a repeating period."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Kind(NamedTuple):
    """What distinguishes a layer from its neighbours."""

    moe: bool
    windowed: bool

    @property
    def name(self) -> str:
        """Short name, before the ops of a layer in a block of several."""
        return ("local" if self.windowed else "global") + (".moe" if self.moe else "")


class Run(NamedTuple):
    """Consecutive layers: a period of kinds, and how often it occurs."""

    period: tuple[Kind, ...]
    times: int
    first: int  # its first layer


def runs(kinds: Sequence[Kind]) -> list[Run]:
    """Layers cut into runs; of all periods the one that covers most layers, shortest first.

    A period of several layers must occur twice, else its layers are runs of their own.
    """
    found: list[Run] = []
    at = 0
    while at < len(kinds):
        best = Run((kinds[at],), 1, at)
        for size in range(1, (len(kinds) - at) // 2 + 1):
            period, count = tuple(kinds[at : at + size]), 1
            while tuple(kinds[at + count * size : at + (count + 1) * size]) == period:
                count += 1
            if (count > 1 or size == 1) and count * size > best.times * len(best.period):
                best = Run(period, count, at)
            if at + best.times * len(best.period) == len(kinds):
                break  # no longer period covers more
        found.append(best)
        at += best.times * len(best.period)
    return found
