"""One-dimensional depthwise convolutions: what one of them is, and how many an op or a tile has.

A line is one row (or column) of one channel of one image under one filter of that channel. Where a
stride skips outputs, a row of cells still holds the positions in between: inputs pass from cell to
cell one position at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archsim.ir.op import Kind, Op

Ints = NDArray[np.int64]
LINE = "line"  # what stays in the array where each of its rows works on a line: its outputs


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an op.

    Attributes:
        outputs: of it.
        positions: cells that it takes: outputs at a step of one, those a stride skips included.
        span: inputs from the first tap to the last.
        unit: outputs of the op among which lines are whole: a row of the map, or a whole image.
    """

    outputs: int
    positions: int
    span: int
    unit: int

    def lines(self, outputs: Ints) -> Ints:
        """Lines of so many outputs, the last one perhaps in part."""
        return np.asarray(-(-outputs // self.outputs))

    def parts(self, cols: int) -> int:
        """Rows of so many cells that one line needs."""
        return -(-self.positions // cols)


def line_of(op: Op) -> Line | None:
    """A line of an op; None for one that is no depthwise convolution with filters of one dimension.

    Those are convolutions of one channel and one filter a group whose taps lie along one axis.
    """
    r, w = op.ranks, op.window
    if op.kind is not Kind.CONV or w is None or r["IC"] * r["OC"] != 1:
        return None
    if min(r["FH"], r["FW"]) > 1 or max(r["FH"], r["FW"]) == 1:
        return None
    axis = 0 if r["FH"] > 1 else 1
    outputs, taps = (r["OH"], r["FH"]) if axis == 0 else (r["OW"], r["FW"])
    return Line(
        outputs=outputs,
        positions=(outputs - 1) * w.stride[axis] + 1,
        span=(taps - 1) * w.dilation[axis] + 1,
        unit=r["OW"] if axis == 1 else r["OH"] * r["OW"],
    )
