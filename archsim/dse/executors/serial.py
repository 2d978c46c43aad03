"""Designs one after the other in this process: the reference, and what a debugger wants."""

from __future__ import annotations

from collections.abc import Iterable

from archsim.dse.executors.base import Done, Executor, How
from archsim.dse.executors.limit import answered
from archsim.dse.point import Task


class Serial(Executor):
    """Runs designs in the calling thread; a design that ends its process ends the study."""

    kind = "serial"
    grace_s = None

    def __init__(self, how: How | None = None) -> None:
        super().__init__(how)
        self._stopped = False

    def run(self, tasks: Iterable[Task], done: Done) -> None:
        """See `Executor.run`."""
        for task in tasks:
            if self._stopped:
                return
            done(task, answered(task))

    def stop(self) -> None:
        """See `Executor.stop`."""
        self._stopped = True

    def close(self) -> None:
        """Nothing is held."""
