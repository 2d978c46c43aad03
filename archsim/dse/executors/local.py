"""Designs in processes of this machine: what one of them breaks costs that design alone."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, wait

from archsim.dse.executors.base import GRACE_S, Done, Executor, How
from archsim.dse.executors.limit import out_of_time, quarantined
from archsim.dse.executors.parcel import Packer
from archsim.dse.executors.worker import Worker
from archsim.dse.point import Outcome, Task

SHORT_S = 0.2  # assumed: designs that take less wait at their worker, two at a time
TICK_S = 0.2  # between looks at limits and at requests to stop


class Local(Executor):
    """A process for each worker, begun when it is needed and kept until `close`."""

    kind = "local"
    grace_s = GRACE_S

    def __init__(self, how: How | None = None) -> None:
        super().__init__(how)
        packer = Packer()
        count = self.how.workers or len(os.sched_getaffinity(0))
        self._workers = [Worker(packer) for _ in range(count)]
        self._deaths: Counter[str] = Counter()
        self._again: deque[Task] = deque()
        self._stopped_s: float | None = None
        self._answered, self._took_s = 0, 0.0

    def run(self, tasks: Iterable[Task], done: Done) -> None:
        """See `Executor.run`."""
        source = iter(tasks)
        while True:
            if self._stopped_s is None:
                self._give(source)
            else:
                self._wind_down(self._stopped_s)
            flying = [future for worker in self._workers for _, future in worker.given]
            if not flying:
                return
            wait(flying, TICK_S, FIRST_COMPLETED)
            for worker in self._workers:
                for task, outcome in self._collected(worker):
                    self._answered += 1
                    self._took_s += outcome.wall_s
                    done(task, outcome)

    def _give(self, source: Iterator[Task]) -> None:
        """One design to each idle worker; a second where designs are short."""
        short = 0 < self._took_s < SHORT_S * self._answered
        for depth in (1, 2) if short else (1,):
            for worker in self._workers:
                if len(worker.given) < depth:
                    task = self._again.popleft() if self._again else next(source, None)
                    if task is None:
                        return
                    worker.give(task)

    def _collected(self, worker: Worker) -> Iterator[tuple[Task, Outcome]]:
        """What a worker has answered, and what is to be said of a design that ended it."""
        yield from worker.answers()
        worker.mind_the_time()
        if not worker.broken():
            return
        (culprit, *rest), late_s = worker.bury()
        self._again.extend(rest)
        self._deaths[culprit.key] += 1
        if late_s:
            yield culprit, out_of_time(culprit, late_s)
        elif self._deaths[culprit.key] > self.how.retries:
            yield culprit, quarantined(culprit, self._deaths[culprit.key])
        else:
            self._again.append(culprit)

    def _wind_down(self, stopped_s: float) -> None:
        """Let workers go whose design had not begun by then, and all once the grace is over."""
        self._again.clear()
        over = time.monotonic() > stopped_s + self.grace_s
        for worker in self._workers:
            if over or not worker.began_before(stopped_s):
                worker.close()

    def stop(self) -> None:
        """See `Executor.stop`."""
        self._stopped_s = time.monotonic()

    def close(self) -> None:
        """See `Executor.close`."""
        for worker in self._workers:
            worker.close()
