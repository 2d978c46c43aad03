"""Work of vector ops on lanes: lane-cycles of an op, and cycles of tiles, in exact fractions."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction as Ratio
from math import lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsim.ir.op import Op

Ints = NDArray[np.int64]


def lane_cycles(cost: Mapping[Any, int], op: Op) -> tuple[Ratio, Ratio]:
    """Lane-cycles per point and per row of an op; `cost` is by primitive, 1 where not listed."""

    def total(counts: Mapping[str, int]) -> Ratio:
        return Ratio(sum(n * cost.get(p, 1) for p, n in counts.items()))

    return total(op.primitives), total(op.row_primitives)


def tile_cycles(lanes: int, point: Ratio, row: Ratio, points: Ints, rows: Ints) -> Ints:
    """Cycles of tiles of so many points and rows on all lanes, one array element a tile."""
    scale = lcm(point.denominator, row.denominator)
    per_point = point.numerator * (scale // point.denominator)
    work = points * per_point + rows * (row.numerator * (scale // row.denominator))
    return np.asarray(-(-work // (lanes * scale)))
