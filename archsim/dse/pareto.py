"""Which designs are best where several things count: dominance, crowding, hypervolume.

Everything is minimised. Ranks are by fronts (Deb et al. 2002): the first is dominated by none, the
second only by the first, and so on.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import groupby
from math import inf
from typing import Any

import numpy as np

from archsim.core.errors import MissingExtra

Values = Sequence[Sequence[float]]
BEYOND = 0.1  # of the range of an objective
PLANE = 2  # objectives up to which designs in order of the first tell every front


def ranks(values: Values) -> list[int]:
    """Front of each design, from 0; equal designs share one."""
    rank = [0] * len(values)
    for number, own in enumerate(_fronts(values)):
        for i in own:
            rank[i] = number
    return rank


def front(values: Values) -> list[int]:
    """Indices of the designs that none dominates, in order; of equal ones all."""
    if not values:
        return []
    return [int(i) for i in np.flatnonzero(_undominated(np.asarray(values, dtype=float)))]


def _fronts(values: Values) -> Iterator[list[int]]:
    """Indices of the designs of each front, the best first."""
    if not values:
        return
    points = np.asarray(values, dtype=float)
    if points.shape[1] <= PLANE:
        rank = _ranks_in_plane(points)
        order = sorted(range(len(rank)), key=rank.__getitem__)
        for _, own in groupby(order, key=rank.__getitem__):
            yield list(own)
        return
    left = np.arange(len(points))
    while len(left):
        mask = _undominated(points[left])
        yield [int(i) for i in left[mask]]
        left = left[~mask]


def _ranks_in_plane(points: Any) -> list[int]:
    """Ranks by one or two objectives, one design after the other in order of the first.

    Then a front dominates a design if the least second objective of the front does, and those are
    in order of the fronts (Jensen 2003).
    """
    rank = [0] * len(points)
    least: list[float] = []
    before: tuple[float, ...] = ()
    for i in np.lexsort(points.T[::-1]):
        point = tuple(points[i])
        if point != before:
            own = bisect_right(least, point[-1]) if len(point) == PLANE else len(least)
            least[own : own + 1] = [point[-1]]
            before = point
        rank[i] = own
    return rank


def _undominated(points: Any) -> Any:
    """Mask of the designs that none dominates.

    Sorted by all coordinates, a design can only be dominated by one before it, so it is compared
    with the front so far.
    """
    order = np.lexsort(points.T[::-1])
    mask = np.zeros(len(points), dtype=bool)
    kept = np.empty_like(points)
    count = 0
    for i in order:
        point = points[i]
        before = kept[:count]
        no_worse = (before <= point).all(axis=1)
        if not (no_worse & (before < point).any(axis=1)).any():
            mask[i] = True
            kept[count] = point
            count += 1
    return mask


def crowding(values: Values) -> list[float]:
    """Room around each design of one front: the sum of distances of its neighbours, relative."""
    count = len(values)
    room = [0.0] * count
    for axis in range(len(values[0]) if count else 0):
        order = sorted(range(count), key=lambda i: (values[i][axis], i))
        low, high = values[order[0]][axis], values[order[-1]][axis]
        room[order[0]] = room[order[-1]] = inf
        if high > low:
            for before, i, after in zip(order, order[1:], order[2:], strict=False):
                room[i] += (values[after][axis] - values[before][axis]) / (high - low)
    return room


def best(values: Values, count: int) -> list[int]:
    """Indices of the best designs, in order: by front, then by room, then by number."""
    chosen: list[int] = []
    for own in _fronts(values):
        missing = count - len(chosen)
        if missing <= 0:
            break
        room = dict(zip(own, crowding([values[i] for i in own]), strict=True))
        chosen += sorted(own, key=lambda i: (-room[i], i))[:missing]
    return sorted(chosen)


def worst(values: Values) -> tuple[float, ...]:
    """The largest value of each objective."""
    return tuple(max(column) for column in zip(*values, strict=True))


def usual_reference(values: Values) -> tuple[float, ...]:
    """A point that hypervolumes of such designs are measured from: beyond the worst of them.

    A tenth of the range beyond, so that the ends of a front count too (the custom that Ishibuchi et
    al. 2018 discuss); where all are equal, a tenth of the value.
    """
    low = (min(column) for column in zip(*values, strict=True))
    pairs = zip(low, worst(values), strict=True)
    return tuple(high + BEYOND * ((high - least) or abs(high)) for least, high in pairs)


def hypervolume(values: Values, reference: Sequence[float]) -> float:
    """Volume between the designs and a point of reference, by moocore.

    Raises:
        MissingExtra: where moocore is not installed.
    """
    try:
        import moocore
    except ImportError:
        raise MissingExtra("hypervolumes come from moocore", extra="dse") from None
    inside = [v for v in values if all(a < b for a, b in zip(v, reference, strict=True))]
    if not inside:
        return 0.0
    return float(moocore.hypervolume(np.asarray(inside, dtype=float), ref=np.asarray(reference)))
