"""How far a study is: designs done and to be done, how fast, how long still, the best so far.

Plain counting; how a terminal shows it is the business of the command line.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from archsim.dse.point import Outcome, Status

TROUBLE: tuple[Status, ...] = ("failed", "quarantined")
WINDOW = 200  # designs that the rate is taken over: it follows a change of pace


def nobody(_: object) -> None:
    """Tell no one."""


@dataclass
class Progress:
    """Counts of one study, or of one stage of it.

    Attributes:
        show: called after every change.
        clock: seconds of any origin.
        stage: what runs, such as `tile`.
        total: designs there will be; None where that is not known.
        simulated, cached: answered by a run, and by the store.
        failed: of these, stopped by an error, a time limit, or the end of their worker; that a
            design does not fit is an answer.
        best: the best design so far, in words.
    """

    show: Callable[[Progress], None] = nobody
    clock: Callable[[], float] = time.monotonic
    stage: str = ""
    total: int | None = None
    simulated: int = 0
    cached: int = 0
    failed: int = 0
    best: str = ""
    _ends: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def begin(self, stage: str, total: int | None) -> None:
        """A stage begins; counts start again."""
        self.stage, self.total = stage, total
        self.simulated = self.cached = self.failed = 0
        self.best = ""
        self._ends.clear()
        self.show(self)

    def count(self, outcome: Outcome, *, cached: bool = False) -> None:
        """One more design is answered."""
        if cached:
            self.cached += 1
        else:
            if not self._ends:  # the first ran since about its own duration
                self._ends.append(self.clock() - outcome.wall_s)
            self.simulated += 1
            self._ends.append(self.clock())
        self.failed += outcome.status in TROUBLE
        self.show(self)

    @property
    def done(self) -> int:
        """Designs with an outcome."""
        return self.simulated + self.cached

    @property
    def per_s(self) -> float:
        """Designs simulated a second, lately; 0 before the first."""
        took_s = self._ends[-1] - self._ends[0] if self._ends else 0.0
        return (len(self._ends) - 1) / took_s if took_s > 0 else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds until the end if all that is left has to be simulated at this pace."""
        if self.total is None or not self.per_s:
            return None
        return max(0, self.total - self.done) / self.per_s

    def line(self) -> str:
        """All of it in one line."""
        of = "" if self.total is None else f"/{self.total}"
        parts = [f"{self.stage} {self.done}{of}".strip()]
        if self.cached:
            parts.append(f"{self.cached} cached")
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.per_s:
            parts.append(f"{self.per_s:.1f} points/s")
        if self.left_s is not None:
            parts.append(f"ETA {_clock(self.left_s)}")
        if self.best:
            parts.append(f"best {self.best}")
        return "  ".join(parts)


def _clock(seconds: float) -> str:
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02d}:{s:02d}" if hours else f"{m:02d}:{s:02d}"
