"""Sets the walk along the critical path up, for the log of either engine.

The path ends with the step that ends last (ties: first in canonical order). A step is bound by the
latest of: its unit's step before, its operands in the order written, the grant of its timeline;
the first of them in this order where several are latest. That makes the path, and with it what it
is attributed to, one and the same in both engines, folded or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsim.core.errors import LawViolation
from archsim.sim import walk
from archsim.sim.code import Code
from archsim.sim.fold import Jump
from archsim.sim.kernels import compiled


@dataclass(frozen=True, slots=True)
class Log:
    """Steps simulated, unit after unit: unit u's step i stands at `start[u] + i`.

    Attributes:
        start: First entry of each unit.
        steps: Entries of each unit.
        row: Row id.
        pred: Number of the step that bound it, within that step's unit; -1 for none.
        via: What bound it: operand of the row, -1 own step before, -2 - u the timeline's user u.
    """

    start: Sequence[int]
    steps: Sequence[int]
    row: Any
    pred: Any
    via: Any


def critical_path(
    code: Code,
    log: Log,
    jumps: Sequence[Jump],
    unit_end_ps: Sequence[int],
    steps: Sequence[int],
    *,
    plain: bool,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Timeline use and token latency on the critical path, ps by row id.

    Args:
        code: The program.
        log: Its steps as simulated.
        jumps: The periods skipped, in order.
        unit_end_ps: End of each unit's last step.
        steps: Steps of each unit, skipped ones included.
        plain: Whether to walk in plain Python even where a compiled walk is there.

    Raises:
        LawViolation: The log does not lead back to the start.
    """
    function = None if plain else compiled("walk")
    units, rows = len(code.start), code.program.rows

    def ints(values: Iterable[int]) -> Any:
        found = list(values)
        return found if function is None else np.array(found, dtype=np.int64)

    def flat(parts: list[NDArray[np.int64]]) -> Any:
        return ints(np.concatenate(parts).tolist() if parts else [])

    totals = list(np.cumsum([jump.times * jump.period for jump in jumps], axis=0)) if jumps else []
    busy, lagged = ints([0] * len(rows)), ints([0] * len(rows))
    last = max(range(units), key=lambda u: (unit_end_ps[u], -code.rank[u]), default=0)
    columns: tuple[Any, ...] = (log.row, log.pred, log.via)
    if function is None:
        columns = tuple(memoryview(column) for column in columns)
    run: Callable[..., Any] = function or walk.walk
    walked = run(
        last,
        steps[last] - 1 if units else -1,
        *(units, sum(steps)),
        *(ints(row.dur_ps for row in rows), ints(row.lag_ps for row in rows)),
        *(ints(code.verb_at), ints(code.verb_ring), ints(code.ring_writer)),
        *(ints(log.start), ints(log.steps), *columns),
        ints(jump.times for jump in jumps),
        *(flat([j.at for j in jumps]), flat([j.period for j in jumps]), flat(totals)),
        *(ints([0] * (len(jumps) + 1)), ints([0] * (len(jumps) + 1))),
        *(ints([0] * len(rows)), ints([0] * len(rows))),
        *(busy, lagged),
    )
    if walked < 0:
        raise LawViolation("the critical path leaves the log of steps")
    return np.array(busy, dtype=np.int64), np.array(lagged, dtype=np.int64)
