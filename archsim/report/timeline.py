"""The timeline of a run: what each unit did when, with names and bytes.

Slices come from `sim.slices`; here they get the names of ops and memories. How much each memory
held and moved over time is in `moments`; the files that viewers open are written by `chrome` and
`perfetto`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from archsim.core.files import atomic_write
from archsim.ir.record import RunRecord
from archsim.report.moments import BUCKETS, moments
from archsim.report.power import power_w
from archsim.sim.program import Unit
from archsim.sim.slices import REPEATED, REST, Slices

if TYPE_CHECKING:
    import pandas as pd

Ints = NDArray[np.int64]
Form = Literal["chrome", "perfetto"]  # of a file that viewers open
STATES = ("stall_in", "stall_out", "stall_shared", "busy")  # of a slice, one after the other
WAITS = {"stall_in": "waits for data", "stall_out": "waits for room"}


class Piece(NamedTuple):
    """A stretch of time in which a unit did one thing.

    Attributes:
        unit: index of the unit.
        state: one of `STATES`, or `repeated` for a stretch that stands for many.
        name: what a viewer calls it.
        start_ps, ps: when, and how long.
        row: of the run; below 0 for a stretch that stands for many.
        times: steps that follow each other without a wait.
        spent: time in each of `STATES`, for a stretch that stands for many.
        group: slice of `Timeline.merged` that it is part of.
    """

    unit: int
    state: str
    name: str
    start_ps: int
    ps: int
    row: int
    times: int
    spent: tuple[int, ...]
    group: int


@dataclass(frozen=True)
class Timeline:
    """What each unit did when.

    Attributes:
        run: what the run left behind; rows of `slices` are rows of it.
        units: in the order of `slices.unit`.
        slices: all of the run, in picoseconds.
    """

    run: RunRecord
    units: tuple[Unit, ...]
    slices: Slices

    @cached_property
    def order(self) -> list[int]:
        """Units from top to bottom: by role, then by name."""
        return sorted(
            range(len(self.units)), key=lambda u: (self.units[u].role, self.units[u].name)
        )

    @cached_property
    def shortened(self) -> bool:
        """True where some slices stand for many steps each."""
        return bool((self.slices.row < 0).any())

    @property
    def title(self) -> str:
        """The machine and what it ran."""
        return f"{self.run.machine.name} x {self.run.graph.name}"

    def moments(self, buckets: int = BUCKETS) -> list[dict[str, Any]]:
        """What memories hold and move, and the power of all, in so many equal parts of the run."""
        watts = power_w(self, buckets).tolist()
        rows = moments(self.run, self.units, self.slices, buckets)
        return [{**row, "power_w": one} for row, one in zip(rows, watts, strict=True)]

    def frame(self) -> pd.DataFrame:
        """The slices as a pandas DataFrame: unit, op, times, start and waits and work in ps."""
        import pandas as pd

        s = self.slices
        return pd.DataFrame(
            {
                "unit": [self.units[u].name for u in s.unit.tolist()],
                "op": [self._name(row, n) for row, n in zip(*_lists(s.row, s.times), strict=True)],
                "times": s.times,
                "start_ps": s.start_ps,
                "stall_in_ps": s.in_ps,
                "stall_out_ps": s.out_ps,
                "stall_shared_ps": s.shared_ps,
                "busy_ps": s.busy_ps,
                "end_ps": s.end_ps,
            }
        )

    def save(self, path: Path | str, form: Form = "chrome") -> Path:
        """Write the file that Perfetto opens, and as Chrome JSON chrome://tracing too.

        Raises:
            MissingExtra: for a Perfetto trace where the library perfetto is absent.
        """
        path = Path(path)
        atomic_write(path, self.to_json() if form == "chrome" else self.to_perfetto())
        return path

    def to_json(self) -> str:
        """The text of `timeline.json`: Chrome's trace format."""
        from archsim.report.chrome import to_json

        return to_json(self)

    def to_perfetto(self) -> bytes:
        """The content of `timeline.pftrace`: Perfetto's own trace format.

        Raises:
            MissingExtra: when the library perfetto is not installed.
        """
        from archsim.report.perfetto import to_perfetto

        return to_perfetto(self)

    def pieces(self) -> Iterator[Piece]:
        """Every wait and every stretch of work, unit by unit in order of time; none of no time."""
        merged = self.merged
        columns = zip(
            *_lists(merged.unit, merged.row, merged.times, merged.start_ps),
            *_lists(merged.in_ps, merged.out_ps, merged.shared_ps, merged.busy_ps),
            strict=True,
        )
        for group, (u, row, times, start, *spent) in enumerate(columns):
            if sum(spent) == 0:
                continue
            if row < 0:
                whole = (start, sum(spent), row, times, tuple(spent), group)
                yield Piece(u, "repeated", self._name(row, times), *whole)
                continue
            ends = accumulate(spent, initial=start)
            for state, at, ps in zip(STATES, ends, spent, strict=False):
                if ps:
                    name = self._called(u, state, row)
                    yield Piece(u, state, name, at, ps, row, times, (), group)

    @cached_property
    def merged(self) -> Slices:
        """The slices, where steps of one row without a wait in between are one."""
        s, first = self.slices, np.flatnonzero(self._fresh)
        times, busy = (np.add.reduceat(c, first) if len(first) else c for c in (s.times, s.busy_ps))
        waits = (s.in_ps[first], s.out_ps[first], s.shared_ps[first])
        return Slices(s.unit[first], s.row[first], times, s.begin_ps[first], *waits, busy)

    @cached_property
    def merged_into(self) -> Ints:
        """For each slice, the place in `merged` of the one that it is part of."""
        into: Ints = np.cumsum(self._fresh) - 1
        return into

    @cached_property
    def _fresh(self) -> NDArray[np.bool_]:
        """Which slices are not the continuation of the one before."""
        s = self.slices
        waits = s.in_ps + s.out_ps + s.shared_ps
        fresh = np.ones(len(s.row), dtype=bool)
        alike = (s.row[1:] == s.row[:-1]) & (s.unit[1:] == s.unit[:-1]) & (s.row[1:] >= 0)
        fresh[1:] = ~(alike & (waits[1:] == 0))
        return fresh

    def _called(self, unit: int, state: str, row: int) -> str:
        if state == "busy":
            return self._name(row, 1)
        return WAITS.get(state) or f"waits for {self.units[unit].timeline}"

    def _name(self, row: int, times: int) -> str:
        if row == REPEATED:
            return f"repeated {times} times"
        if row == REST:
            return f"{times} more steps"
        return self.run.stages[self.run.rows[row].stage].path


def _lists(*columns: Ints) -> list[list[int]]:
    return [column.tolist() for column in columns]
