"""What tiles of one-dimensional convolutions cost on an array whose rows have a weight link."""

from __future__ import annotations

import numpy as np

from archsim.ir.target import Cost, LineTiles


def line_cost(
    tiles: LineTiles, grid: tuple[int, int, int], rate: int, flush_cycles: int | None
) -> Cost:
    """Cycles, lag and element counts of tiles of lines; one array element a tile.

    A fold is one line, or `cols` positions of one, in each row. Inputs are shifted in along the
    rows, which takes `cols` cycles whatever part of a row is used, and with the last of them the
    first of the taps is multiplied: cols - 1 + span / rate cycles, and `flush_cycles` until the
    next fold starts. Where the next inputs are shifted in behind (`flush_cycles` is None), a fold
    occupies the array for the longer of the two. Source: the latency model of FuSeConv's authors
    (analyticalLatencyModel.py of iitm-sysdl/FuSeConv at 48d295a7), in which a fold takes cols + K
    cycles and lines are as long as the padded input.

    Args:
        tiles: of one filter and one channel a problem.
        grid: rows, columns and alike arrays.
        rate: inputs a row takes per cycle.
        flush_cycles: from a fold's last multiplication to the next fold, where folds are exposed.
    """
    line, (rows, cols, count) = tiles.line, grid
    outputs = tiles.b * tiles.m
    lines, parts = line.lines(outputs), line.parts(cols)
    folds = -(-lines // rows) * parts
    dealt = -(-folds // count)
    beats = -(-line.span // rate)
    if flush_cycles is None:
        cycles, lag = dealt * max(cols, beats), min(cols, beats)
    else:
        cycles, lag = dealt * (cols - 1 + beats + flush_cycles), 0
    return Cost(
        cycles=cycles,
        lag_cycles=np.full_like(cycles, lag),
        folds=folds,
        in_reads=lines * (line.positions + parts * (line.span - 1)),
        weight_reads=lines * parts * tiles.k,
        out_writes=outputs,
        out_reads=np.zeros_like(outputs),
    )
