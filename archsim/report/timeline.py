"""The timeline of a run: what each unit did when, with names, bytes and a file that viewers open.

Slices come from `sim.slices`; here they get the names of ops and memories. How much each memory
held and moved over time is in `moments`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from archsim.core.files import atomic_write
from archsim.ir.record import RunRecord
from archsim.report.moments import BUCKETS, moments
from archsim.sim.program import Unit
from archsim.sim.slices import REPEATED, REST, Slices

if TYPE_CHECKING:
    import pandas as pd

Ints = NDArray[np.int64]
STATES = ("stall_in", "stall_out", "stall_shared", "busy")  # of a slice, one after the other
WAITS = {"stall_in": "waits for data", "stall_out": "waits for room"}


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
    def _order(self) -> list[int]:
        """Units from top to bottom: by role, then by name."""
        return sorted(
            range(len(self.units)), key=lambda u: (self.units[u].role, self.units[u].name)
        )

    @cached_property
    def shortened(self) -> bool:
        """True where some slices stand for many steps each."""
        return bool((self.slices.row < 0).any())

    def moments(self, buckets: int = BUCKETS) -> list[dict[str, Any]]:
        """Bytes that each memory holds and moves, over so many equal parts of the run."""
        return moments(self.run, self.units, self.slices, buckets)

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

    def save(self, path: Path | str) -> Path:
        """Write the Chrome JSON that Perfetto (ui.perfetto.dev) and chrome://tracing open."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, self.to_json())
        return path

    def to_json(self) -> str:
        """The text of `timeline.json`: one track a unit, counters of each memory.

        Times are in microseconds, as the format wants; `args` holds the exact picoseconds.
        """
        about = {
            "machine": self.run.machine.name,
            "workload": self.run.graph.name,
            "time_ps": self.run.time_ps,
            "shortened": self.shortened,
        }
        events = ",\n".join((*self._tracks(), *self._events(), *self._counters()))
        head = f'{{"displayTimeUnit": "ns", "otherData": {dumps(about)},'
        return f'{head}\n"traceEvents": [\n{events}\n]}}\n'

    def _tracks(self) -> Iterator[str]:
        title = f"{self.run.machine.name} x {self.run.graph.name}"
        yield dumps(
            {"ph": "M", "pid": 1, "tid": 0, "name": "process_name", "args": {"name": title}}
        )
        for place, u in enumerate(self._order):
            common = {"ph": "M", "pid": 1, "tid": u + 1}
            name, index = {"name": self.units[u].name}, {"sort_index": place}
            yield dumps({**common, "name": "thread_name", "args": name})
            yield dumps({**common, "name": "thread_sort_index", "args": index})

    def _events(self) -> Iterator[str]:
        """One event for each wait and each stretch of work; those of no time are left out."""
        names = [dumps(self.run.stages[row.stage].path) for row in self.run.rows]
        more = [self._more(i) for i in range(len(self.run.rows))]
        for u, row, times, start, *spent in zip(*_lists(*self._merged()), strict=True):
            head = f'{{"ph":"X","pid":1,"tid":{u + 1}'
            if row < 0:
                args = ",".join(f'"{s}_ps":{ps}' for s, ps in zip(STATES, spent, strict=True))
                name = dumps(self._name(row, times))
                yield f'{head},"cat":"repeated","name":{name},{_span(start, sum(spent), args)}}}'
                continue
            ends = accumulate(spent, initial=start)
            for state, at, ps in zip(STATES, ends, spent, strict=False):
                if ps and state == "busy":
                    args = f'"steps":{times}{more[row]}'
                    yield f'{head},"cat":"busy","name":{names[row]},{_span(at, ps, args)}}}'
                elif ps:
                    name = WAITS.get(state) or f"waits for {self.units[u].timeline}"
                    args = f'"for":{names[row]}'
                    yield f'{head},"cat":"{state}","name":"{name}",{_span(at, ps, args)}}}'

    def _merged(self) -> tuple[Ints, ...]:
        """Columns in which steps of one row without a wait in between are one."""
        s = self.slices
        waits = s.in_ps + s.out_ps + s.shared_ps
        fresh = np.ones(len(s.row), dtype=bool)
        alike = (s.row[1:] == s.row[:-1]) & (s.unit[1:] == s.unit[:-1]) & (s.row[1:] >= 0)
        fresh[1:] = ~(alike & (waits[1:] == 0))
        first = np.flatnonzero(fresh)
        times, busy = (np.add.reduceat(c, first) if len(first) else c for c in (s.times, s.busy_ps))
        kept = (waits[first] + busy) > 0
        at = first[kept]
        found = (s.unit[at], s.row[at], times[kept], s.start_ps[at])
        return (*found, s.in_ps[at], s.out_ps[at], s.shared_ps[at], busy[kept])

    def _more(self, row: int) -> str:
        """What the viewer says of one step of a row: bytes, operations, class of its op."""
        record = self.run.rows[row]
        stage = self.run.stages[record.stage]
        counts = {k: n for k, n in record.counts.items() if k.startswith(("dram.", "tier.", "mac"))}
        return "," + dumps({"op_class": stage.op_class, **counts})[1:-1]

    def _name(self, row: int, times: int) -> str:
        if row == REPEATED:
            return f"repeated {times} times"
        if row == REST:
            return f"{times} more steps"
        return self.run.stages[self.run.rows[row].stage].path

    def _counters(self) -> Iterator[str]:
        for moment in self.moments():
            start = f'"ts":{_us(int(moment["time_ps"]))}'
            for key, value in moment.items():
                memory, _, what = key.partition(".")
                if what:
                    unit = {"bytes_per_s": "B/s", "held_bytes": "B"}[what]
                    name = f"{memory} {'bandwidth' if unit == 'B/s' else 'held'} [{unit}]"
                    args = f'"args":{{"{unit}":{value:.6g}}}'
                    yield f'{{"ph":"C","pid":1,"name":"{name}",{start},{args}}}'


def _lists(*columns: Ints) -> list[list[int]]:
    return [column.tolist() for column in columns]


def _us(ps: int) -> str:
    """Picoseconds as microseconds, all digits."""
    return f"{ps // 1_000_000}.{ps % 1_000_000:06d}"


def _span(start_ps: int, ps: int, args: str) -> str:
    exact = f'"start_ps":{start_ps},"ps":{ps}'
    return f'"ts":{_us(start_ps)},"dur":{_us(ps)},"args":{{{exact},{args}}}'
