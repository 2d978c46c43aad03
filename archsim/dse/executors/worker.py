"""One process that runs designs, and the designs given to it in their order.

It is an executor of `concurrent.futures` with a single process, so that it is known which design
runs: the oldest one. Who gives designs to whom is the business of the pool.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib.util import find_spec
from multiprocessing import active_children, connection, get_context, parent_process
from multiprocessing.process import BaseProcess

from archsim.dse.executors.parcel import Packer, run_parcel
from archsim.dse.point import Outcome, Task

SLACK_S = 5.0  # assumed: what a design gets over its limit, in native code, before the kill


class Worker:
    """A process, begun with the first design and again after its death.

    Attributes:
        given: designs and what will be their answers, oldest first.
    """

    def __init__(self, packer: Packer) -> None:
        self.given: deque[tuple[Task, Future[Outcome]]] = deque()
        self._packer = packer
        self._pool: ProcessPoolExecutor | None = None
        self._process: BaseProcess | None = None
        self._ready: Future[int] | None = None
        self._began_s, self._late_s = 0.0, 0.0

    def give(self, task: Task) -> None:
        """One more design, after those that it has."""
        if self._pool is None:
            self._start()
        assert self._pool is not None
        parcel = self._packer.pack(task)
        try:
            future = self._pool.submit(run_parcel, parcel)
        except BrokenProcessPool:  # died with nothing to do, of nothing that we gave it
            self.close()
            self._start()
            future = self._pool.submit(run_parcel, parcel)
        if not self.given:
            self._began_s = time.monotonic()
        self.given.append((task, future))

    def _start(self) -> None:
        context = get_context("forkserver")  # a fork of a process with threads may hang
        context.set_forkserver_preload(["archsim.dse.evaluate"])
        before = set(active_children())
        self._pool = ProcessPoolExecutor(1, mp_context=context, initializer=_settle)
        self._ready = self._pool.submit(os.getpid)
        self._process = (set(active_children()) - before).pop()

    def answers(self) -> Iterator[tuple[Task, Outcome]]:
        """Designs that are through, with their outcomes."""
        while self.given and self.given[0][1].done() and not self.broken():
            task, future = self.given.popleft()
            self._began_s = time.monotonic()
            yield task, future.result()

    def broken(self) -> bool:
        """Whether the process died with a design."""
        if not self.given or not self.given[0][1].done():
            return False
        return isinstance(self.given[0][1].exception(), BrokenProcessPool)

    def mind_the_time(self) -> None:
        """Kill the process when its design is far over its limit."""
        if not self.given or self._process is None:
            return
        if not self._started():
            self._began_s = time.monotonic()
        limit_s = self.given[0][0].timeout_s
        ran_s = time.monotonic() - self._began_s
        if limit_s is not None and ran_s > limit_s + SLACK_S:
            self._late_s = ran_s
            self._process.kill()

    def began_before(self, moment_s: float) -> bool:
        """Whether its design runs, and has done so since before a moment."""
        return bool(self.given) and self._started() and self._began_s <= moment_s

    def _started(self) -> bool:
        return self._ready is not None and self._ready.done()

    def bury(self) -> tuple[list[Task], float]:
        """Designs of a dead process, who ended it first; how long that one ran, if too long."""
        tasks, late_s = [task for task, _ in self.given], self._late_s
        self.close()
        return tasks, late_s

    def close(self) -> None:
        """End the process; what it was given is forgotten."""
        if self._process is not None:
            self._process.kill()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = self._process = self._ready = None
        self._late_s = 0.0
        self.given.clear()


def _settle() -> None:
    """What a process does first: leave with its parent, ignore Ctrl-C, take one core."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to all; we are told
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    if find_spec("threadpoolctl") is not None:  # comes with scikit-learn of the extra [dse]
        from threadpoolctl import threadpool_limits

        threadpool_limits(1)


def _leave_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
