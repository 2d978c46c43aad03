"""Which designs are best where several things count: dominance, crowding, hypervolume.

Everything is minimised. Ranks are by fronts (Deb et al. 2002): the first is dominated by none, the
second only by the first, and so on.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

from archsim.core.errors import MissingExtra

Values = Sequence[Sequence[float]]


def ranks(values: Values) -> list[int]:
    """Front of each design, from 0; equal designs share one."""
    import numpy as np

    points = np.asarray(values, dtype=float)
    rank = np.full(len(points), -1)
    left = np.arange(len(points))
    front = 0
    while len(left):
        best = left[_undominated(points[left])]
        rank[best] = front
        left = left[rank[left] < 0]
        front += 1
    return [int(r) for r in rank]


def front(values: Values) -> list[int]:
    """Indices of the designs that none dominates, in order; of equal ones all."""
    import numpy as np

    if not values:
        return []
    return [int(i) for i in np.flatnonzero(_undominated(np.asarray(values, dtype=float)))]


def _undominated(points: Any) -> Any:
    """Mask of the designs that none dominates.

    Sorted by all coordinates, a design can only be dominated by one before it, so it is compared
    with the front so far.
    """
    import numpy as np

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
    rank = ranks(values) if values else []
    room = [0.0] * len(values)
    for one in set(rank):
        own = [i for i, r in enumerate(rank) if r == one]
        for i, space in zip(own, crowding([values[i] for i in own]), strict=True):
            room[i] = space
    order = sorted(range(len(values)), key=lambda i: (rank[i], -room[i], i))
    return sorted(order[:count])


def worst(values: Values) -> tuple[float, ...]:
    """The largest value of each objective: a point of reference for hypervolumes."""
    return tuple(max(column) for column in zip(*values, strict=True))


def hypervolume(values: Values, reference: Sequence[float]) -> float:
    """Volume between the designs and a point of reference, by moocore.

    Raises:
        MissingExtra: where moocore is not installed.
    """
    import numpy as np

    try:
        import moocore
    except ImportError:
        raise MissingExtra("hypervolumes come from moocore", extra="dse") from None
    inside = [v for v in values if all(a < b for a, b in zip(v, reference, strict=True))]
    if not inside:
        return 0.0
    return float(moocore.hypervolume(np.asarray(inside, dtype=float), ref=np.asarray(reference)))
