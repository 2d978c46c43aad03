"""The critical path, walked back from the last step over the log of the steps simulated.

A step is numbered within its unit as if nothing had been skipped. A number inside a skipped range
is mapped onto the period that was simulated, and the numbers of its predecessors move by the same
number of periods. Written like the kernel: compiled for arrays, or plain Python on lists. The log
is written by the engines, its set-up lives in `critical`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import MutableSequence

    Ints = MutableSequence[int]


def walk(  # noqa: PLR0912, PLR0915 - one function, as in the kernel
    u: int,
    v: int,
    units: int,
    most: int,
    # the program (see code.py)
    dur: Ints,
    lag: Ints,
    verb_at: Ints,
    verb_ring: Ints,
    ring_writer: Ints,
    # the log by unit
    log_at: Ints,
    log_n: Ints,
    log_row: Ints,
    log_pred: Ints,
    log_via: Ints,
    # jumps: entry j * units + u; `total` is what jumps 0 ... j skipped
    times: Ints,
    begin: Ints,
    period: Ints,
    total: Ints,
    # scratch: jumps and numbers of periods a step was mapped through; totals at the saved step
    by_jump: Ints,
    by_times: Ints,
    saved_busy: Ints,
    saved_lag: Ints,
    # result by row
    busy: Ints,
    lagged: Ints,
) -> int:
    """Add the path that ends with step `v` of unit `u` to `busy` and `lagged`.

    Inside the periods skipped by one jump the path repeats itself too: where it stands as it stood
    some periods later, the periods before are multiplied instead of walked.

    Returns:
        Steps walked; -1 when the path leaves the log or grows beyond `most` steps, which only a
        wrong log makes it do.
    """
    walked = 0
    token = False
    saved_jump = -1
    saved_u = saved_v = saved_times = lowest = age = 0
    saved_token = False
    while v >= 0:
        # Map the step onto one that was simulated.
        step = v
        depth = 0
        epoch = -1
        high = len(times)
        while True:
            low = 0
            while low < high:
                middle = (low + high) // 2
                if begin[middle * units + u] + period[middle * units + u] <= step:
                    low = middle + 1
                else:
                    high = middle
            high = low - 1
            if high < 0:
                break
            first = begin[high * units + u]
            length = period[high * units + u]
            if step >= first + (times[high] + 1) * length:
                epoch = high
                break
            by_jump[depth] = high
            by_times[depth] = (step - first) // length
            step = first + (step - first) % length
            depth += 1
            if depth == 1:
                mapped = step
        # Multiply where the path repeats itself.
        if depth == 0:
            saved_jump = -1
        else:
            if saved_jump != by_jump[0]:
                saved_jump = by_jump[0]
                saved_u = -1
                age = 0
            lowest = min(lowest, by_times[0])
            if saved_u == u and saved_v == mapped and saved_token == token:
                back = saved_times - by_times[0]
                repeats = lowest // back if back > 0 else 0
                if repeats > 0:
                    for row in range(len(busy)):
                        busy[row] += repeats * (busy[row] - saved_busy[row])
                        lagged[row] += repeats * (lagged[row] - saved_lag[row])
                    v -= repeats * back * period[saved_jump * units + u]
                    saved_jump = -1
                    continue
            age += 1
            if age & (age - 1) == 0:
                saved_u = u
                saved_v = mapped
                saved_token = token
                saved_times = lowest = by_times[0]
                for row in range(len(busy)):
                    saved_busy[row] = busy[row]
                    saved_lag[row] = lagged[row]
        # Add the step and go to what bound it.
        walked += 1
        if epoch >= 0:
            step -= total[epoch * units + u]
        if step < 0 or step >= log_n[u] or walked > most:
            return -1
        place = log_at[u] + step
        row = log_row[place]
        busy[row] += dur[row]
        if token:
            lagged[row] += lag[row]
        token = False
        via = log_via[place]
        if via == -1:  # its unit's step before
            v -= 1
            continue
        if via <= -2:  # the step that used the shared timeline before
            u = -2 - via
        else:
            ring = verb_ring[verb_at[4 * row] + via]
            u = ring_writer[ring]
            token = ring % 2 == 0
        v = log_pred[place]
        if epoch >= 0:
            v += total[epoch * units + u]
        for k in range(depth):
            v += by_times[k] * period[by_jump[k] * units + u]
    return walked
